"""Operations of a network's `forward` that are not layers: each is exported with all that is said of it, or not."""

import pytest
import snntorch as snn
import torch
from torch import nn
from torch.nn import functional

import snntorch_binary as sb

pytest.importorskip("nir")

HARD = {"reset_mechanism": "zero", "threshold": 0.2}


class Net(nn.Module):
    """A network whose `one_step` is given."""

    def __init__(self, one_step):
        super().__init__()
        self.own = one_step
        self.conv, self.a, self.b, self.head = nn.Conv2d(1, 2, 3), nn.Linear(12, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.lif, self.lif_b = (snn.Leaky(beta=0.9, init_hidden=True, **HARD) for _ in range(2))

    def forward(self, x):
        sb.reset(self)
        return torch.stack([self.own(self, x_t) for x_t in x])


def made(one_step, *shape):
    torch.manual_seed(0)
    return Net(one_step).eval(), (torch.rand(shape) < 0.5).float()


def pooled(pool):
    net, x = made(lambda net, x: net.lif_b(pool(net.lif(net.conv(x)))), 6, 3, 1, 8, 8)
    return net, x


@pytest.mark.parametrize(
    ("pool", "divisor"),
    [
        (lambda x: functional.avg_pool2d(x, 2, 2, 0, False, True, 3), 3),
        (lambda x: functional.avg_pool2d(x, 3, 1, 1), 9),
        (lambda x: functional.avg_pool2d(x, 2, ceil_mode=False, divisor_override=1), 1),
        (lambda x: functional.max_pool2d(x, 2, 2, 0, 1, False, False), None),
        (lambda x: torch.max_pool2d(x, 2), None),
    ],
)
def test_pooling_has_all_of_its_arguments(pool, divisor):
    net, x = pooled(pool)
    graph = sb.export.to_nir(net, x)
    found = [node.metadata["divisor"] for node in graph.nodes.values() if "divisor" in node.metadata]
    assert found == ([] if divisor is None else [divisor])
    assert torch.equal(sb.export.from_nir(graph)(x), net(x))


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (lambda x: functional.avg_pool2d(x, 3, 1, 1, False, False), "count_include_pad=False of module 'avg_pool2d'"),
        (lambda x: functional.avg_pool2d(x, 3, 2, 0, True), "ceil_mode=True .* of module 'avg_pool2d'"),
        (lambda x: torch.max_pool2d(x, 2, 2, 0, 2), "dilation, .* of module 'max_pool2d'"),
    ],
)
def test_pooling_that_nir_has_not_is_refused(pool, message):
    net, x = pooled(pool)
    with pytest.raises(sb.export.NIRExportError, match=message):
        sb.export.to_nir(net, x)


UNCHANGED = {
    "float32": lambda net, x: net.lif(net.a(x).to(torch.float32)),
    "device": lambda net, x: net.lif(net.a(x).to("cpu")),
    "another's": lambda net, x: net.lif(net.a(x).to(x)),
    "finer": lambda net, x: net.lif(net.a(x.to(dtype=torch.float64).float())),
    "dropout": lambda net, x: net.lif(net.a(functional.dropout(x, 0.5, net.training))),
    "dropout of nothing": lambda net, x: net.lif(net.a(functional.dropout(x, p=0.0))),
}


@pytest.mark.parametrize("name", UNCHANGED)
def test_what_changes_no_number_is_left_out(name):
    net, x = made(UNCHANGED[name], 6, 3, 12)
    assert net(x).sum() > 10
    assert torch.equal(sb.export.from_nir(sb.export.to_nir(net, x))(x), net(x))


CHANGED = {
    "currents": lambda net, x: net.lif(net.a(x).to(torch.int32).to(torch.float32)),
    "currents by name": lambda net, x: net.lif(net.a(x).to(dtype=torch.int16).float()),
    "input": lambda net, x: net.lif(net.a(x.to(torch.uint8).float())),
    "half": lambda net, x: net.lif(net.a(x).to(torch.bfloat16).float()),
    "long": lambda net, x: net.lif(net.a(x).long().float()),
    "dropout": lambda net, x: net.lif(net.a(functional.dropout(x, 0.5))),
    "dropout by name": lambda net, x: net.lif(net.a(torch.dropout(x, p=0.5, train=True))),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_rounds_or_drops_is_refused(name):
    net, x = made(CHANGED[name], 6, 3, 12)
    with pytest.raises(sb.export.NIRExportError, match=r"'(to|long|dropout)' before the input of module '(a|lif)'"):
        sb.export.to_nir(net, x)


def two(net, x):
    first = net.lif_b(net.a(x))
    return first, net.lif(net.b(first))


class Whole(Net):
    """Returns what is made of all steps, of two neurons or of the input and them."""

    def forward(self, x):
        sb.reset(self)
        first, last = (torch.stack(spikes) for spikes in zip(*[two(self, x_t) for x_t in x], strict=True))
        return self.own(x, first, last)


MET = {
    "product": (lambda x, first, last: first * last, "'mul' of several tensors"),
    "in a stack": (lambda x, first, last: torch.stack([first * last, last]), "'mul' of several tensors"),
    "maximum": (lambda x, first, last: torch.maximum(first, last), "'maximum' of several tensors"),
    "stack": (lambda x, first, last: torch.stack([first, last]), "'stack' of several tensors"),
    "behind sums": (lambda x, first, last: first.sum(0) - last.sum(0), "'sub' of several tensors"),
    "with the input": (lambda x, first, last: last * x.sum(-1, keepdim=True), "'mul' of several tensors"),
    "concatenation": (lambda x, first, last: torch.cat([first, last], -1), "a concatenation as the output"),
    "with itself": (lambda x, first, last: torch.cat([last, last], 2), "a concatenation as the output"),
    "one of a pair": (lambda x, first, last: (last, first * last), "'mul' of several tensors"),
}


@pytest.mark.parametrize("name", MET)
def test_several_tensors_that_meet_behind_the_last_neurons_are_refused(name):
    returned, message = MET[name]
    x = (torch.rand(6, 3, 12) < 0.5).float()
    with pytest.raises(sb.export.NIRExportError, match=message) as raised:
        sb.export.to_nir(Whole(returned).eval(), x)
    assert "\n" not in str(raised.value)


READ_OUT = {
    "sum": (lambda x, first, last: last.sum(0), 1),
    "mean": (lambda x, first, last: last.sum(0) / x.shape[0], 1),
    "shares": (lambda x, first, last: last.mean(0).softmax(-1), 1),
    "beside zeros": (lambda x, first, last: torch.zeros_like(x[0, :, :8]) + last.sum(0), 1),
    "sum of both, which edges say": (lambda x, first, last: first + last, 1),
    "two": (lambda x, first, last: (first.sum(0), last.mean(0)), 2),
}


@pytest.mark.parametrize("name", READ_OUT)
def test_what_reads_one_output_is_left_out(name):
    returned, outputs = READ_OUT[name]
    torch.manual_seed(0)
    net, x = Whole(returned).eval(), (torch.rand(6, 3, 12) < 0.5).float()
    graph = sb.export.to_nir(net, x)
    assert sum(type(node).__name__ == "Output" for node in graph.nodes.values()) == outputs
    found = sb.export.from_nir(graph)(x)
    if name == "sum of both, which edges say":
        assert torch.equal(found, net(x))
    elif outputs == 1:
        torch.testing.assert_close(READ_OUT[name][0](x, None, found), net(x))
