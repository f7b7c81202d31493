"""Predictive band and out-of-distribution histogram."""

import itertools

import pytest
import torch

from snntorch_binary.metrics import ood_scores
from snntorch_binary.plots import ood_histogram, predictive_band

X = torch.linspace(-1, 5, 7)
TRAIN = torch.tensor([0.0, 2.0])


def test_the_band_is_two_standard_deviations_wide(figures, tmp_path):
    mean, std = X.sin(), 0.1 * X.abs()
    results = {"st": (mean, 0 * std), "bayes": (mean, std)}
    predictive_band(results, X, X.cos(), TRAIN, TRAIN, tmp_path / "unused.png", intervals=[(-1, 0), (2, 3)])
    panel = figures[0].axes[1]
    band = panel.collections[0].get_paths()[0].vertices
    for x, centre, spread in zip(X, mean, std, strict=True):
        at_x = band[abs(band[:, 0] - x.item()) < 1e-6, 1]
        assert at_x.min() == pytest.approx((centre - 2 * spread).item(), abs=1e-5)
        assert at_x.max() == pytest.approx((centre + 2 * spread).item(), abs=1e-5)
    assert panel.get_lines()[0].get_ydata() == pytest.approx(mean.numpy())
    assert panel.get_lines()[1].get_ydata() == pytest.approx(X.cos().numpy())
    assert [(patch.get_x(), patch.get_width()) for patch in panel.patches] == [(-1, 1), (2, 1)]
    names = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert sorted(names) == sorted(set(names))


def test_a_histogram_shows_every_input(figures, tmp_path):
    generator = torch.Generator().manual_seed(0)
    inside, outside = torch.rand(50, generator=generator), 0.5 + torch.rand(20, generator=generator)
    ood_histogram({"st": (inside, outside), "bayes": (inside, 3 * outside)}, tmp_path / "unused.png")
    panel = figures[0].axes[0]
    assert panel.get_title() == f"st\nAUROC {ood_scores(inside, outside).auroc:.3f}"
    edges = torch.linspace(inside.min().item(), 3 * outside.max().item(), 31)
    for bars, values in ((panel.patches[0], inside), (panel.patches[2], outside)):
        heights = bars.get_path().vertices[1:60:2, 1]
        percent = [100 * ((values >= a) & (values < b)).double().mean().item() for a, b in itertools.pairwise(edges)]
        assert heights == pytest.approx(percent)


def test_equal_scores_are_one_bar(figures, tmp_path):
    ood_histogram({"st": (torch.zeros(5), torch.zeros(4))}, tmp_path / "unused.png")
    assert figures[0].axes[0].get_title() == "st\nAUROC 0.500"


def test_bad_input_writes_nothing(tmp_path):
    path = tmp_path / "plot.png"
    with pytest.raises(ValueError, match="`results` to be at least one predictor"):
        predictive_band({}, X, X, TRAIN, TRAIN, path)
    with pytest.raises(ValueError, match="`inputs` to be sorted, but got values out of order"):
        predictive_band({"st": (X, X)}, X.flip(0), X, TRAIN, TRAIN, path)
    with pytest.raises(ValueError, match=r"`truth` to be of shape \[7\], but got \[6\]"):
        predictive_band({"st": (X, X)}, X, X[1:], TRAIN, TRAIN, path)
    with pytest.raises(ValueError, match="`results` to be finite"):
        predictive_band({"st": (X * float("nan"), X)}, X, X, TRAIN, TRAIN, path)
    with pytest.raises(ValueError, match="`results` to be at least one predictor"):
        ood_histogram({}, path)
    with pytest.raises(ValueError, match="`results` to be finite"):
        ood_histogram({"st": (X * float("nan"), X)}, path)
    assert list(tmp_path.iterdir()) == []
