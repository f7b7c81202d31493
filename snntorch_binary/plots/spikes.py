"""Spike raster."""

from __future__ import annotations

import os

from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.plots import style


def raster(spikes: Tensor, path: str | os.PathLike[str]) -> None:
    """Draw one mark for each spike, time steps across and neurons up; below, how many neurons fire.

    Args:
        spikes: [T, N] of 0 and 1 (any dtype).
        path: the file to write; its suffix is the format.

    Raises:
        MissingPackageError: matplotlib is not installed.
        TypeError: the spikes are no tensor.
        ValueError: a shape or a value is out of range.
        OSError: the file cannot be written.
    """
    if not isinstance(spikes, Tensor):
        raise TypeError(expected("spikes", "a tensor", type(spikes).__name__))
    if spikes.ndim != 2 or spikes.numel() == 0:
        raise ValueError(expected("spikes", "of shape [T, N], not empty", list(spikes.shape)))
    spikes = spikes.detach().cpu()
    if not ((spikes == 0) | (spikes == 1)).all():
        raise ValueError(expected("spikes", "only 0 and 1", "other values"))
    num_steps, num_neurons = spikes.shape
    steps, neurons = spikes.nonzero(as_tuple=True)
    # Of many neurons each would be less than a pixel high.
    half_height = max(0.4, num_neurons / 400)
    figure = style.make_figure(6.4, 4.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    top.vlines(
        steps.numpy(),
        neurons.numpy() - half_height,
        neurons.numpy() + half_height,
        color=style.COLOURS[0],
        linewidth=min(4.0, 220 / num_steps),
    )
    top.set(ylabel="neuron", xlim=(-0.5, num_steps - 0.5), ylim=(-0.5, num_neurons - 0.5))
    percent = 100 * spikes.double().mean(dim=1)
    bottom.bar(range(num_steps), percent.numpy(), width=0.9, color=style.GREY)
    bottom.set(xlabel="time step", ylabel="firing (%)")
    bottom.xaxis.get_major_locator().set_params(integer=True)
    top.yaxis.get_major_locator().set_params(integer=True)
    for axes in (top, bottom):
        style.plain_axes(axes)
    style.write(figure, path)
