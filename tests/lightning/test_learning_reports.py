"""Reports epoch by epoch, with which training is what it is without them."""

import pytest
import torch
from torch.utils.data import DataLoader
from training import make_trainer

from snntorch_binary.lightning import BayesBiSNN, LearningReports, STBiSNN
from snntorch_binary.metrics import learning_report
from snntorch_binary.models import SpikingMLP

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "rates"), [(STBiSNN, {"latent_lr": 0.1}), (BayesBiSNN, {"lr": 0.6})])
def test_training_is_the_same(kind, rates, tmp_path):
    generator = torch.Generator().manual_seed(0)
    batches = [((torch.rand(5, 8, 6, generator=generator) < 0.5).float(), torch.arange(8) % 3) for _ in range(8)]
    states, reports = [], LearningReports(tmp_path / "learning.png")
    for callbacks in ([], [reports]):
        torch.manual_seed(0)
        module = kind(SpikingMLP(6, [16], 3, drive=4.0), 3, **rates, step=False)
        loader = DataLoader(batches, batch_size=None)
        make_trainer(3, callbacks).fit(module, loader, loader)
        states.append(module.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert list(reports.reports) == [1, 2, 3]
    for report in reports.reports.values():
        assert all(row.flipped is not None for row in report.layers)
        assert all((row.blocked is not None) == (kind is STBiSNN) for row in report.layers)
        assert all(row.entropy is not None for row in report.layers) == (kind is BayesBiSNN)
        assert len(report.neurons) == 1
    flips = [row.flipped for report in reports.reports.values() for row in report.layers]
    assert max(flips) > 0
    assert (tmp_path / "learning.png").read_bytes().startswith(b"\x89PNG")


def test_a_method_called_step_is_not_the_form_of_the_network():
    class Own(STBiSNN):
        def __init__(self):
            super().__init__(SpikingMLP(6, [16], 3, drive=4.0), 3)
            del self.step

        def step(self, batch):
            return batch

        def answering(self, x):
            return self.net, None, None

    x = (torch.rand(5, 8, 6, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    batches, reports = [(x, torch.arange(8) % 3)], LearningReports()
    module = Own()
    make_trainer(1, [reports]).fit(module, DataLoader(batches, batch_size=None), DataLoader(batches, batch_size=None))
    assert reports.reports[1].neurons == learning_report(module.net, x).neurons
    assert 0 < reports.reports[1].neurons[0].silent < 1
