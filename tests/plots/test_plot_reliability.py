import numpy as np
import pytest
import torch

from snntorch_binary.metrics import expected_calibration_error
from snntorch_binary.plots import reliability_diagram


def predictions(num_examples=400, num_classes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(num_examples, num_classes, generator=generator)
    labels = torch.multinomial(torch.softmax(0.6 * logits, 1), 1, generator=generator).squeeze(1)
    return torch.softmax(logits, 1), labels


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


@pytest.mark.slow
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


def test_bad_input_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="`results` to be at least one predictor"):
        reliability_diagram({}, tmp_path / "plot.png")
    with pytest.raises(ValueError, match="rows that sum to 1"):
        reliability_diagram({"rates": (torch.ones(2, 3), torch.tensor([0, 1]))}, tmp_path / "plot.png")
    assert list(tmp_path.iterdir()) == []
