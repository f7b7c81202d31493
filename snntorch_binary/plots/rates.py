"""Pictures of soft LIF neurons: their rates over the input, and rates against spikes."""

from __future__ import annotations

import os
from collections.abc import Mapping

from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.plots import style


def rate_curve(
    x: Tensor, curves: Mapping[str, Tensor], path: str | os.PathLike[str], ylabel: str = "output", num_dots: int = 0
) -> None:
    """Draw outputs of neurons over their input.

    Args:
        x: inputs [N].
        curves: outputs [N] by name.
        path: the file to write; its suffix is the format.
        ylabel: what is drawn.
        num_dots: the last so many curves are drawn as dots, not as lines.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ValueError: a curve is not of the shape of the inputs, or there is none.
        OSError: the file cannot be written.
    """
    if not curves or any(y.shape != x.shape for y in curves.values()) or x.dim() != 1:
        raise ValueError(expected("curves", f"at least one tensor of shape {list(x.shape)}, that of x", list(curves)))
    figure = style.make_figure(5.6, 3.8)
    axes = figure.subplots()
    for index, (name, y) in enumerate(curves.items()):
        if index >= len(curves) - num_dots:
            axes.plot(x.numpy(), y.numpy(), ".", color=style.colour(index), markersize=2, alpha=0.5, label=name)
        else:
            style.line(axes, index, x.numpy(), y.numpy(), name)
    axes.set(xlabel="input", ylabel=ylabel)
    axes.legend(frameon=False, fontsize=9)
    style.horizontal_grid(axes)
    style.plain_axes(axes)
    style.write(figure, path)


def rates_against_spikes(
    layers: Mapping[str, tuple[Tensor, Tensor]], path: str | os.PathLike[str], amplitude: float = 1.0
) -> None:
    """Draw one dot for each neuron: its rate, and the rate of its spikes; a panel for each layer.

    Args:
        layers: outputs of the rate network and mean outputs in spikes, of any one shape, by name of the layer.
        path: the file to write; its suffix is the format.
        amplitude: outputs are that many times the rate in Hz.

    Raises:
        MissingPackageError: matplotlib is not installed.
        ValueError: there is no layer, or the shapes of one differ.
        OSError: the file cannot be written.
    """
    if not layers or any(rates.shape != spikes.shape for rates, spikes in layers.values()):
        raise ValueError(expected("layers", "at least one pair of tensors of one shape", list(layers)))
    figure = style.make_figure(3.2 * len(layers), 3.4)
    panels = figure.subplots(1, len(layers), squeeze=False)[0]
    for axes, (name, pair) in zip(panels, layers.items(), strict=True):
        rates, spikes = (values.detach().cpu().flatten() / amplitude for values in pair)
        most = max(float(rates.max()), float(spikes.max()), 1e-6)
        axes.plot([0, most], [0, most], color=style.GREY, linewidth=1)
        axes.plot(rates.numpy(), spikes.numpy(), ".", color=style.COLOURS[0], markersize=2, alpha=0.4)
        axes.set(xlabel="rate network (Hz)", title=name)
        style.plain_axes(axes)
    panels[0].set(ylabel="in spikes (Hz)")
    style.write(figure, path)
