"""Fused networks whose maps lie channels-last answer and learn as those that are not."""

import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import nn

import snntorch_binary as sb
from snntorch_binary.graph.memory_order import contiguous
from snntorch_binary.kernels import convolution

pytest.importorskip("numba")


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch):
    monkeypatch.setattr(convolution, "_LEAST_WORK", 0)


class Net(nn.Module):
    """Convolutions with pooling, norm and a residual addition, whose author flattens by ``view``."""

    def __init__(self, learned):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(2, 8, 3), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3)
        self.norm, self.pool, self.fc = nn.BatchNorm2d(8), nn.MaxPool2d(2), nn.Linear(32, 4)
        beta, threshold = torch.rand(8, 1, 1), torch.rand(7, 7) + 0.2
        options = {"learn_beta": learned, "learn_threshold": learned}
        self.lif1 = snn.Leaky(beta=beta, threshold=threshold, init_hidden=True, **options)
        self.lif2 = snn.Synaptic(alpha=0.8, beta=0.9, threshold=0.3, init_hidden=True)
        self.lif3 = snn.Leaky(beta=0.5, threshold=0.2, init_hidden=True)
        self.lif4 = snn.Leaky(beta=0.5, init_hidden=True, reset_mechanism="none", output=True)

    def forward(self, x):
        utils.reset(self)
        found = []
        for x_t in x:
            early = self.lif1(self.pool(self.conv1(x_t)))
            late = self.lif2(self.norm(self.conv2(early)) + early)
            maps = torch.max_pool2d(self.lif3(self.conv3(late)), 2)
            found.append(self.lif4(self.fc(maps.view(len(maps), -1)))[1])
        return torch.stack(found)


@pytest.mark.parametrize("training", [False, True], ids=["in evaluation", "in training"])
@pytest.mark.parametrize("learned", [False, True], ids=["constants", "learned constants"])
@pytest.mark.parametrize("rule", [sb.Sign(), sb.Bernoulli()], ids=["st", "bayes"])
def test_answers_and_gradients(rule, learned, training):
    torch.manual_seed(0)
    net = Net(learned)
    sb.binarize_(net, rule)
    x = (torch.rand(6, 3, 2, 16, 16) < 0.1).float()
    fused = sb.fuse(net, x).train(training)
    orders = []
    for layer in (fused.lif1, fused.lif2):
        layer.register_forward_hook(lambda _, given, __: orders.append(given[0].is_contiguous()))
    results = []
    for of in (fused, net.train(training)):
        net.zero_grad()
        output = of(x)
        output.square().sum().backward()
        results.append([output.detach(), *(each.grad.clone() for each in net.parameters() if each.grad is not None)])
        if of is fused:
            assert not all(orders)
    assert results[0][0].is_contiguous()
    largest = max(float(each.abs().max()) for each in results[1][1:])  # that of a bias before a norm is rounding only
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5 * largest)


def test_who_asks_gets_contiguous_maps():
    class Maps(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.lif = nn.Conv2d(2, 8, 3), snn.Leaky(beta=0.9, init_hidden=True)

        def forward(self, x):
            utils.reset(self)
            currents = [self.conv(x_t) for x_t in x]
            return torch.stack([self.lif(current) for current in currents]), torch.stack(currents)

    net = Maps()
    sb.binarize_(net, sb.Sign())
    x = (torch.rand(6, 3, 2, 16, 16) < 0.1).float()
    for ours, theirs in zip(sb.fuse(net, x)(x), net(x), strict=True):
        assert ours.is_contiguous()
        assert torch.equal(ours, theirs)


def test_tuples_stay_what_they_are():
    x = torch.rand(2, 3, 4, 5).movedim(1, -1)
    state = sb.nn.Leaky(beta=0.5).State(x)
    assert contiguous(state).mem.is_contiguous()
    assert type(contiguous(state)) is type(state)
    assert all(each.is_contiguous() for each in contiguous((x, x)))
