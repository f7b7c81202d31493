"""Local differential privacy: noise and a bound on all that is learned, and on nothing else."""

import pytest
import torch
from torch import nn

pytest.importorskip("flwr")

import snntorch_binary as sb
from snntorch_binary.federated import Average, NetworkCoordinator, Update
from snntorch_binary.federated.aggregation import learned_names
from snntorch_binary.federated.flower import InProcessGrid, client_app, run_in_process, server_app
from snntorch_binary.federated.flower.local_privacy import LocalPrivacyModifier
from snntorch_binary.federated.protection import LocalPrivacy


def make_net():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(6, 4),
        sb.nn.TimeFirst(nn.BatchNorm1d(4)),
        sb.nn.Leaky(beta=0.9, threshold=1.0, learn_threshold=True),
        nn.Linear(4, 3),
    )
    net[3].bias.requires_grad_(False)
    return net


class Mover:
    """Answers by a network of which everything has moved; it says what of it is learned, or nothing."""

    def __init__(self, by, says):
        self.by, self.says = by, says

    def train(self, arrays, task, memory):
        names = learned_names(make_net()) if self.says else None
        return Update({name: tensor + self.by for name, tensor in arrays.items()}, 7, {"loss": 0.5}, names)


def federate(by, privacy, says=True):
    net, reports = make_net(), []
    app = client_app(Mover(by, says), [LocalPrivacyModifier(privacy)])
    run_in_process(server_app(NetworkCoordinator(net, Average()), 1, 1, on_round=reports.append), InProcessGrid(app, 1))
    start = make_net().state_dict()
    return {name: tensor - start[name] for name, tensor in net.state_dict().items()}, reports[0]


LEARNED = {"0.weight", "0.bias", "1.module.weight", "1.module.bias", "1.module.running_mean", "1.module.running_var"}
LEARNED |= {"2.threshold", "3.weight"}


def test_what_is_learned_is_clipped_and_the_rest_stays():
    assert learned_names(make_net()) == LEARNED
    moved, report = federate(1, LocalPrivacy(clipping_norm=0.5, sensitivity=0.0, epsilon=1.0, delta=1e-5))
    whole = torch.cat([moved[name].flatten() for name in LEARNED])
    assert float(whole.norm()) == pytest.approx(0.5, rel=1e-5)
    assert float(moved["2.threshold"]) == pytest.approx(0.5 / len(whole) ** 0.5, rel=1e-4)  # one number is learned, too
    for name in moved.keys() - LEARNED:
        assert not moved[name].any(), name
    assert (report.used, report.metrics) == ([0], {0: {}})


@pytest.mark.parametrize("by", [0, 1])
def test_noise_is_on_all_that_is_learned_whether_it_has_moved_or_not(by):
    deviations = []
    for _ in range(20):
        moved, report = federate(by, LocalPrivacy(clipping_norm=0.5, sensitivity=0.1, epsilon=1.0, delta=1e-5))
        assert report.used == [0]
        assert all(moved[name].all() for name in LEARNED)
        assert not any(moved[name].any() for name in moved.keys() - LEARNED)
        deviations.append(torch.cat([moved[name].flatten() for name in sorted(LEARNED)]))
    sigma = 0.1 * (2 * torch.tensor(1.25 / 1e-5).log()).sqrt()
    assert torch.stack(deviations).std(0).square().mean().sqrt() == pytest.approx(float(sigma), rel=0.1)


def test_of_a_client_that_does_not_say_all_numbers_get_noise():
    moved, _ = federate(0, LocalPrivacy(clipping_norm=0.5, sensitivity=0.1, epsilon=1.0, delta=1e-5), says=False)
    for name, tensor in moved.items():
        assert bool(tensor.all()) == make_net().state_dict()[name].is_floating_point(), name
