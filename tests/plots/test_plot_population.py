import pytest

from snntorch_binary.plots import PopulationSegment, population_history, style

SEGMENTS = [
    PopulationSegment(0, None, 0, 2, {"lr": 0.1, "rho": 0.0}, 0.5, winning=True),
    PopulationSegment(1, None, 0, 2, {"lr": 0.2, "rho": 0.1}, 0.4, winning=False),
    PopulationSegment(0, 0, 2, 4, {"lr": 0.1, "rho": 0.0}, 0.6, winning=False),
    PopulationSegment(1, 0, 2, 4, {"lr": 0.08, "rho": 0.0}, 0.7, winning=True),
]


def lines(axes, winning):
    chosen = [line for line in axes.get_lines() if (line.get_color() == style.colour(0)) == winning]
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in chosen]


def test_the_winners_line_goes_through_a_copy_and_shows_what_it_had(figures, tmp_path):
    population_history(SEGMENTS, tmp_path / "unused.png", score="Q", log=["lr"])
    lineage, scores, lr, rho = figures[0].axes
    assert lines(lineage, True) == [([0, 2], [0, 0]), ([2, 4], [1, 1]), ([2, 2], [0, 1])]
    assert lines(lineage, False) == [([0, 2], [1, 1]), ([2, 4], [0, 0])]
    assert lines(scores, True) == [([2], [0.5]), ([4], [0.7])]
    assert lines(lr, True) == [([0, 2], [0.1, 0.1]), ([2, 4], [0.08, 0.08])]
    assert lines(rho, False) == [([0, 2], [0.1, 0.1]), ([2, 4], [0.0, 0.0])]
    assert [axes.get_ylabel() for axes in figures[0].axes] == ["member", "Q", "lr", "rho"]
    assert (lr.get_yscale(), rho.get_yscale()) == ("log", "linear")


def test_nothing_to_draw(tmp_path):
    with pytest.raises(ValueError, match="`segments` to be at least one"):
        population_history([], tmp_path / "unused.png")
