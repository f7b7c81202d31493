"""What corruptions make of one example."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.data.corruptions import CORRUPTIONS
from snntorch_binary.data.corruptions.corruption import KINDS, Kind
from snntorch_binary.plots import style


def corruption_grid(example: Tensor, path: str | os.PathLike[str], *, kind: Kind, seed: int = 0) -> None:
    """Draw one example as it was and under each corruption of its kind at five strengths.

    Args:
        example: an image [H, W] or [C, H, W] with values in [0, 1], C = 1 or 3; or spikes [T, ...] of 0 and 1, which
            are drawn as time steps across and cells up.
        path: the file to write; its suffix is the format.
        kind: ``"images"`` or ``"spikes"``.
        seed: of the noise.

    Raises:
        MissingPackageError: matplotlib is not installed.
        TypeError: an image is no floating-point tensor.
        ValueError: the kind is unknown, or a shape or a value is out of range.
        OSError: the file cannot be written.
    """
    if kind not in KINDS:
        raise ValueError(expected("kind", f"one of {', '.join(KINDS)}", repr(kind)))
    if not isinstance(example, Tensor) or example.dim() < 2:
        got = list(example.shape) if isinstance(example, Tensor) else type(example).__name__
        raise ValueError(expected("example", "an image [H, W] or [C, H, W], or spikes [T, ...]", got))
    if kind == "images" and (example.dim() > 3 or (example.dim() == 3 and len(example) not in (1, 3))):
        raise ValueError(expected("example", "an image [H, W], [1, H, W] or [3, H, W]", list(example.shape)))
    x = example.detach().cpu()
    batch = x.unsqueeze(1) if kind == "spikes" else x.unsqueeze(0)
    found = [one for one in CORRUPTIONS.values() if one.kind == kind]
    if kind == "images":
        found = [one.in_image(x.shape[-1]) for one in found]
    figure = style.make_figure(8.4, 1.35 * len(found))
    panels = figure.subplots(len(found), 6, squeeze=False)
    for row, one in zip(panels, found, strict=True):
        for axes, strength in zip(row, (0.0, *one.strengths), strict=True):
            degraded = one.apply(batch, strength, torch.Generator().manual_seed(seed))
            _draw(axes, degraded[:, 0] if kind == "spikes" else degraded[0], kind)
            axes.set_title(f"{strength:g}", fontsize=9, pad=2)
        row[0].set_ylabel(one.title, fontsize=9)
    style.write(figure, path)


def _draw(axes: Any, x: Tensor, kind: Kind) -> None:
    if kind == "spikes":
        axes.imshow(x.flatten(1).float().T.numpy(), cmap="binary", aspect="auto", vmin=0, vmax=1, origin="lower")
    else:
        values = x.squeeze(0) if x.dim() == 3 and len(x) == 1 else x
        axes.imshow(values.movedim(0, -1).numpy() if values.dim() == 3 else values.numpy(), cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
