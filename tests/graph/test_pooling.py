"""Fused networks in which a max pooling stands behind a binary convolution."""

import copy

import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import nn
from torch.nn import functional as F

import snntorch_binary as sb
from snntorch_binary.graph.pooling import convolved_and_pooled
from snntorch_binary.kernels import convolution
from snntorch_binary.nn.binary import BinaryConv2d

pytest.importorskip("numba")


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch):
    monkeypatch.setattr(convolution, "_LEAST_WORK", 0)


@pytest.fixture
def calls(monkeypatch):
    """What each call of `pooled` gave."""
    found, pooled = [], BinaryConv2d.pooled

    def noting(layer, *args):
        found.append(pooled(layer, *args))
        return found[-1]

    monkeypatch.setattr(BinaryConv2d, "pooled", noting)
    return found


class Net(nn.Module):
    def __init__(self, pool, twice=False):
        super().__init__()
        self.conv, self.pool, self.twice = nn.Conv2d(2, 12, 3), pool, twice
        self.lif = snn.Leaky(beta=0.9, threshold=0.4, init_hidden=True)

    def forward(self, x):
        utils.reset(self)
        found = []
        for x_t in x:
            maps = self.conv(x_t)
            spikes = self.lif(self.pool(maps))
            found.append(spikes + maps.mean() if self.twice else spikes)
        return torch.stack(found)


POOLS = {
    "module": (lambda: nn.MaxPool2d(2), True),
    "wider steps": (lambda: nn.MaxPool2d((2, 3), stride=(3, 3)), True),
    "function": (lambda: lambda maps: F.max_pool2d(maps, 2), True),
    "function of torch": (lambda: lambda maps: torch.max_pool2d(maps, (3, 2), 3), True),
    "border": (lambda: nn.MaxPool2d(2, padding=1), False),
    "ceiling": (lambda: nn.MaxPool2d(4, ceil_mode=True), False),
    "overlapping": (lambda: nn.MaxPool2d(3, stride=1), False),
    "two entries": (lambda: nn.MaxPool2d((2, 1)), False),
    "mean": (lambda: nn.AvgPool2d(2), False),
}


@pytest.mark.parametrize("pool", POOLS)
def test_answers_and_gradients(pool, calls):
    torch.manual_seed(0)
    make, in_one = POOLS[pool]
    net = Net(make())
    sb.binarize_(net, sb.Sign())
    x = (torch.rand(5, 3, 2, 14, 14) < 0.1).float()
    fused, results = sb.fuse(net, x), []
    calls.clear()
    for of in (fused, net):
        net.zero_grad()
        output = of(x)
        (output.flatten(1) * torch.linspace(-1, 1, output[0].numel())).sum().backward()
        results.append([output.detach(), *(each.grad.clone() for each in net.parameters())])
    assert [found is not None for found in calls if found is not None] == [True] * in_one
    assert torch.equal(results[0][0], results[1][0])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("name", ["conv", "pool"])
@pytest.mark.parametrize("watch", ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"])
def test_who_looks_on_sees_the_calls(name, watch, calls):
    net = Net(nn.MaxPool2d(2))
    sb.binarize_(net, sb.Sign())
    x = (torch.rand(5, 3, 2, 14, 14) < 0.1).float()
    fused, seen = sb.fuse(net, x), []
    calls.clear()
    getattr(getattr(net, name), watch)(lambda *_: seen.append(1))
    fused(x).sum().backward()
    assert seen == [1]
    assert calls == []


def test_hooks_of_all_modules_are_called(calls):
    net, x = Net(nn.MaxPool2d(2)), (torch.rand(5, 3, 2, 14, 14) < 0.1).float()
    sb.binarize_(net, sb.Sign())
    fused, seen = sb.fuse(net, x), []
    calls.clear()
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(type(module).__name__))
    fused(x)
    handle.remove()
    assert {"BinaryConv2d", "MaxPool2d"} <= set(seen)
    assert calls == []


class Static(nn.Module):
    """An image that is shown as it is, whose convolution goes once."""

    def __init__(self, pool, inplace=False):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(2, 8, 3), nn.ReLU(inplace), pool
        self.lif = snn.Leaky(beta=0.9, threshold=0.4, init_hidden=True)

    def forward(self, x):
        utils.reset(self)
        return torch.stack([self.lif(self.pool(self.relu(self.conv(x)))) for _ in range(4)])


@pytest.mark.parametrize("change", [sb.freeze, sb.unbinarize_])
@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.AvgPool2d(2)], ids=["max", "mean"])
def test_layers_may_be_changed_after_fusing(change, pool):
    net, x = Static(pool), (torch.rand(3, 2, 14, 14) < 0.1).float()
    sb.binarize_(net, sb.Sign())
    fused = sb.fuse(net, x)
    expected = change(copy.deepcopy(net))(x)
    torch.testing.assert_close(change(fused)(x), expected)


def test_a_pooling_may_become_another():
    net, x = Net(nn.MaxPool2d(2)), (torch.rand(5, 3, 2, 14, 14) < 0.1).float()
    sb.binarize_(net, sb.Sign())
    fused = sb.fuse(net, x)
    fused.pool = net.pool = nn.AvgPool2d(2)
    torch.testing.assert_close(fused(x), net(x))


def test_what_writes_to_the_maps():
    net, x = Static(nn.MaxPool2d(2), inplace=True), (torch.rand(3, 2, 14, 14) < 0.1).float()
    sb.binarize_(net, sb.Sign())
    torch.testing.assert_close(sb.fuse(net, x)(x), net(x))
    layers = nn.Sequential(nn.Conv2d(2, 16, 3), nn.ReLU(inplace=True)).to(memory_format=torch.channels_last)
    sb.binarize_(layers, sb.Sign())
    layers(x).sum().backward()


def test_maps_that_somebody_else_takes_are_there():
    net = Net(nn.MaxPool2d(2), twice=True)
    sb.binarize_(net, sb.Sign())
    x = (torch.rand(5, 3, 2, 14, 14) < 0.1).float()
    torch.testing.assert_close(sb.fuse(net, x)(x), net(x))


def test_real_inputs_are_pooled_as_ever(calls):
    layer, pool, x = sb.nn.BinaryConv2d(2, 12, 3), nn.MaxPool2d(2), torch.rand(5, 3, 2, 14, 14)
    found = convolved_and_pooled(layer, pool, x, None)
    assert calls == [None]
    torch.testing.assert_close(found, pool(layer(x).flatten(0, 1)).unflatten(0, (5, 3)))
