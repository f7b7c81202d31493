import pytest
import torch

from snntorch_binary.plots import load_curve, size_curve, symbol_raster


def test_symbol_raster_has_one_mark_for_each_symbol(figures, tmp_path):
    symbols = torch.zeros(6, 4, 2)
    symbols[1, 2, 0] = symbols[3, 0, 1] = symbols[3, 1, 1] = 1
    symbol_raster(symbols, tmp_path / "unused.png")
    first, second = figures[0].axes[0].collections
    assert first.get_offsets().tolist() == [[1, 2]]
    assert second.get_offsets().tolist() == [[3, 0], [3, 1]]


def test_size_curve_is_the_mean_over_seeds(figures, tmp_path):
    size_curve({"wta": {4: [0.5, 0.7], 0: [0.2, 0.4]}}, tmp_path / "unused.png")
    (line,) = figures[0].axes[0].get_lines()
    assert line.get_xdata().tolist() == [0, 4]
    assert line.get_ydata().tolist() == pytest.approx([30, 60])


def test_load_curve_is_the_mean_over_seeds_and_a_line_for_devices_alone(figures, tmp_path):
    load_curve({"some": {16.0: [0.5, 0.7], 2.0: [0.2, 0.4]}}, tmp_path / "unused.png", alone=[0.4, 0.6])
    curve, points, alone = figures[0].axes[0].get_lines()
    for each in (curve, points):
        assert each.get_xdata().tolist() == [2, 16]
        assert each.get_ydata().tolist() == pytest.approx([30, 60])
    assert set(alone.get_ydata()) == {50}


@pytest.mark.parametrize(
    ("draw", "error", "match"),
    [
        (lambda path: load_curve({}, path), ValueError, "at least one curve of at least one load, but got none"),
        (
            lambda path: load_curve({"a": {1: [0.5], 2: []}}, path),
            ValueError,
            "equally many seeds for each load of 'a'",
        ),
        (lambda path: load_curve({"a": {1: [1.5]}}, path), ValueError, "accuracies in .0, 1., but got other values"),
        (lambda path: symbol_raster(torch.ones(2, 3, 2), path), ValueError, "at most one 1 a circuit and time step"),
        (lambda path: symbol_raster(torch.ones(2, 3), path), ValueError, r"`symbols` to be of shape \[T, N, C\]"),
        (lambda path: symbol_raster([1], path), TypeError, "`symbols` to be a tensor"),
        (lambda path: size_curve({}, path), ValueError, "at least one curve"),
        (lambda path: size_curve({"a": {1: [0.5], 2: [0.5, 0.6]}}, path), ValueError, "equally many seeds"),
        (lambda path: size_curve({"a": {1: [1.5]}}, path), ValueError, "accuracies in"),
    ],
)
def test_bad_input_writes_nothing(draw, error, match, tmp_path):
    with pytest.raises(error, match=match):
        draw(tmp_path / "plot.png")
    assert list(tmp_path.iterdir()) == []
