"""Curves over seeds: rejection, anytime, continual learning; and over temperatures: estimators."""

import pytest
import torch

from snntorch_binary.metrics import EarlyExit, RejectionCurve, Scores
from snntorch_binary.plots import anytime_curve, continual_curve, estimator_bias, rejection_curve


def scores(accuracy, ece):
    return Scores(accuracy, ece, nll=1.0, brier=0.5)


SHARES = torch.arange(40, dtype=torch.float64) / 40
REJECTION = [RejectionCurve(SHARES, 0.5 + SHARES / 2), RejectionCurve(SHARES, 0.7 + SHARES / 4)]
ANYTIME = {"bayes": [[scores(0.2, 0.3), scores(0.6, 0.1)], [scores(0.4, 0.2), scores(0.8, 0.1)]]}


def band(axes, index=0):
    """The lower and upper end of a band at each x."""
    vertices = axes.collections[index].get_paths()[0].vertices
    return {x: (vertices[vertices[:, 0] == x, 1].min(), vertices[vertices[:, 0] == x, 1].max()) for x in vertices[:, 0]}


def test_rejection_is_the_mean_over_seeds_up_to_95_percent(figures, tmp_path):
    rejection_curve({"bayes": REJECTION}, tmp_path / "unused.png")
    axes = figures[0].axes[0]
    drawn = axes.get_lines()[0]
    assert drawn.get_xdata() == pytest.approx(100 * SHARES[:39].numpy())
    assert drawn.get_ydata() == pytest.approx(100 * (0.6 + 0.375 * SHARES[:39].numpy()))
    assert band(axes)[0.0] == pytest.approx((50, 70))
    area = (0.6 + 0.375 * SHARES).mean().item()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [f"bayes (area {area:.4f})"]


def test_anytime_has_accuracy_and_ece_over_time_and_circles_of_early_exit(figures, tmp_path):
    exits = {"bayes": [EarlyExit(0.1, 1.5, scores(0.65, 0.12)), EarlyExit(0.2, 1.25, scores(0.5, 0.2))]}
    anytime_curve(ANYTIME, tmp_path / "unused.png", exits=exits)
    for axes, mean, circles in zip(figures[0].axes, ([30, 70], [25, 10]), ([65, 50], [12, 20]), strict=True):
        line, circle = axes.get_lines()
        assert line.get_xdata() == pytest.approx([1, 2])
        assert line.get_ydata() == pytest.approx(mean)
        assert list(circle.get_xdata()) == [1.5, 1.25]
        assert circle.get_ydata() == pytest.approx(circles)
    assert band(figures[0].axes[0])[2.0] == pytest.approx((60, 80))


@pytest.mark.slow
def test_continual_has_a_panel_for_each_task_and_one_for_those_seen(figures, tmp_path):
    nan = float("nan")
    matrix = torch.tensor([[0.9, nan, nan], [0.5, 0.8, nan], [0.3, 0.6, 0.9]])
    continual_curve({"st": torch.stack([matrix, matrix - 0.1])}, ["a", "b", "c"], tmp_path / "unused.png")
    panels = {axes.get_title(): axes for axes in figures[0].axes}
    assert list(panels) == ["a", "b", "c", "mean of tasks seen"]
    after = {
        name: (list(axes.get_lines()[0].get_xdata()), axes.get_lines()[0].get_ydata()) for name, axes in panels.items()
    }
    for name, steps, percent in (
        ("a", [1, 2, 3], [85, 45, 25]),
        ("b", [2, 3], [75, 55]),
        ("c", [3], [85]),
        ("mean of tasks seen", [1, 2, 3], [85, 60, 55]),
    ):
        assert after[name][0] == steps
        assert after[name][1] == pytest.approx(percent, abs=1e-4)
    assert band(panels["b"])[3.0] == pytest.approx((50, 60), abs=1e-4)


def test_estimators_have_bias_with_its_error_and_the_spread_of_a_draw(figures, tmp_path):
    tau = torch.tensor([0.1, 1.0, 10.0])
    gumbel = (torch.tensor([0.0, 0.1, 0.3]), torch.tensor([0.05, 0.02, 0.01]), torch.tensor([5.0, 2.0, 1.0]))
    hard = (torch.tensor([0.2]), torch.zeros(1), torch.tensor([0.5]))
    estimator_bias(tau, {"gumbel": gumbel, "hard": hard}, tmp_path / "unused.png")
    left, right = figures[0].axes
    _, of_gumbel, of_hard = left.get_lines()
    assert of_gumbel.get_ydata() == pytest.approx([0, 0.1, 0.3])
    assert of_hard.get_ydata() == pytest.approx([0.2] * 3)
    assert band(left)[1.0] == pytest.approx((0.06, 0.14))
    for drawn, deviation in zip(right.get_lines(), ([5, 2, 1], [0.5] * 3), strict=True):
        assert drawn.get_ydata() == pytest.approx(deviation)


def test_bad_input_writes_nothing(tmp_path):
    path = tmp_path / "plot.png"
    with pytest.raises(ValueError, match="`curves` to be at least one predictor"):
        rejection_curve({}, path)
    with pytest.raises(ValueError, match="one or more seeds of equally many examples for 'st', but got none"):
        rejection_curve({"st": []}, path)
    short = RejectionCurve(SHARES[:5], SHARES[:5])
    with pytest.raises(ValueError, match=r"equally many examples for 'st', but got \[5, 40\]"):
        rejection_curve({"st": [REJECTION[0], short]}, path)
    with pytest.raises(ValueError, match="equally many time steps for 'st', but got none"):
        anytime_curve({"st": []}, path)
    with pytest.raises(ValueError, match="`exits` to be of bayes, but got 'st'"):
        anytime_curve(ANYTIME, path, exits={"st": []})
    with pytest.raises(ValueError, match=r"`results` to be of shape \[S, 3, 3\], but got \[1, 2, 2\]"):
        continual_curve({"st": torch.zeros(1, 2, 2)}, ["a", "b", "c"], path)
    with pytest.raises(ValueError, match=r"accuracies in \[0, 1\], but got 98"):
        continual_curve({"st": torch.full((1, 2, 2), 98.0)}, ["a", "b"], path)
    with pytest.raises(ValueError, match="`results` to be finite"):
        continual_curve({"st": torch.full((1, 2, 2), float("nan"))}, ["a", "b"], path)
    tau = torch.tensor([1.0, 0.1])
    with pytest.raises(ValueError, match=r"`temperatures` to be positive and sorted, but got \[1.0, 0.1"):
        estimator_bias(tau, {"hard": (tau, tau, tau)}, path)
    with pytest.raises(ValueError, match=r"`results` to be of shape \[2\] or \[1\] for 'hard', but got \[3\]"):
        estimator_bias(tau.flip(0), {"hard": (torch.ones(3), tau, tau)}, path)
    assert list(tmp_path.iterdir()) == []
