"""FedSNN from its parts: how clients learn, and a round of VGG9 among a few of them."""

import pytest
import torch
from torch.nn import functional as F

from snntorch_binary.data import SignedRateEncoder, SpikeDataset, collate
from snntorch_binary.federated import IID, Average, NetworkCoordinator, Task, Update, round_seed
from snntorch_binary.federated.fedsnn import FedSNN
from snntorch_binary.federated.participant import NetworkParticipant
from snntorch_binary.models import VGG9, SpikingVGG9
from snntorch_binary.nn import BatchNormThroughTime


def images(size, num_steps):
    pixels = torch.randint(0, 256, (size, 3, 32, 32), dtype=torch.uint8)
    return SpikeDataset(pixels, torch.arange(size) % 10, num_steps=num_steps, encoder=SignedRateEncoder())


def test_a_step_is_that_of_sgd_on_the_mean_potential():
    net = SpikingVGG9(num_steps=2, width=1 / 32)
    module = FedSNN(net, 10, lr=0.05, momentum=0.8, weight_decay=0.01)
    x, y = images(4, 2).__getitems__(range(4))
    module.loss(x, y).backward()
    got = net.fc2.weight.grad.clone()
    net.zero_grad()
    F.cross_entropy(net(x).mean(0), y).backward()
    assert torch.equal(got, net.fc2.weight.grad)
    before = net.fc2.weight.detach().clone()
    module.configure_optimizer().step()
    torch.testing.assert_close(net.fc2.weight.detach(), before - 0.05 * (got + 0.01 * before))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: FedSNN(VGG9(width=1 / 32), 10, momentum=1.0), r"`momentum` to be a float in \[0, 1\)"),
        (lambda: FedSNN(VGG9(width=1 / 32), 10, weight_decay=-1.0), "`weight_decay` to be a float of at least 0"),
    ],
)
def test_bad_settings(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize("network", [lambda: SpikingVGG9(num_steps=3, width=1 / 16), lambda: VGG9(width=1 / 16)])
def test_a_round_averages_all_the_clients_sent(network):
    """Weights, the scales of every time step and their statistics: all that decides an answer."""
    dataset = images(40, 3)

    def make():
        return FedSNN(network(), 10, lr=0.1)

    aggregation = Average()
    parts = IID()(dataset.labels, 4, seed=0)
    loader = {"batch_size": 5, "drop_last": True, "collate_fn": collate}
    participant = NetworkParticipant(make, dataset, parts, aggregation, **loader)
    coordinator = NetworkCoordinator(network(), aggregation, uniform=True)
    start = coordinator.arrays()
    task = {client: Task(1, round_seed(0, 1), client, 4, 0) for client in (2, 0)}
    updates = {client: participant.train(start, task[client], {}) for client in task}
    assert all(coordinator.why_refused(update) is None for update in updates.values())
    coordinator.combine(updates, 1, round_seed(0, 1))
    first, second = (updates[client].arrays for client in (2, 0))
    names = [name for name, tensor in start.items() if tensor.is_floating_point()]
    assert len(names) >= 9 + 3 * 8
    for name in names:
        torch.testing.assert_close(coordinator.arrays()[name], (first[name] + second[name]) / 2)
        assert not torch.equal(coordinator.arrays()[name], start[name]), name


def test_noise_leaves_the_statistics_alone():
    net = SpikingVGG9(num_steps=2, width=1 / 32)
    coordinator = NetworkCoordinator(net, Average(), gradient_noise=1.0)
    sent = {name: tensor + 0.5 for name, tensor in coordinator.arrays().items()}
    coordinator.combine({0: Update(sent, 5)}, 1, seed=3)
    norm = next(layer for layer in net.modules() if isinstance(layer, BatchNormThroughTime))
    assert torch.equal(norm.running_mean, torch.full_like(norm.running_mean, 0.5))
    assert not torch.allclose(norm.weight, torch.full_like(norm.weight, 1.5), atol=0.05)
