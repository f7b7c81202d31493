"""What all pictures share: colours, figures, lines over seeds, and how a file is written.

Figures are built as objects, without pyplot: no display, no global state, safe in any thread. The suffix of
the path is the format (.png, .svg, .pdf). A file is complete or not there.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from torch import Tensor

from snntorch_binary._errors import expected, require
from snntorch_binary._files import write_bytes

# Okabe and Ito's palette: told apart with any colour vision, and ordered to differ in lightness too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#666666"
LINE_STYLES = ("-", "--", "-.", ":")
_DPI = 160


def make_figure(width: float, height: float) -> Any:
    """Return a figure of this size in inches, whatever style the user has set for pyplot."""
    figure_module = require("matplotlib.figure", "lightning")
    return figure_module.Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")


def plain_axes(axes: Any) -> None:
    """Take the frame's upper and right lines away."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def horizontal_grid(axes: Any) -> None:
    """Draw light lines to read values by."""
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.8)


def colour(index: int) -> str:
    """Return the colour of the predictor of this number."""
    return COLOURS[index % len(COLOURS)]


def line(axes: Any, index: int, x: Any, y: Any, label: str | None = None) -> None:
    """Draw the line of the predictor of this number, in its colour and style."""
    # A single point has no line to see.
    marker = "o" if len(x) == 1 else None
    dashes = LINE_STYLES[index % len(LINE_STYLES)]
    axes.plot(x, y, dashes, color=colour(index), linewidth=2, marker=marker, label=label)


def band(axes: Any, index: int, x: Any, low: Any, high: Any, label: str | None = None) -> None:
    """Shade what is between two lines, in the colour of the predictor of this number."""
    axes.fill_between(x, low, high, color=colour(index), alpha=0.18, linewidth=0, label=label)


def line_over_seeds(axes: Any, index: int, x: Any, values: Tensor, label: str | None = None) -> None:
    """Draw the mean of values [num_seeds, n] in a band from the least to the largest."""
    band(axes, index, x, values.amin(dim=0).numpy(), values.amax(dim=0).numpy())
    line(axes, index, x, values.mean(dim=0).numpy(), label)


def say_seeds(figure: Any, most_seeds: int) -> None:
    """Say over a figure what its bands are."""
    if most_seeds > 1:
        figure.suptitle(f"mean of {most_seeds} seeds, band from worst to best", fontsize=10, color=GREY)


def legend_below(figure: Any, axes: Any, columns: int) -> None:
    """Put the legend of one panel below all of them."""
    handles, names = axes.get_legend_handles_labels()
    columns = min(columns, len(names))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, fontsize=10, frameon=False)


def write(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure, all of it or nothing.

    Raises:
        FileNotFoundError: there is no such folder.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(expected("path", "a file in a folder that exists", repr(str(path))))
    image = io.BytesIO()
    figure.savefig(image, format=path.suffix.lstrip(".") or "png")
    write_bytes(path, image.getvalue())
