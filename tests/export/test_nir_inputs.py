"""What is done to the input, and to sequences, before a layer takes them: an order of time and batch, or no export."""

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb

pytest.importorskip("nir")

HARD = {"reset_mechanism": "zero", "threshold": 0.2}


class Net(nn.Module):
    """What has a `forward` given."""

    def __init__(self, forward):
        super().__init__()
        self.own = forward
        self.a, self.b, self.part = nn.Linear(12, 8), nn.Linear(12, 8), nn.Linear(6, 8)
        self.conv, self.fc, self.d = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(64, 5), nn.Linear(8, 5)
        self.lif, self.other = (snn.Leaky(beta=0.9, init_hidden=True, **HARD) for _ in range(2))
        self.scan, self.scan2 = sb.nn.Leaky(0.9, **HARD), sb.nn.Leaky(0.8, **HARD)

    def forward(self, x):
        sb.reset(self)
        return self.own(self, x)

    def steps(self, xs, dim=0):
        return torch.stack([self.lif(self.a(x_t)) for x_t in xs], dim)


def made(forward, *shape):
    torch.manual_seed(0)
    return Net(forward).eval(), (torch.rand(shape) < 0.5).float()


def image(net, x):
    return net.lif(net.fc(net.conv(x).flatten(1)))


def swapped(x):
    return x.transpose(0, 1)


def time_last(x):
    return x.permute(2, 0, 1)


SAME = {
    "steps": ((6, 3, 12), lambda net, x: net.steps(x), lambda x: x),
    "index": ((6, 3, 12), lambda net, x: net.steps(x[t] for t in range(x.shape[0])), lambda x: x),
    "first steps": ((8, 3, 12), lambda net, x: net.steps(x[t] for t in range(5)), lambda x: x[:5]),
    "batch first": ((3, 6, 12), lambda net, x: net.steps(x[:, t] for t in range(x.shape[1])), swapped),
    "time last": ((3, 12, 6), lambda net, x: net.steps(x[..., t] for t in range(x.shape[-1])), time_last),
    "features last": (
        (3, 12, 6),
        lambda net, x: (lambda y: net.steps(y[:, t] for t in range(y.shape[1])))(x.transpose(1, 2)),
        time_last,
    ),
    "swapped": ((3, 6, 12), lambda net, x: net.steps(x.transpose(0, 1)), swapped),
    "swapped, time-first": ((3, 6, 12), lambda net, x: net.scan(net.a(x.transpose(0, 1))), swapped),
    "flattened": ((6, 3, 2, 6), lambda net, x: net.scan(net.a(x.flatten(2))), lambda x: x),
    "flattened steps": ((6, 3, 2, 6), lambda net, x: net.steps(x_t.flatten(1) for x_t in x), lambda x: x),
    "by hand": (
        (6, 3, 1, 4, 4),
        lambda net, x: torch.stack([net.lif(net.fc(net.conv(x_t).view(x_t.shape[0], -1))) for x_t in x]),
        lambda x: x,
    ),
    "joined, batch first": (
        (3, 6, 1, 4, 4),
        lambda net, x: net.scan(
            net.fc(net.conv(x.transpose(0, 1).flatten(0, 1)).flatten(1).view(x.shape[1], x.shape[0], -1))
        ),
        swapped,
    ),
    "the same at every step": ((3, 12), lambda net, x: net.steps([x] * 6), lambda x: x.expand(6, 3, 12)),
    "scan before a loop": (
        (6, 3, 12),
        lambda net, x: (lambda y: torch.stack([net.lif(net.d(y[t])) for t in range(len(y))]))(net.scan(net.a(x))),
        lambda x: x,
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_whole_steps_in_their_order_are_the_input(name):
    shape, forward, time_first = SAME[name]
    net, x = made(forward, *shape)
    expected = net(x)
    assert 0 < expected.sum() < expected.numel()
    assert torch.equal(sb.export.from_nir(sb.export.to_nir(net, x))(time_first(x)), expected)


FEATURES = {
    "before a loop": lambda net, x: torch.stack([image(net, x_t) for x_t in x.transpose(-1, -2)]),
    "in a loop": lambda net, x: torch.stack([image(net, x_t.transpose(-1, -2)) for x_t in x]),
    "time-first": lambda net, x: net.scan(
        net.fc(net.conv(x.swapaxes(-1, -2).flatten(0, 1)).flatten(1).unflatten(0, x.shape[:2]))
    ),
    "with time and batch": lambda net, x: torch.stack([image(net, x_t) for x_t in x.permute(0, 1, 2, 4, 3)]),
}


@pytest.mark.parametrize("name", FEATURES)
def test_features_in_another_order_are_refused(name):
    net, x = made(FEATURES[name], 6, 3, 1, 4, 4)  # a square, whose shape stays
    with pytest.raises(sb.export.NIRExportError, match=r"'(transpose|swapaxes|permute)' before the input of module"):
        sb.export.to_nir(net, x)


def backwards(net, x):
    return net.steps(x[t] for t in reversed(range(len(x))))


def bidirectional(net, x):
    back = [net.other(net.b(x[t])) for t in reversed(range(len(x)))]
    return net.steps(x[t] for t in range(len(x))), torch.stack(back)


PARTS = {
    "two halves": lambda net, x: torch.stack([net.lif(net.part(x_t[:, :6]) + net.part(x_t[:, 6:])) for x_t in x]),
    "two halves by one index": lambda net, x: torch.stack(
        [net.lif(net.part(x[t, :, :6]) + net.part(x[t, :, 6:])) for t in range(len(x))]
    ),
    "features in another order": lambda net, x: net.steps(x[t, :, list(range(11, -1, -1))] for t in range(len(x))),
    "part of the batch": lambda net, x: net.steps(x[t, :2] for t in range(len(x))),
    "backwards": backwards,
    "both ways": bidirectional,
    "late": lambda net, x: net.steps(x[t] for t in range(2, 6)),
    "backwards through layers": lambda net, x: (
        lambda y: torch.stack([net.lif(net.d(y[t])) for t in reversed(range(len(y)))])
    )(net.scan(net.a(x))),
    "over the batch of layers": lambda net, x: (
        lambda y: torch.stack([net.lif(net.d(y[:, t])) for t in range(y.shape[1])])
    )(net.scan(net.a(x))),
}


@pytest.mark.parametrize("name", PARTS)
def test_entries_that_are_no_whole_steps_in_their_order_are_refused(name):
    net, x = made(PARTS[name], 6, 3, 12)
    with pytest.raises(sb.export.NIRExportError, match=r"before the input of module '(a|b|part|d)'") as raised:
        sb.export.to_nir(net, x)
    assert "entries other than whole steps in their order" in str(raised.value) or name == "two halves"
    assert "\n" not in str(raised.value)


def test_one_channel_is_no_step():
    net, x = made(lambda net, x: net.steps(x[t, :, 0] for t in range(len(x))), 6, 3, 2, 12)
    with pytest.raises(sb.export.NIRExportError, match="entries other than whole steps"):
        sb.export.to_nir(net, x)


@pytest.mark.parametrize(
    "forward",
    [
        lambda net, x: net.scan(net.a(x.reshape(3, 6, 12))),
        lambda net, x: net.scan2(net.d(net.scan(net.a(x)).reshape(3, 6, 8))),
        lambda net, x: net.scan(net.a(x.flatten(0, 1)).view(3, 6, 8)),
    ],
)
def test_steps_and_examples_are_not_to_be_mixed_by_a_reshape(forward):
    net, x = made(forward, 6, 3, 12)
    with pytest.raises(sb.export.NIRExportError, match=r"'(reshape|view)' before the input of module"):
        sb.export.to_nir(net, x)


def test_time_is_one_dimension_of_the_input():
    net, x = made(lambda net, x: (net.scan(net.a(x)), net.scan2(net.b(x.transpose(0, 1)))), 4, 4, 12)
    with pytest.raises(sb.export.NIRExportError, match="several orders of time and batch"):
        sb.export.to_nir(net, x)


@pytest.mark.parametrize(
    "forward",
    [
        lambda net, x: net.scan(net.a(x.flatten(0, 1))),
        lambda net, x: net.scan2(net.d(net.scan(net.a(x)).flatten(0, 1))),
    ],
)
def test_neurons_do_not_run_over_time_and_batch_as_one(forward):
    net, x = made(forward, 6, 3, 12)
    with pytest.raises(sb.export.NIRExportError, match=r"time and batch as one before the input of module 'scan2?'"):
        sb.export.to_nir(net, x)
