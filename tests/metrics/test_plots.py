import subprocess
import sys

import matplotlib.backends.backend_agg
import matplotlib.image
import numpy as np
import pytest
import torch

from snntorch_binary.metrics import (
    expected_calibration_error,
    learning_curve,
    plots,
    raster,
    reliability_diagram,
)


def predictions(num_examples=400, num_classes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(num_examples, num_classes, generator=generator)
    labels = torch.multinomial(torch.softmax(0.6 * logits, 1), 1, generator=generator).squeeze(1)
    return torch.softmax(logits, 1), labels


CURVES = {
    "st": [([1, 2, 3], [0.5, 0.7, 0.8]), ([1, 2, 3, 4], [0.6, 0.8, 0.9, 0.9])],
    "bayes": [([1], [0.4])],
}
SPIKES = (torch.rand(20, 30, generator=torch.Generator().manual_seed(0)) < 0.2).float()


@pytest.fixture
def figures(monkeypatch):
    """The figures drawn, instead of files."""
    drawn = []
    monkeypatch.setattr(plots, "_write", lambda figure, path: drawn.append(figure))
    return drawn


@pytest.mark.parametrize(
    ("draw", "data"),
    [
        (reliability_diagram, {"st": predictions()}),
        (learning_curve, CURVES),
        (raster, SPIKES),
    ],
)
class TestEveryPlot:
    @pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
    def test_the_suffix_is_the_format(self, draw, data, suffix, tmp_path):
        path = tmp_path / f"plot{suffix}"
        draw(data, path)
        start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
        assert path.read_bytes().startswith(start)
        assert list(tmp_path.iterdir()) == [path]

    def test_a_failure_leaves_the_old_file_and_nothing_else(self, draw, data, tmp_path, monkeypatch):
        path = tmp_path / "plot.png"
        path.write_bytes(b"old")
        monkeypatch.setattr(plots.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            draw(data, path)
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]

    def test_no_text_is_clipped(self, draw, data, figures, tmp_path):
        draw(data, tmp_path / "unused.png")
        canvas = matplotlib.backends.backend_agg.FigureCanvasAgg(figures[0])
        canvas.draw()
        drawn = figures[0].get_tightbbox(canvas.get_renderer())
        width, height = figures[0].get_size_inches()
        assert drawn.x0 >= 0
        assert drawn.y0 >= 0
        assert drawn.x1 <= width
        assert drawn.y1 <= height


def test_pyplot_and_a_display_are_not_needed(tmp_path):
    program = (
        "import sys, torch\n"
        "from snntorch_binary.metrics import raster\n"
        f"raster(torch.eye(5), {str(tmp_path / 'raster.png')!r})\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert matplotlib.image.imread(tmp_path / "raster.png").shape[2] == 4


def test_bars_and_gaps_of_the_reliability_diagram_add_up_to_the_ece(figures, tmp_path):
    probabilities, labels = predictions()
    reliability_diagram({"network": (probabilities, labels)}, tmp_path / "unused.png")
    top, bottom = figures[0].axes
    accuracy, gap = top.containers
    percent = np.array([bar.get_height() for bar in bottom.containers[0]])
    assert percent.sum() == pytest.approx(100)
    gaps = np.array([bar.get_height() for bar in gap])
    ece = expected_calibration_error(probabilities, labels)
    assert (percent / 100 * abs(gaps)).sum() == pytest.approx(ece, abs=1e-6)
    heights = np.array([bar.get_height() for bar in accuracy])
    correct = (probabilities.argmax(1) == labels).double().mean().item()
    assert (percent / 100 * heights).sum() == pytest.approx(correct)
    assert top.get_title() == f"network\nECE {100 * ece:.2f} %"


@pytest.mark.parametrize("num_panels", [1, 2, 3, 4, 5, 7])
def test_one_panel_for_each_predictor(num_panels, figures, tmp_path):
    reliability_diagram({f"rule {i}": predictions(seed=i) for i in range(num_panels)}, tmp_path / "unused.png")
    titles = [axes.get_title().split("\n")[0] for axes in figures[0].axes if axes.get_title()]
    assert sorted(titles) == [f"rule {i}" for i in range(num_panels)]
    assert len(figures[0].axes) == 2 * num_panels


def test_one_certain_example_is_drawn(figures, tmp_path):
    reliability_diagram({"sure": (torch.tensor([[1.0, 0.0]]), torch.tensor([0]))}, tmp_path / "unused.png")
    accuracy, _ = figures[0].axes[0].containers
    assert [(bar.get_x(), bar.get_height()) for bar in accuracy] == [(pytest.approx(14 / 15), 1.0)]


def test_learning_curve_is_the_mean_in_the_band_from_worst_to_best(figures, tmp_path):
    learning_curve(CURVES, tmp_path / "unused.png")
    axes = figures[0].axes[0]
    line = axes.get_lines()[0]
    assert line.get_xdata() == pytest.approx([1, 2, 3])
    assert line.get_ydata() == pytest.approx([55, 75, 85])
    band = axes.collections[0].get_paths()[0].vertices
    assert {tuple(vertex) for vertex in band.round(3)} == {
        (1, 50),
        (2, 70),
        (3, 80),
        (1, 60),
        (2, 80),
        (3, 90),
    }
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["st", "bayes"]


def test_raster_has_one_mark_for_each_spike(figures, tmp_path):
    raster(SPIKES, tmp_path / "unused.png")
    top, bottom = figures[0].axes
    marks = {(int(path.vertices[0, 0]), round(path.vertices[:, 1].mean())) for path in top.collections[0].get_paths()}
    assert marks == {tuple(index) for index in SPIKES.nonzero().tolist()}
    assert [bar.get_height() for bar in bottom.patches] == pytest.approx((100 * SPIKES.mean(1)).tolist())


def test_bad_input_writes_nothing(tmp_path):
    path = tmp_path / "plot.png"
    with pytest.raises(ValueError, match="`results` to be at least one predictor"):
        reliability_diagram({}, path)
    with pytest.raises(ValueError, match="rows that sum to 1"):
        reliability_diagram({"rates": (torch.ones(2, 3), torch.tensor([0, 1]))}, path)
    with pytest.raises(ValueError, match="`curves` to be at least one curve"):
        learning_curve({}, path)
    with pytest.raises(ValueError, match="an epoch that all seeds have, but got none for 'st'"):
        learning_curve({"st": [([1], [0.5]), ([2], [0.5])]}, path)
    with pytest.raises(ValueError, match=r"accuracies in \[0, 1\], but got 98 for 'st'"):
        learning_curve({"st": [([1], [98.0])]}, path)
    with pytest.raises(ValueError, match="as many accuracies as epochs for 'st', but got 1 and 2"):
        learning_curve({"st": [([1, 2], [0.5])]}, path)
    with pytest.raises(ValueError, match="`spikes` to be only 0 and 1"):
        raster(torch.full((2, 2), 0.5), path)
    with pytest.raises(ValueError, match=r"`spikes` to be of shape \[T, N\]"):
        raster(torch.zeros(2, 2, 2), path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        raster(SPIKES, tmp_path / "missing" / "raster.png")
