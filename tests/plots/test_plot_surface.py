import math

import pytest
import torch

from snntorch_binary.plots import decision_surface, plane

POINTS, LABELS = torch.tensor([[0.2, 0.9], [0.8, 0.1]]), torch.tensor([0, 1])


def surface(function, resolution=20, **extent):
    second = function(plane(resolution, **extent))
    return torch.stack([1 - second, second], 1)


def test_every_cell_shows_the_answer_at_its_centre(figures, tmp_path):
    low, high = -1.0, 3.0
    answers = surface(lambda points: torch.sigmoid(2 * points[:, 0] - points[:, 1]), low=low, high=high)
    decision_surface({"bayes": answers}, POINTS, LABELS, tmp_path / "unused.png", low=low, high=high)
    probability, entropy = (axes.images[0] for axes in figures[0].axes[:2])
    for x, y in ((-0.9, -0.9), (2.9, -0.9), (1.1, 2.5)):
        expected = 1 / (1 + math.exp(y - 2 * x))
        of_entropy = -expected * math.log(expected) - (1 - expected) * math.log(1 - expected)
        column, row = (int((value - low) / (high - low) * 20) for value in (x, y))
        assert probability.get_array()[row, column] == pytest.approx(expected, abs=1e-5)
        assert entropy.get_array()[row, column] == pytest.approx(of_entropy, abs=1e-5)
    assert probability.get_extent() == [low, high, low, high]
    assert probability.origin == "lower"


def test_the_line_is_where_both_classes_are_equally_probable(figures, tmp_path):
    answers = surface(lambda points: points[:, 0] * 0.5 + 0.35)  # 0.5 at a first coordinate of 0.3
    decision_surface({"bayes": answers}, POINTS, LABELS, tmp_path / "unused.png")
    boundary = figures[0].axes[0].collections[0].get_paths()[0].vertices
    assert boundary[:, 0] == pytest.approx(0.3, abs=1e-3)


def test_training_points_have_the_colour_of_their_class(figures, tmp_path):
    decision_surface({"st": surface(lambda points: points[:, 0])}, POINTS, LABELS, tmp_path / "unused.png")
    top = figures[0].axes[0]
    for of_class, dots in enumerate(top.collections[1:]):
        assert dots.get_offsets()[0].tolist() == pytest.approx(POINTS[of_class].tolist())
        sure = top.images[0].cmap(float(of_class))
        assert dots.get_facecolor()[0] == pytest.approx(sure, abs=0.01)


def test_one_column_for_each_predictor(figures, tmp_path):
    results = {f"rule {i}": surface(lambda points: points[:, 1]) for i in range(3)}
    decision_surface(results, POINTS, LABELS, tmp_path / "unused.png")
    assert [axes.get_title() for axes in figures[0].axes if axes.get_title()] == list(results)


def test_bad_input_writes_nothing(tmp_path):
    good, path = surface(lambda points: points[:, 0]), tmp_path / "plot.png"
    with pytest.raises(ValueError, match="`results` to be at least one predictor"):
        decision_surface({}, POINTS, LABELS, path)
    with pytest.raises(ValueError, match=r"of shape \[R \* R, 2\], as for the points of `plane`, for 'st', but got"):
        decision_surface({"st": good[1:]}, POINTS, LABELS, path)
    with pytest.raises(ValueError, match=r"`points` to be of shape \[N, 2\], but got \[2, 3\]"):
        decision_surface({"st": good}, torch.ones(2, 3), LABELS, path)
    with pytest.raises(ValueError, match=r"`labels` to be in 0\.\.1, but got the label 2"):
        decision_surface({"st": good}, POINTS, LABELS + 1, path)
    with pytest.raises(ValueError, match=r"`high` to be larger than `low` \(1\), but got 0"):
        plane(10, low=1, high=0)
    assert list(tmp_path.iterdir()) == []
