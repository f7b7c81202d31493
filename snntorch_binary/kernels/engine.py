"""Which engine computes: numba where it is installed and can take the tensors, plain torch everywhere else."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected

Engine = Literal["numba", "torch"]

_chosen: Engine = "numba"


@contextmanager
def use_engine(engine: Engine) -> Iterator[None]:
    """Let an engine compute as long as the context lasts: ``"torch"`` switches the compiled kernels off.

    Raises:
        ValueError: there is no such engine.
        ImportError: ``"numba"`` is asked for and not installed.

    Example:
        >>> import snntorch_binary as sb
        >>> with sb.kernels.use_engine("torch"):
        ...     layer = sb.nn.BinaryLinear(8, 2, weight=sb.Bernoulli())
    """
    global _chosen
    if engine not in get_args(Engine):
        raise ValueError(expected("engine", f"one of {list(get_args(Engine))}", repr(engine)))
    if engine == "numba":
        if not _numba_is_installed():
            raise ImportError('The compiled kernels need numba: pip install "snntorch-binary[fast]"')
        importlib.import_module("numba")  # or the reason why it cannot be
    before, _chosen = _chosen, engine
    try:
        yield
    finally:
        _chosen = before


@cache
def _numba_is_installed() -> bool:
    return importlib.util.find_spec("numba") is not None


def compiled(room: str, *tensors: Tensor) -> ModuleType | None:
    """Return the compiled kernels of that name where they can take these tensors, else ``None``.

    They take contiguous float32 on the CPU (no subclass of tensors but parameters), outside of compiled graphs and
    ``torch.func`` transforms.
    """
    if _chosen == "torch" or torch.compiler.is_compiling() or not _numba_is_installed():
        return None
    if torch._C._are_functorch_transforms_active():
        return None
    return _load(room) if all(map(_is_plain, tensors)) else None


def _is_plain(tensor: Tensor) -> bool:
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.dtype == torch.float32
        and tensor.device.type == "cpu"
        and tensor.is_contiguous()
    )


def flat(tensor: Tensor) -> Any:
    """Return the memory of a contiguous tensor as a flat NumPy array."""
    return tensor.detach().view(-1).numpy()


@cache
def _load(room: str) -> ModuleType | None:
    try:
        return importlib.import_module(f"snntorch_binary.kernels.compiled.{room}")
    except Exception as error:  # a numba that does not fit NumPy, or that finds no folder to keep kernels in
        _say_once(f"{type(error).__name__}: {error}")
        return None


@cache
def _say_once(reason: str) -> None:
    warnings.warn(f"The compiled kernels cannot be used, plain torch computes instead ({reason}).", stacklevel=4)


class announced:
    """Say that a compiled kernel is being compiled: once a machine, as the result is kept on disk.

    Args:
        kernel: a function that numba compiles at its first call, with ``cache=True``.
    """

    def __init__(self, kernel: Callable[..., Any]) -> None:
        self.kernel = kernel
        self._first = True

    def __call__(self, *args: Any) -> Any:
        """Call the kernel."""
        if self._first:
            return self._compile_and_call(*args)
        return self.kernel(*args)

    def _compile_and_call(self, *args: Any) -> Any:
        self._first = False
        kernel: Any = self.kernel
        kept = Path(kernel.stats.cache_path).glob(f"*{kernel.py_func.__name__}*.nbi")
        if any(kept):
            return kernel(*args)
        name = f"{kernel.py_func.__module__.removeprefix('snntorch_binary.')}.{kernel.py_func.__name__}"
        print(f"snntorch_binary compiles {name} (once) ...", end="", file=sys.stderr, flush=True)
        begin = time.perf_counter()
        try:
            return kernel(*args)
        finally:
            print(f" {time.perf_counter() - begin:.1f} s", file=sys.stderr, flush=True)
