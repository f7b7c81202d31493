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
