"""Networks of several inputs in LightningModules: ``((x, context), labels)``, as loaders make of nested examples."""

import lightning as L
import pytest
import snntorch as snn
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import snntorch_binary as sb
from snntorch_binary.inference.readout import class_scores
from snntorch_binary.learning import LocalNetwork
from snntorch_binary.lightning import BalancedTrajectory, BayesBiSNN, LearningReports, SpikingModule, STBiSNN

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]

T, EXAMPLES = 6, 40


class WithContext(nn.Module):
    """Spikes [T, B, 8] and a context [B, 3], without which the classes cannot be told apart."""

    def __init__(self) -> None:
        super().__init__()
        self.current, self.norm, self.context = nn.Linear(8, 24), nn.BatchNorm1d(24), nn.Linear(3, 24)
        self.neuron, self.readout, self.output = snn.Leaky(0.9), nn.Linear(24, 2), snn.Leaky(0.9)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        membrane, last, found = self.neuron.reset_mem(), self.output.reset_mem(), []
        shift = self.context(context)
        for x_t in x:
            spikes, membrane = self.neuron(self.norm(self.current(x_t) + shift), membrane)
            spikes, last = self.output(self.readout(spikes), last)
            found.append(spikes)
        return torch.stack(found)


def examples() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(EXAMPLES) % 2
    context = torch.randn(EXAMPLES, 3, generator=generator) + 3 * (2 * labels[:, None] - 1)
    return (torch.rand(EXAMPLES, T, 8, generator=generator) < 0.3).float(), context, labels


def loader(batch_size: int = 10) -> DataLoader:
    def collate(rows):
        x, context, labels = (torch.stack(column) for column in zip(*rows, strict=True))
        return [x.transpose(0, 1), context], labels  # a list, as torch's own collate function makes of tuples

    return DataLoader(TensorDataset(*examples()), batch_size, collate_fn=collate)


def trainer(epochs: int, *callbacks: L.Callback) -> L.Trainer:
    return L.Trainer(
        max_epochs=epochs,
        callbacks=list(callbacks),
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda net: STBiSNN(net, 2, lr=1e-2),
        lambda net: BayesBiSNN(net, 2, num_train_samples=2),
        lambda net: BalancedTrajectory(net, 2),
    ],
)
def test_it_learns_what_only_the_second_says(make) -> None:
    torch.manual_seed(0)
    module, reports = make(WithContext()), LearningReports()
    trainer(15, reports).fit(module, loader(), loader())
    assert reports.reports[14].neurons
    found = trainer(1).test(module, loader(), verbose=False)[0]
    assert max(value for key, value in found.items() if "accuracy" in key) > 0.9


def test_it_answers_as_the_network_does() -> None:
    torch.manual_seed(0)
    module = STBiSNN(WithContext(), 2).eval()
    x, context, _ = examples()
    inputs = (x.transpose(0, 1), context)
    expected = class_scores(module.net, inputs, module.readout, module.readout_scale).softmax(-1)
    (answer, *_) = trainer(1).predict(module, loader(EXAMPLES))
    torch.testing.assert_close(answer["single"], expected)
    torch.testing.assert_close(module.predict_step((inputs,), 0)["single"], expected)
    torch.testing.assert_close(module(inputs).softmax(-1), expected)


def test_layers_that_learn_by_themselves_take_one() -> None:
    block = nn.Sequential(sb.nn.SynapticTrace(), sb.nn.BinaryLinear(8, 4), sb.nn.Refractory())
    module = SpikingModule(LocalNetwork([block], 2, (8,), burn_in=1), 2, credit="local")
    with pytest.raises(
        TypeError, match=r"a pair \(x, targets\) of tensors; make it .* but got a list of list, Tensor\.$"
    ):
        trainer(1).fit(module, DataLoader([0], collate_fn=lambda _: [*next(iter(loader()))]))
