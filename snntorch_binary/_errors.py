"""The one sentence every bad argument gets, and the one every missing optional package gets."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


def expected(name: str, what: str, got: object) -> str:
    """Return the sentence "Expected argument `name` to be what, but got got."."""
    return f"Expected argument `{name}` to be {what}, but got {got}."


def misspelt(got: object, known: Iterable[object]) -> str:
    """Return how a name is shown that is none of those that are known: with the one that is nearest to it, if one is.

    >>> misspelt("nminst", ["digits", "mnist", "nmnist"])
    "'nminst' (did you mean 'nmnist'?)"
    """
    near = difflib.get_close_matches(str(got), [str(name) for name in known], 1)
    return f"{got!r} (did you mean {near[0]!r}?)" if near else repr(got)


def in_one_line(said: str | BaseException, length: int = 1_000) -> str:
    """Return what can be shown of a text, be it a stranger's: one line of printable characters.

    Of an error that says nothing, this is its kind.

    >>> in_one_line("two" + chr(10) + "lines" + chr(27))
    'two lines?'
    """
    words = str(said).split() or ([type(said).__name__] if isinstance(said, BaseException) else [])
    text = "".join(letter if letter.isprintable() else "?" for letter in " ".join(words))
    return text if len(text) <= length else f"{text[:length]} ..."


class MissingPackageError(ImportError):
    """An optional package is needed and not installed; the message holds the pip command."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module, or say in one sentence how to install it.

    Args:
        module: dotted name of the module, for example ``"tonic"``.
        extra: the extra of this package that brings it, for example ``"events"``.

    Raises:
        MissingPackageError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingPackageError(
            f"{module.split('.')[0]} is not installed; install it with `pip install 'snntorch-binary[{extra}]'`."
        ) from None


MODULES = {
    "lightning": ("matplotlib", "rich", "jsonargparse", "torchmetrics", "lightning"),  # each imports those before it
    "export": ("nir", "nirtorch", "safetensors"),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "federated": ("flwr",),
    "tune": ("ray.tune",),
}
"""What a command imports of the extras of this package."""


def require_extras(*extras: str, also: tuple[str, ...] = ()) -> None:
    """Import what extras bring, or say in one sentence which of them to install, all at once.

    Args:
        extras: names of extras, keys of `MODULES`.
        also: others that are named with them where something is missing; they are not asked for otherwise.

    Raises:
        MissingPackageError: a package of `extras` is not installed.
    """
    missing = {extra: package for extra in extras if (package := _missing(extra)) is not None}
    if missing:
        named = [*missing, *(extra for extra in also if _missing(extra) is not None)]
        raise MissingPackageError(
            f"{next(iter(missing.values()))} is not installed; install it with "
            f"`pip install 'snntorch-binary[{','.join(named)}]'`."
        )


def _missing(extra: str) -> str | None:
    for module in MODULES[extra]:
        try:
            require(module, extra)
        except MissingPackageError:
            return module.split(".")[0]
    return None
