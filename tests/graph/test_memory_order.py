"""Fused networks whose maps lie channels-last answer and learn as those that are not."""

import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import nn

import snntorch_binary as sb
from snntorch_binary.graph import neurons, pooling, running
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


def test_an_image_is_normalized_and_read_once_and_its_spikes_lie_as_convolutions_take_them(monkeypatch):
    class Shown(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.Sequential(
                *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), snn.Leaky(beta=0.9, init_hidden=True), nn.AvgPool2d(2)),
                *(nn.Conv2d(8, 4, 3), snn.Leaky(beta=0.9, init_hidden=True, output=True)),
            )

        def forward(self, x):
            for part in self.parts:
                if isinstance(part, snn.Leaky):
                    part.reset_mem()
            return torch.stack([self.parts(x)[0] for _ in range(5)])

    pytest.importorskip("numba")
    net, x = Shown(), torch.rand(6, 3, 12, 12)
    sb.binarize_(net, sb.Sign())
    fused, seen = sb.fuse(net, x), []
    for module, name in ((running, "normalized_and_repeated"), (neurons, "leaky_scan_and_last"), (pooling, "averages")):
        of = getattr(module, name)

        def noted(*given, of=of, name=name):
            found = of(*given)
            seen.append((name, given, found))
            return found

        monkeypatch.setattr(module, name, noted)
    fused(x).sum().backward()
    (_, (_, image, steps), _), (_, (current, *_, times), (spikes, *_)), (_, (pooled, _), means), _ = seen
    assert [name for name, *_ in seen] == [
        *("normalized_and_repeated", "leaky_scan_and_last", "averages", "leaky_scan_and_last")
    ]
    assert (image.shape, steps, times) == ((6, 8, 10, 10), 5, 5)
    assert current.shape == image.shape
    assert current.is_contiguous(memory_format=torch.channels_last)
    assert spikes.movedim(2, -1).is_contiguous()
    assert pooled.shape == (30, 8, 10, 10)
    assert means is not None
