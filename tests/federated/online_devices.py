"""Small devices for the tests of FL-SNN."""

import copy

import torch

from snntorch_binary.federated.fl_snn.device import OnlineDevice
from snntorch_binary.learning import OnlineGLM
from snntorch_binary.nn import RaisedCosine, WTANetwork

NUM_BASIS, STEPS = 4, 6


def make_net(num_hidden=0, seed=0, **options):
    torch.manual_seed(seed)
    basis, feedback_basis = RaisedCosine(NUM_BASIS, 5), RaisedCosine(1, 3)
    return WTANetwork(5, num_hidden, 2, basis=basis, feedback_basis=feedback_basis, init=0.3, **options)


def make_data(label, num_examples=3):
    generator = torch.Generator().manual_seed(label)
    spikes = (torch.rand(num_examples, STEPS, 5, generator=generator) < 0.4).byte()
    return spikes, torch.full((num_examples,), label)


def make_device(net, label, seed=0, window=1, lr=0.2, **options):
    rule = OnlineGLM(copied := copy.deepcopy(net), kappa=0.3, window=window)
    return OnlineDevice(copied, *make_data(label), rule, lr=lr, seed=seed, **options)


def two_devices(net, **options):
    """One device for each class."""
    return [make_device(net, label, seed=label, **options) for label in (0, 1)]


def assert_same_state(one, other):
    mine, theirs = one.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert torch.equal(value, theirs[name]), name
