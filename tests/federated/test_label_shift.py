"""A client's loss with its own label shares: its likelihood, nothing for classes it lacks, and less forgetting."""

import pytest
import torch

pytest.importorskip("lightning")

from snntorch_binary.data import collate, load
from snntorch_binary.experiments.answers import answers
from snntorch_binary.experiments.data import in_order
from snntorch_binary.federated import Average, Dirichlet, NetworkCoordinator, Task
from snntorch_binary.federated.label_shift import ShiftedClassification, label_shares, require_label_shift
from snntorch_binary.federated.participant import NetworkParticipant
from snntorch_binary.lightning import SpikingModule
from snntorch_binary.metrics import evaluate
from snntorch_binary.models import LocalSpikingMLP, SpikingMLP


def test_it_is_bayes_rule_for_the_clients_labels():
    """With scores ln p(y | x) of equally frequent classes, the loss is that of p(y | x) π(y) / Σ p(c | x) π(c)."""
    generator = torch.Generator().manual_seed(0)
    likelihood = torch.rand(6, 3, generator=generator).softmax(-1)
    shares, labels = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0, 1, 2, 0, 0, 1])
    posterior = likelihood * shares / (likelihood * shares).sum(-1, keepdim=True)
    wanted = -posterior[torch.arange(6), labels].log().mean()
    torch.testing.assert_close(ShiftedClassification(shares).loss(likelihood.log() + 2.0, labels), wanted)


def test_classes_without_examples_are_left_alone():
    scores = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ShiftedClassification(torch.tensor([0.5, 0.0, 0.5])).loss(scores, torch.tensor([0, 2, 2, 0])).backward()
    assert bool((scores.grad[:, 1].abs() < 1e-30).all())
    assert bool((scores.grad[:, 0] != 0).all())
    with_one = torch.zeros(4, 3, requires_grad=True)
    ShiftedClassification(torch.tensor([0.0, 1.0, 0.0])).loss(with_one, torch.tensor([1, 1, 1, 1])).backward()
    assert bool((with_one.grad.abs() < 1e-30).all())  # one class alone teaches nothing


def test_one_output_is_two_classes():
    score = torch.tensor([[0.3], [-1.2]])
    both, labels = torch.cat([-score / 2, score / 2], -1), torch.tensor([1, 0])
    for shares in (torch.tensor([0.9, 0.1]), torch.tensor([0.5, 0.5])):
        task = ShiftedClassification(shares)
        torch.testing.assert_close(task.loss(score, labels), task.loss(both, labels))


def test_the_module_is_put_back():
    module = SpikingModule(SpikingMLP(4, [3], 2), 2)
    task = module.task
    x, labels = torch.ones(2, 5, 4), torch.tensor([0, 1, 1, 1, 1])
    before = module.loss(x, labels)
    with label_shares(module, labels):
        assert module.loss(x, labels) < before  # the shares alone say more than equal ones
    assert module.task is task


@pytest.mark.parametrize(
    "module",
    [
        SpikingModule(SpikingMLP(4, [3], 1), None),
        SpikingModule(LocalSpikingMLP(4, [3], 2), 2, credit="local"),
    ],
    ids=["regression", "local"],
)
def test_what_has_no_such_loss_is_refused(module):
    with pytest.raises(ValueError, match=r"Expected argument `label_shift` to be False .*, but got True\."):
        require_label_shift(module)


def accuracy_after(shift):
    """Return the global network's accuracy after each of ten rounds of two clients each, of one or two classes each."""
    data = load("digits", num_steps=4)
    parts = Dirichlet(0.05)(data.train.labels, 5, seed=0)

    def make():
        torch.manual_seed(0)
        return SpikingModule(SpikingMLP(64, [64], 10, drive=3.0), 10, lr=1e-2, readout_scale=5.0)

    labels = data.train.labels if shift else None
    side = NetworkParticipant(make, data.train, parts, Average(), labels=labels, collate_fn=collate)
    module = make()
    server = NetworkCoordinator(module.net, Average())
    accuracy = []
    for number in range(1, 11):
        chosen = [(2 * number) % 5, (2 * number + 1) % 5]
        server.combine(
            {c: side.train(server.arrays(), Task(number, number, c, 5, 0), {}) for c in chosen}, number, number
        )
        found = answers(in_order(data.validation), lambda x: module.eval().answers(x, final=False))
        accuracy.append(evaluate(found["single"], found["labels"]).accuracy)
    return accuracy


@pytest.mark.slow
def test_averages_forget_less():
    without, shifted = accuracy_after(False), accuracy_after(True)
    assert sum(shifted[-5:]) / 5 > sum(without[-5:]) / 5 + 0.1
