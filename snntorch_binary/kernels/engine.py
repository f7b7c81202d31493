"""Which engine computes: numba where it is installed and can take the tensors, plain torch everywhere else.

On a GPU that is plain torch, unless Triton is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
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

Engine = Literal["numba", "torch", "triton"]

_chosen: Engine = "numba"


@contextmanager
def use_engine(engine: Engine) -> Iterator[None]:
    """Let an engine compute as long as the context lasts.

    ``"numba"``, the default, takes tensors on the CPU. ``"triton"`` takes those on a GPU as well, which plain torch
    computes by default: Triton's kernels have not been measured yet, and are used only where they are asked for.
    ``"torch"`` switches all compiled kernels off.

    Raises:
        ValueError: there is no such engine.
        ImportError: ``"numba"`` or ``"triton"`` is asked for and not installed.

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
    if engine == "triton":
        if importlib.util.find_spec("triton") is None:
            raise ImportError('The GPU kernels need Triton: pip install "snntorch-binary[gpu]"')
        importlib.import_module("triton")
    before, _chosen = _chosen, engine
    try:
        yield
    finally:
        _chosen = before


@cache
def _numba_is_installed() -> bool:
    return importlib.util.find_spec("numba") is not None


def compiled(name: str, *tensors: Tensor) -> ModuleType | None:
    """Return the compiled kernels of that name where they can take these tensors, else ``None``.

    They take contiguous float32 on one device of theirs (no subclass of tensors but parameters), outside of compiled
    graphs and ``torch.func`` transforms.
    """
    if _chosen == "torch" or torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return None
    if _chosen == "triton" and _are_plain(tensors, _device_of_triton()):
        kernels = _load("triton", name)
        if kernels is not None:
            return kernels
    return _load("compiled", name) if _numba_is_installed() and _are_plain(tensors, "cpu") else None


def is_batched(gradient: Tensor) -> bool:
    """Say whether a gradient is many at once, as of ``torch.autograd.functional.jacobian(..., vectorize=True)``."""
    return torch._C._functorch.is_legacy_batchedtensor(gradient)


def _are_plain(tensors: tuple[Tensor, ...], device: str) -> bool:
    return all(
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.dtype == torch.float32
        and (tensor.is_cpu if device == "cpu" else tensor.device.type == device and tensor.device == tensors[0].device)
        and tensor.is_contiguous()
        for tensor in tensors
    )


def _device_of_triton() -> str:
    """Return where the tensors are that Triton takes: its interpreter, which tests use, computes on the CPU."""
    return "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"


def array(tensor: Tensor) -> Any:
    """Return a tensor as kernels take it: a NumPy array of its memory, or itself without its graph on a GPU."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    return tensor.numpy() if tensor.is_cpu else tensor


def flat(tensor: Tensor) -> Any:
    """Return a contiguous tensor as kernels take it, with one dimension."""
    return array(tensor).reshape(-1) if tensor.dim() != 1 else array(tensor)


@cache
def _load(folder: str, name: str) -> ModuleType | None:
    """Return kernels, or ``None`` where that folder has none of this name or they cannot be loaded."""
    path = f"snntorch_binary.kernels.{folder}.{name}"
    if importlib.util.find_spec(path) is None:
        return None
    try:
        return importlib.import_module(path)
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
