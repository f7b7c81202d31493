"""Labels and targets of every type: the same in training and validation, or refused before anything is learned."""

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from training import make_trainer

from snntorch_binary.lightning import BayesBiSNN, SpikingModule, STBiSNN
from snntorch_binary.metrics import evaluate
from snntorch_binary.models import LocalSpikingMLP, SpikingMLP

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]

N, T, IN = 24, 4, 16


def batches(labels):
    def collate(batch):
        return torch.stack([x for x, _ in batch], 1), torch.stack([label for _, label in batch])

    x = (torch.rand(len(labels), T, IN, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    return DataLoader(TensorDataset(x, labels), 8, collate_fn=collate)


def fitted(labels, num_classes=3, credit="through-time"):
    torch.manual_seed(0)
    outputs = 1 if num_classes is None else num_classes
    net = SpikingMLP(IN, [12], outputs) if credit == "through-time" else LocalSpikingMLP(IN, [8], outputs)
    module = STBiSNN(net, num_classes, credit=credit)
    trainer = make_trainer(1)
    trainer.fit(module, batches(labels), batches(labels))
    (tested,) = trainer.test(module, batches(labels), verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items()} | tested


INTEGERS = [torch.uint8, torch.int32, torch.uint16]


@pytest.mark.parametrize("credit", ["through-time", "online"])
def test_labels_of_every_integer_type(credit):
    labels = torch.arange(N) % 3
    want = fitted(labels, credit=credit)
    for dtype in INTEGERS if credit == "through-time" else INTEGERS[:1]:
        assert fitted(labels.to(dtype), credit=credit) == want


def test_bool_is_one_of_two_classes():
    labels = torch.arange(N) % 2
    assert fitted(labels.bool(), 2) == fitted(labels, 2)


@pytest.mark.parametrize(
    ("labels", "error", "sentence"),
    [
        (torch.ones(N), TypeError, r"`labels` to be class numbers \[B\] of an integer type, but got torch.float32"),
        (torch.ones(N, 1), TypeError, "but got torch.float32"),
        (torch.eye(3).repeat(8, 1), TypeError, "but got torch.float32"),
        (
            torch.eye(3).repeat(8, 1).long(),
            ValueError,
            r"`labels` to be class numbers \[B\], but got the shape \[8, 3\]",
        ),
        (torch.ones(N).bool(), TypeError, "but got torch.bool"),
        (torch.full((N,), 3), ValueError, r"`labels` to be in 0..2, but got the label 3"),
        (torch.full((N,), -100), ValueError, r"`labels` to be in 0..2, but got the label -100"),
    ],
)
def test_other_labels_are_refused_before_anything_is_learned(labels, error, sentence):
    module = SpikingModule(SpikingMLP(IN, [12], 3), 3)
    before = [value.clone() for value in module.parameters()]
    with pytest.raises(error, match=sentence):
        make_trainer(1).fit(module, batches(labels), batches(labels))
    assert all(torch.equal(value, now) for value, now in zip(before, module.parameters(), strict=True))


def test_targets_of_a_regression():
    """[B, 1] would be subtracted from [B] as [B, B]."""
    targets = torch.linspace(-1, 1, N)
    want = fitted(targets, None)
    assert fitted(targets[:, None], None) == want
    assert fitted(targets.double(), None) == want
    assert fitted(torch.ones(N).int(), None) == fitted(torch.ones(N), None)
    for wrong, error in ((torch.ones(N, 2), ValueError), (torch.full((N,), torch.nan), ValueError)):
        with pytest.raises(error, match="Expected argument `targets` to be"):
            fitted(wrong, None)
    with pytest.raises(TypeError, match="`targets` to be real numbers"):
        fitted(torch.ones(N).bool(), None)


class Stream(IterableDataset):
    """Examples without a number of them."""

    def __iter__(self):
        return iter([((torch.rand(T, IN) < 0.3).float(), torch.tensor(i % 3)) for i in range(16)])


def test_a_stream_has_no_number_of_examples():
    data = DataLoader(Stream(), 8, collate_fn=batches(torch.zeros(1)).collate_fn)
    with pytest.raises(ValueError, match="`rho` to be a float of at least 0 where training data do not say how many"):
        make_trainer(max_steps=2, epochs=None).fit(BayesBiSNN(SpikingMLP(IN, [12], 3), 3, rho=None), data)
    make_trainer(max_steps=2, epochs=None).fit(BayesBiSNN(SpikingMLP(IN, [12], 3), 3, rho=0.01), data)


def test_answers_without_data_are_refused():
    probabilities, labels = torch.full((4, 2), 0.5), torch.zeros(4, dtype=torch.long)
    for wrong in (probabilities.to_sparse(), probabilities.to("meta")):
        with pytest.raises(ValueError, match="`probabilities` to be a dense tensor with data"):
            evaluate(wrong, labels)
    with pytest.raises(ValueError, match="`labels` to be a dense tensor with data, but got a meta tensor"):
        evaluate(probabilities, labels.to("meta"))


@pytest.mark.parametrize(("dtype", "scale"), [(torch.bfloat16, 4), (torch.float16, 1)])
def test_answers_in_half_precision_are_evaluated(dtype, scale):
    probabilities = (scale * torch.randn(500, 7, generator=torch.Generator().manual_seed(0))).softmax(-1)
    labels = torch.arange(500) % 7
    found, want = evaluate(probabilities.to(dtype), labels.to(torch.uint8)), evaluate(probabilities, labels)
    for name, value in vars(want).items():
        assert vars(found)[name] == pytest.approx(value, abs=5e-3), name
