"""What holds for every picture: formats, whole files, no clipped text, the same bytes each time."""

import functools
import subprocess
import sys

import matplotlib.backends.backend_agg
import matplotlib.image
import pytest
import torch

from snntorch_binary.metrics import EarlyExit, LearningReport, Scores, retained_accuracy
from snntorch_binary.metrics.learning_report import LayerReport, NeuronReport
from snntorch_binary.plots import (
    PopulationSegment,
    ShiftPanel,
    anytime_curve,
    continual_curve,
    corruption_grid,
    decision_surface,
    estimator_bias,
    learning_curve,
    learning_reports,
    load_curve,
    ood_histogram,
    plane,
    population_history,
    predictive_band,
    raster,
    rate_curve,
    rates_against_spikes,
    rejection_curve,
    reliability_diagram,
    rounds_curve,
    shift_curves,
    size_curve,
    style,
    symbol_raster,
)

generator = torch.Generator().manual_seed(0)
logits = 3 * torch.randn(200, 5, generator=generator)
probabilities = torch.softmax(logits, 1)
labels = torch.multinomial(torch.softmax(0.6 * logits, 1), 1, generator=generator).squeeze(1)
first = plane(20)[:, 0]
line = torch.linspace(-1, 5, 30)
some = torch.rand(6, generator=generator)
over_time = [Scores(0.1 * t, 0.3 - 0.03 * t, 1.0, 0.5) for t in range(8)]

DRAW = {
    "reliability": functools.partial(reliability_diagram, {"st": (probabilities, labels)}),
    "rounds": functools.partial(rounds_curve, {"average": [([1, 2], [0.5, 0.7]), ([1, 2], [0.4, 0.8])]}, x="MB"),
    "learning": functools.partial(learning_curve, {"st": [([1, 2, 3], [0.5, 0.7, 0.8]), ([1, 2], [0.6, 0.8])]}),
    "spikes": functools.partial(raster, (torch.rand(20, 30, generator=generator) < 0.2).float()),
    "symbols": functools.partial(symbol_raster, torch.eye(3)[torch.arange(40).view(8, 5) % 3]),
    "sizes": functools.partial(size_curve, {"st": {0: [0.5, 0.6], 4: [0.7, 0.9]}, "bayes": {4: [0.8, 0.8]}}),
    "load": functools.partial(
        load_curve, {"some": {2.0: [0.5, 0.6], 16.0: [0.9, 0.8]}, "all": {8.0: [0.8, 0.9]}}, alone=[0.5, 0.5]
    ),
    "surface": functools.partial(
        decision_surface,
        {"st": torch.stack([first, 1 - first], 1), "bayes": torch.full((400, 2), 0.5)},
        torch.rand(10, 2, generator=generator),
        torch.arange(10) % 2,
    ),
    "regression": functools.partial(
        predictive_band, {"st": (line, 0 * line), "bayes": (line, line.abs())}, line, line.sin(), some, some,
        intervals=[(-1, 0), (1.5, 2.5)],
    ),
    "rejection": functools.partial(rejection_curve, {"bayes": [retained_accuracy(probabilities, labels)] * 2}),
    "out of distribution": functools.partial(ood_histogram, {"st": (some, 1 + some), "bayes": (some, some)}),
    "shift": functools.partial(
        shift_curves,
        [
            ShiftPanel("noise spikes", "probability a cell and time step", (0.0, 0.1, 0.2), {"bayes": of, "st": of})
            for of in [{name: torch.rand(2, 3, generator=generator) for name in ("accuracy", "nll", "ece")}]
        ],
    ),
    "corruptions of images": functools.partial(corruption_grid, torch.eye(8).expand(3, 8, 8), kind="images"),
    "corruptions of spikes": functools.partial(corruption_grid, torch.eye(20) == 1, kind="spikes"),
    "anytime": functools.partial(
        anytime_curve, {"bayes": [over_time, over_time], "st": [over_time]},
        exits={"bayes": [EarlyExit(0.1, 3.5, over_time[5])]},
    ),
    "rates": functools.partial(rate_curve, line, {"soft": line.relu(), "noisy": line.sin()}, num_dots=1),
    "rates against spikes": functools.partial(rates_against_spikes, {"1": (some, 1.1 * some), "2": (some, some)}),
    "continual": functools.partial(continual_curve, {"st": torch.rand(2, 5, 5, generator=generator)}, list("abcde")),
    "population": functools.partial(
        population_history,
        [
            PopulationSegment(0, None, 0, 2, {"lr": 0.1, "rho": 0.0}, 0.5, winning=True),
            PopulationSegment(1, None, 0, 2, {"lr": 0.2, "rho": 0.1}, 0.4, winning=False),
            PopulationSegment(1, 0, 2, 4, {"lr": 0.08, "rho": 0.0}, 0.7, winning=True),
        ],
        score="val_ensemble_nll", log=["lr"],
    ),
    "learning reports": functools.partial(
        learning_reports,
        {
            epoch: LearningReport(
                (LayerReport("fc1", 0.1 / epoch, None, 0.1, 0.2), LayerReport("fc2", 0.2 / epoch, 0.5)),
                (NeuronReport("lif1", 0.1, 0.3, 0.0),),
            )
            for epoch in (1, 2, 3)
        },
    ),
    "estimators": functools.partial(
        estimator_bias, 0.1 * torch.arange(1, 7),
        {"gumbel": (some, 0.1 * some, 10 * some), "hard": (some[:1], torch.zeros(1), some[:1])},
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_it_is_written_whole_and_the_same_each_time_and_no_text_is_clipped(draw, monkeypatch, tmp_path):
    figures, write = [], style.write
    monkeypatch.setattr(style, "write", lambda figure, path: (figures.append(figure), write(figure, path)))
    paths = tmp_path / "once.png", tmp_path / "again.png"
    for path in paths:
        draw(path=path)
    once, again = (path.read_bytes() for path in paths)
    assert once.startswith(b"\x89PNG")
    assert once == again
    assert sorted(tmp_path.iterdir()) == sorted(paths)

    canvas = matplotlib.backends.backend_agg.FigureCanvasAgg(figures[0])
    drawn = figures[0].get_tightbbox(canvas.get_renderer())
    width, height = figures[0].get_size_inches()
    assert drawn.x0 >= 0
    assert drawn.y0 >= 0
    assert drawn.x1 <= width
    assert drawn.y1 <= height


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_the_suffix_is_the_format(suffix, start, tmp_path):
    path = tmp_path / f"plot{suffix}"
    DRAW["spikes"](path=path)
    assert path.read_bytes().startswith(start)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "plot.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(style.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        DRAW["spikes"](path=path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`path` to be a file in a folder that exists, but got '.*missing"):
        DRAW["spikes"](path=tmp_path / "missing" / "raster.png")


@pytest.mark.slow
def test_pyplot_and_a_display_are_not_needed(tmp_path):
    program = (
        "import sys, torch\n"
        "from snntorch_binary.plots import raster\n"
        f"raster(torch.eye(5), {str(tmp_path / 'raster.png')!r})\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert matplotlib.image.imread(tmp_path / "raster.png").shape[2] == 4
