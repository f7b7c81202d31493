"""Lightning's checkpoints as data: nothing in one chooses a class, a function or a path."""

from __future__ import annotations

import inspect
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import IO, Any

import lightning as L
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.fabric.utilities.cloud_io import get_filesystem

from snntorch_binary._errors import expected, in_one_line
from snntorch_binary._files import (
    DamagedFileError,
    RunFolder,
    parse_tensors,
    read_tensors,
    tensor_bytes,
    write_bytes,
)
from snntorch_binary._numbers import is_number

_OF_CONSTRUCTORS = ("hyper_parameters", "datamodule_hyper_parameters")
_CHOOSE = ("hparams", "module_arguments", "hparams_name", "hparams_type", "datamodule_hparams_name")
_PATHS = {"best_model_path": "", "kth_best_model_path": "", "last_model_path": "", "best_k_models": {}}


def make_plain_(checkpoint: dict[str, Any]) -> None:
    """Take from a checkpoint, in place, whatever would choose a class, a function or a path.

    What is left of constructors' arguments are numbers, words and lists of them. Paths of checkpoints in the state of
    Lightning's ``ModelCheckpoint``, which removes the files that they name, are left if they are in its own folder.
    """
    for name in _CHOOSE:
        checkpoint.pop(name, None)
    for name in _OF_CONSTRUCTORS:
        if name in checkpoint:
            checkpoint[name] = plain_arguments(checkpoint[name])
    states = checkpoint.get("callbacks")
    for state in states.values() if isinstance(states, dict) else ():
        if isinstance(state, dict) and state.keys() & _PATHS.keys() and not _paths_in_its_folder(state):
            state.update(_PATHS)


def with_plain_numbers_(checkpoint: dict[str, Any]) -> None:
    """Let numbers that are NumPy's be Python's, in place: a file of plain values that has others cannot be read."""
    for name in (*_OF_CONSTRUCTORS, "optimizer_states", "lr_schedulers"):
        if name in checkpoint:
            checkpoint[name] = _with_plain_numbers(checkpoint[name])


def _with_plain_numbers(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _with_plain_numbers(value) for key, value in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(map(_with_plain_numbers, tree))
    return tree.item() if is_number(tree) and hasattr(tree, "item") else tree


def plain_arguments(arguments: Any) -> dict[str, Any]:
    """Return those of a constructor's arguments that are numbers, words, or lists of them, and the weight rule."""
    if not isinstance(arguments, Mapping):
        return {}
    return {
        name: value
        for name, value in arguments.items()
        if isinstance(name, str)
        and name.isidentifier()
        and not name.startswith("_")
        and (_is_plain(value) or (name == "rule" and _is_rule(value)))
    }


def _is_rule(value: Any) -> bool:
    """Whether this is a rule as JSON, which :meth:`WeightRule.from_json` looks up among those that there are."""
    return isinstance(value, Mapping) and all(isinstance(key, str) and _is_plain(each) for key, each in value.items())


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(each is None or type(each) in (bool, int, float, str) for each in value)
    return value is None or type(value) in (bool, int, float, str)


def _paths_in_its_folder(state: Mapping[str, Any]) -> bool:
    folder, best = state.get("dirpath"), state.get("best_k_models", {})
    if not isinstance(folder, str) or not isinstance(best, dict):
        return False
    paths = [*best, *(state.get(name, "") for name in _PATHS if name != "best_k_models")]
    return all(
        isinstance(path, str)
        and "://" not in path
        and ".." not in PurePath(path).parts
        and os.path.dirname(path) == folder
        and path.endswith(".ckpt")
        for path in paths
        if path != ""
    )


class PlainCheckpoints(TorchCheckpointIO):
    """Writes checkpoints whole or not at all, and reads tensors and plain values only.

    Example:
        >>> import lightning as L
        >>> from snntorch_binary.lightning.plain_checkpoints import PlainCheckpoints
        >>> trainer = L.Trainer(plugins=[PlainCheckpoints()], logger=False, enable_checkpointing=False)
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: it cannot be written; what was there is as it was.
        """
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(Path(path), tensor_bytes(checkpoint))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            DamagedFileError: it is none.
        """
        return read_checkpoint(path)


class RecordedCheckpoints(PlainCheckpoints):
    """Keeps the checkpoints of a run in its folder's record.

    Args:
        folder: where the run's files are.
        before: where the checkpoint is that it goes on from; by default there, too.
    """

    def __init__(self, folder: RunFolder, before: RunFolder | None = None) -> None:
        self._folder = folder
        self._before = folder if before is None else before

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint and its checksum.

        Raises:
            OSError: it cannot be written; what was there is as it was.
        """
        self._folder.write_tensors(Path(path).name, checkpoint)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            DamagedFileError: it is none, or of another run.
        """
        checkpoint = self._before.read_tensors(Path(path).name)
        if checkpoint is None:
            raise DamagedFileError(f"{path} is damaged or of another run; remove it.")
        make_plain_(checkpoint)
        return checkpoint


def read_checkpoint(source: str | os.PathLike[str] | IO[bytes]) -> dict[str, Any]:
    """Return the tensors and plain values of a checkpoint that Lightning wrote.

    Args:
        source: its path, an address that fsspec knows, or an open file.

    Raises:
        DamagedFileError: it is none.
    """
    if not isinstance(source, str | os.PathLike):
        checkpoint = parse_tensors(source.read(), Path(str(getattr(source, "name", "the file"))))
    elif "://" in str(source):
        with get_filesystem(str(source)).open(str(source), "rb") as file:
            checkpoint = parse_tensors(file.read(), Path(str(source)))
    else:
        checkpoint = read_tensors(Path(source))
    version, state = checkpoint.get("pytorch-lightning_version"), checkpoint.get("state_dict")
    if not isinstance(version, str) or not isinstance(state, dict):
        raise DamagedFileError(f"{source} is no checkpoint of Lightning: it has no version and state_dict.")
    make_plain_(checkpoint)
    return checkpoint


class LoadsPlainly:
    """Makes ``load_from_checkpoint`` of a Lightning class take numbers and words from a checkpoint, and no classes."""

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **kwargs: Any,
    ) -> Any:
        """Return an object of this class with the state in a checkpoint.

        A checkpoint is data: the class is this one, and what is not a number, a word or a list of them, such as the
        network, is given here.

        Args:
            checkpoint_path: the checkpoint.
            map_location: as in :func:`torch.load`.
            hparams_file: must be ``None``; give arguments by name.
            strict: whether names of tensors must be those of this class.
            weights_only: must be true.
            **kwargs: arguments of the class that the checkpoint does not have, or has otherwise.

        Raises:
            ValueError: an argument is missing, or the file is no checkpoint.
        """
        if not weights_only and weights_only is not None:
            raise ValueError(expected("weights_only", "True: a checkpoint is data", weights_only))
        if hparams_file is not None:
            raise ValueError(expected("hparams_file", "None: give arguments by name", repr(hparams_file)))
        contents = read_checkpoint(checkpoint_path)
        given = {**contents.get(cls.CHECKPOINT_HYPER_PARAMS_KEY, {}), **kwargs}  # type: ignore[attr-defined]
        known = inspect.signature(cls).parameters
        missing = [name for name, of in known.items() if of.default is of.empty and name not in given]
        if missing:
            raise ValueError(expected(missing[0], f"given: {cls.__name__}.load_from_checkpoint(path, ...)", "none"))
        if strict is not None:  # data have no tensors to be strict with
            kwargs["strict"] = strict
        plain = io.BytesIO(tensor_bytes(contents))
        return super().load_from_checkpoint(  # type: ignore[misc]
            plain, map_location=map_location, weights_only=True, **kwargs
        )


# ---- errors of a checkpoint that does not fit ------------------------------------------------------------------------


class Restored(L.Callback):
    """Knows whether everything that a checkpoint brings has been taken up."""

    done = False

    def _set(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.done = True

    on_sanity_check_start = on_train_start = on_validation_start = on_test_start = on_predict_start = _set


@contextmanager
def restoring(path: Any, restored: Restored) -> Iterator[None]:
    """Say in a sentence of a checkpoint that it does not fit; errors after it was taken up are none of its own.

    Raises:
        DamagedFileError: it does not fit.
    """
    try:
        yield
    except (DamagedFileError, OSError):
        raise
    except Exception as error:  # whatever a file makes of Lightning
        if not path or restored.done:
            raise
        what = in_one_line(str(error) or type(error).__name__, 200)
        raise DamagedFileError(f"{path} does not fit what is trained here, or is damaged: {what}") from None


def differing_arguments(saved: Any, used: Mapping[str, Any]) -> str:
    """Say with what arguments a checkpoint was trained where others are used; nothing where all are the same."""
    before = {name: value for name, value in plain_arguments(saved).items() if name in used}
    differ = [name for name, value in before.items() if _listed(value) != _listed(used[name])]
    was = ", ".join(f"{name}={before[name]!r}" for name in differ)
    now = ", ".join(f"{name}={used[name]!r}" for name in differ)
    return in_one_line(f"trained with {was}; used with {now}") if differ else ""


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value
