import pytest

from snntorch_binary.plots import learning_curve

CURVES = {
    "st": [([1, 2, 3], [0.5, 0.7, 0.8]), ([1, 2, 3, 4], [0.6, 0.8, 0.9, 0.9])],
    "bayes": [([1], [0.4])],
}


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


def test_other_scores_are_drawn_as_they_are(figures, tmp_path):
    learning_curve({"st": [([1, 2], [3.0, 2.5])]}, tmp_path / "unused.png", score="RMSE")
    axes = figures[0].axes[0]
    assert axes.get_lines()[0].get_ydata() == pytest.approx([3.0, 2.5])
    assert axes.get_ylabel() == "validation RMSE"


def test_bad_input_writes_nothing(tmp_path):
    path = tmp_path / "plot.png"
    with pytest.raises(ValueError, match="`curves` to be at least one curve"):
        learning_curve({}, path)
    with pytest.raises(ValueError, match="an epoch that all seeds have, but got none for 'st'"):
        learning_curve({"st": [([1], [0.5]), ([2], [0.5])]}, path)
    with pytest.raises(ValueError, match=r"accuracies in \[0, 1\], but got 98 for 'st'"):
        learning_curve({"st": [([1], [98.0])]}, path)
    with pytest.raises(ValueError, match="finite scores, but got nan for 'st'"):
        learning_curve({"st": [([1], [float("nan")])]}, path, score="RMSE")
    with pytest.raises(ValueError, match="as many scores as epochs for 'st', but got 1 and 2"):
        learning_curve({"st": [([1, 2], [0.5])]}, path)
    assert list(tmp_path.iterdir()) == []
