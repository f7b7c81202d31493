"""How a kernel is launched: a program for each block of elements, on the device of its tensors."""

from __future__ import annotations

from typing import Any

import torch
import triton


def launch(kernel: Any, size: int, block: int, arrays: tuple[Any, ...], *scalars: Any, **constants: Any) -> None:
    """Run a kernel over ``size`` elements, ``block`` of them in a program.

    Args:
        kernel: takes the arrays, then the scalars, then ``BLOCK`` and the constants.
        size: number of elements; at most 2^31 less a block.
        block: a power of two.
        arrays: tensors (NumPy arrays in Triton's interpreter); the kernel gets ``None`` for one without elements.
        scalars: numbers.
        constants: compiled into the kernel.
    """
    launch_on_grid(kernel, (triton.cdiv(size, block),), arrays, *scalars, BLOCK=block, **constants)


def launch_on_grid(
    kernel: Any, grid: tuple[int, ...], arrays: tuple[Any, ...], *scalars: Any, **constants: Any
) -> None:
    """Run a kernel on a grid of programs; the arguments are those of :func:`launch`."""
    tensors = [torch.as_tensor(array) if array.shape[0] else None for array in arrays]
    if tensors[0] is None:
        return  # there are no elements
    with torch.cuda.device_of(tensors[0]):  # a launch goes to the current device, whichever the tensors are on
        kernel[grid](*tensors, *scalars, enable_fp_fusion=False, **constants)
