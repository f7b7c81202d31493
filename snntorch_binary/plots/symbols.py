"""Raster of winner-take-all circuits: which symbol, and when."""

from __future__ import annotations

import os

from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.plots import style

_MARKERS = ("|", "o", "^", "s", "D", "v")


def symbol_raster(symbols: Tensor, path: str | os.PathLike[str]) -> None:
    """Draw one mark for each symbol emitted, time steps across and circuits up; colour and shape say which symbol.

    Args:
        symbols: [T, N, C] of 0 and 1 (any dtype), at most one 1 for each circuit and time step.
        path: the file to write; its suffix is the format.

    Raises:
        MissingPackageError: matplotlib is not installed.
        TypeError: the symbols are no tensor.
        ValueError: a shape or a value is out of range.
        OSError: the file cannot be written.
    """
    if not isinstance(symbols, Tensor):
        raise TypeError(expected("symbols", "a tensor", type(symbols).__name__))
    if symbols.ndim != 3 or symbols.numel() == 0:
        raise ValueError(expected("symbols", "of shape [T, N, C], not empty", list(symbols.shape)))
    symbols = symbols.detach().cpu()
    if not ((symbols == 0) | (symbols == 1)).all() or symbols.sum(-1).max() > 1:
        raise ValueError(expected("symbols", "only 0 and 1, at most one 1 a circuit and time step", "other values"))
    num_steps, num_circuits, num_symbols = symbols.shape
    figure = style.make_figure(6.4, 4.2)
    axes = figure.subplots()
    size = min(60.0, 18_000 / (num_steps * num_circuits) + 4)
    for index in range(num_symbols):
        steps, circuits = symbols[..., index].nonzero(as_tuple=True)
        axes.scatter(
            steps.numpy(),
            circuits.numpy(),
            s=size,
            color=style.colour(index),
            marker=_MARKERS[index % len(_MARKERS)],
            label=f"symbol {index}",
        )
    axes.set(xlabel="time step", ylabel="circuit", xlim=(-0.5, num_steps - 0.5), ylim=(-0.5, num_circuits - 0.5))
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    style.plain_axes(axes)
    style.legend_below(figure, axes, columns=4)
    style.write(figure, path)
