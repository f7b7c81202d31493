"""The pictures of this site that are drawn, or taken from the notebooks, when it is built."""

import base64
import json
from pathlib import Path

import torch

from snntorch_binary.data import load
from snntorch_binary.plots import corruption_grid


def draw(folder: Path) -> None:
    """Draw what each corruption does, to a digit and to a wave of spikes that runs over 40 cells in 60 time steps."""
    corruption_grid(load("digits").test.inputs[3].view(8, 8), folder / "corruptions-images.png", kind="images")
    step, cell = torch.arange(60.0), torch.arange(40.0)
    middle = 20 + 14 * (step / 8).sin()
    rate = 0.9 * (-0.5 * ((cell - middle[:, None]) / 2) ** 2).exp()
    spikes = torch.rand(rate.shape, generator=torch.Generator().manual_seed(1)) < rate  # 0 is the corruptions' own
    corruption_grid(spikes, folder / "corruptions-spikes.png", kind="spikes")


def thumbnails(notebooks: Path, folder: Path) -> None:
    """Keep the last picture of each notebook as ``tutorial-NN.png``, or ``.jpeg``, NN being its number."""
    for path in sorted(notebooks.glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf8"))["cells"]
        shown = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
        pictures = [(kind, data[kind]) for data in shown for kind in ("image/png", "image/jpeg") if kind in data]
        kind, picture = pictures[-1]
        name = f"tutorial-{path.name[:2]}.{kind.partition('/')[2]}"
        (folder / name).write_bytes(base64.b64decode(picture))
