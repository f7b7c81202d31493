"""Curves over the strength of corruptions, and what corruptions make of an example."""

import pytest
import torch

from snntorch_binary.data.corruptions import CORRUPTIONS
from snntorch_binary.plots import ShiftPanel, corruption_grid, shift_curves


def panel(title, labels=("st", "bayes"), num=3, **scores):
    of = {name: scores.get(name, torch.full((2, num), 0.5)) for name in ("accuracy", "nll", "ece")}
    return ShiftPanel(title, "share", (0.0, 0.2, -0.1)[:num], {label: of for label in labels})


def test_lines_are_means_over_seeds_in_the_order_of_strengths(figures, tmp_path):
    accuracy = torch.tensor([[0.9, 0.5, 0.8], [0.7, 0.3, 0.4]])
    nll = torch.tensor([[0.1, 1.0, 0.2], [0.3, 2.0, 0.4]])
    shift_curves([panel("dead pixels", accuracy=accuracy), panel("blur", nll=nll)], tmp_path / "unused.png")
    (figure,) = figures
    panels = figure.axes
    assert len(panels) == 6
    line = panels[0].get_lines()[0]
    assert line.get_xdata() == pytest.approx([-0.1, 0.0, 0.2])
    assert line.get_ydata() == pytest.approx([60, 80, 40])
    assert panels[3].get_lines()[1].get_ydata() == pytest.approx([0.3, 0.2, 1.5])
    assert [axes.get_title() for axes in panels[:2]] == ["dead pixels", "blur"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["st", "bayes"]


@pytest.mark.slow
def test_each_corruption_of_the_kind_is_a_row(figures, tmp_path):
    image = torch.rand(28, 28, generator=torch.Generator().manual_seed(0))
    corruption_grid(image, tmp_path / "unused.png", kind="images")
    corruption_grid(torch.eye(9), tmp_path / "unused.png", kind="spikes")
    for figure, kind in zip(figures, ("images", "spikes"), strict=True):
        of_kind = [one for one in CORRUPTIONS.values() if one.kind == kind]
        assert [axes.get_ylabel() for axes in figure.axes[::6]] == [one.title for one in of_kind]
        titles = [[axes.get_title() for axes in figure.axes[6 * row :][:6]] for row in range(len(of_kind))]
        assert titles == [["0", *(f"{strength:g}" for strength in one.strengths)] for one in of_kind]
    assert torch.equal(torch.from_numpy(figures[0].axes[0].images[0].get_array().data), image)
    assert (figures[1].axes[0].images[0].get_array() == torch.eye(9).numpy()).all()


def test_bad_input_writes_nothing(tmp_path):
    path = tmp_path / "plot.png"
    with pytest.raises(ValueError, match="`panels` to be at least one with a curve, but got none"):
        shift_curves([], path)
    with pytest.raises(ValueError, match="`panels` to be all with the labels st, bayes, but got st"):
        shift_curves([panel("blur"), panel("noise", ("st",))], path)
    with pytest.raises(ValueError, match=r"with ece \[num_seeds, 3\] of 'st' in 'blur', but got \[2, 4\]"):
        shift_curves([panel("blur", ece=torch.zeros(2, 4))], path)
    with pytest.raises(ValueError, match="`kind` to be one of spikes, images, but got 'sounds'"):
        corruption_grid(torch.eye(3), path, kind="sounds")
    with pytest.raises(ValueError, match=r"`example` to be an image .*, but got \[3\]"):
        corruption_grid(torch.ones(3), path, kind="images")
    with pytest.raises(ValueError, match="`spikes` to be 0 or 1"):
        corruption_grid(torch.full((3, 3), 0.5), path, kind="spikes")
    assert list(tmp_path.iterdir()) == []
