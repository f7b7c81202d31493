"""What does not fold is refused in a sentence that names the line."""

import inspect
from collections import OrderedDict

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.graph.errors import NotAGraphError


class Loop(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(6, 5), snn.Leaky(beta=0.9, threshold=0.3)
        self.other = nn.Linear(6, 5)

    def forward(self, x):
        mem, rec = self.lif.init_leaky(), []
        for t in range(x.size(0)):
            spk, mem = self.step(t, x[t], mem)
            rec.append(spk)
        return torch.stack(rec)


class OtherLayerLater(Loop):
    def step(self, t, x, mem):
        return self.lif(self.other(x) if t == 2 else self.fc(x), mem)  # here


class DecidesByData(Loop):
    def step(self, t, x, mem):
        if self.fc(x).sum() > 0:  # here
            x = x * 2
        return self.lif(self.fc(x), mem)


class ReadsANumber(Loop):
    def step(self, t, x, mem):
        return self.lif(self.fc(x) * x.max().item(), mem)  # here


class OtherNumberAtEveryStep(Loop):
    def step(self, t, x, mem):
        return self.lif(self.fc(x) * 0.5**t, mem)  # here


class TensorFromOutside(Loop):
    outside = torch.rand(5, requires_grad=True)

    def step(self, t, x, mem):
        return self.lif(self.fc(x) + self.outside, mem)  # here


class WritesRandomNumbers(Loop):
    def step(self, t, x, mem):
        noise = torch.empty_like(x).normal_()  # here
        return self.lif(self.fc(x + noise), mem)


class OtherInTraining(Loop):
    def step(self, t, x, mem):
        current = self.fc(x)
        if self.training:
            current = torch.relu(current)  # here
        return self.lif(current, mem)


class OneStepLessOften(Loop):
    def forward(self, x):
        mem, rec = self.lif.init_leaky(), []
        for t in range(x.size(0)):
            spk, mem = self.lif(self.fc(x[t]), mem)
            if t % 2 == 0:
                rec.append(spk)
        return torch.stack(rec)  # here


class FutureIntoPast(Loop):
    def forward(self, x):
        mem, rec = self.lif.init_leaky(), []
        for t in range(x.size(0)):
            spk, mem = self.lif(self.fc(x[t]), mem)
            rec.append(spk)
        mean = torch.stack(rec).mean(0)
        for t in range(x.size(0)):
            spk, mem = self.lif(self.fc(x[t]) + mean, mem)
            rec.append(spk)
        return torch.stack(rec)


def line_of(kind):
    lines, first = inspect.getsourcelines(kind)
    return next(first + number for number, line in enumerate(lines) if "# here" in line)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (OtherLayerLater, "other stands in a later step where fc was"),
        (DecidesByData, "a decision or a number depends on data"),
        (ReadsANumber, "a decision or a number depends on data"),
        (OtherNumberAtEveryStep, "another number at every step"),
        (TensorFromOutside, "a tensor with a gradient"),
        (WritesRandomNumbers, "normal_ writes into a tensor"),
        (OtherInTraining, "on training mode"),
    ],
)
def test_a_sentence_with_the_line(kind, reason):
    with pytest.raises(NotAGraphError) as refused:
        sb.fuse(kind(), torch.rand(5, 2, 6))
    sentence = str(refused.value)
    assert sentence.startswith("The network does not fold over time: ")
    assert reason in sentence
    assert sentence.endswith(f"({__file__}, line {line_of(kind)}).")
    assert "\n" not in sentence


@pytest.mark.parametrize("kind", [OneStepLessOften, FutureIntoPast])
def test_refused(kind):
    net, x = kind(), torch.rand(5, 2, 6)
    with pytest.raises(NotAGraphError, match=r"line \d+\)\.$"):
        sb.fuse(net, x)


@pytest.mark.parametrize("name", ["spikes", "graph", "summary"])
@pytest.mark.parametrize("make", [sb.fuse, sb.pack])
def test_names_that_a_fused_network_has_itself(make, name):
    net = nn.Sequential(OrderedDict([(name, sb.nn.BinaryLinear(6, 5)), ("lif", snn.Leaky(0.5, init_hidden=True))]))
    with pytest.raises(ValueError, match=f"a name that a fused network has itself, but got '{name}'; rename it"):
        make(net, torch.rand(5, 2, 6))


def test_an_error_of_the_network_itself_is_the_users():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        sb.fuse(OneStepLessOften(), torch.rand(5, 2, 7))


def test_a_graph_that_answers_otherwise_is_refused(monkeypatch):
    from snntorch_binary.graph import neurons

    scan = neurons.leaky_scan_and_last

    def wrong(x, mem, beta, threshold, *rest):
        return scan(x, mem, beta, threshold * 0.5, *rest)

    monkeypatch.setattr(neurons, "leaky_scan_and_last", wrong)
    with pytest.raises(NotAGraphError, match="gives other answers than the network does"):
        sb.fuse(_Plain(), torch.rand(5, 2, 6))


def test_a_graph_with_other_gradients_is_refused(monkeypatch):
    from snntorch_binary.graph import neurons

    monkeypatch.setattr(neurons, "surrogate_of", lambda _: sb.nn.surrogate.Boxcar(width=0.5, fires_at_threshold=False))
    with pytest.raises(NotAGraphError, match="gives other gradients than the network does"):
        sb.fuse(_Plain(), torch.rand(5, 2, 6))


class _Plain(Loop):
    def step(self, t, x, mem):
        return self.lif(self.fc(x), mem)


@pytest.mark.parametrize(
    ("sample", "error"), [("x", TypeError), ((), TypeError), (torch.zeros(0, 2, 6), ValueError), (3, TypeError)]
)
def test_bad_samples(sample, error):
    with pytest.raises(error, match="Expected argument `sample`"):
        sb.fuse(_Plain(), sample)


def test_recording_leaves_no_hook():
    """What torch takes for a hook of all modules would change how it compiles the next network."""
    from torch.nn.modules.module import _has_any_global_hook

    sb.fuse(nn.Sequential(nn.Linear(4, 3), snn.Leaky(beta=0.9, init_hidden=True)), torch.rand(3, 2, 4))
    assert not _has_any_global_hook()


class OneNormTwice(nn.Module):
    """Its running statistics are taken of both layers in turn, at each step."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.bn = nn.Linear(6, 5), nn.Linear(5, 5), nn.BatchNorm1d(5)
        self.lif1, self.lif2 = snn.Leaky(beta=0.9, threshold=0.3), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        mem1, mem2, rec = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for x_t in x:
            spk, mem1 = self.lif1(self.bn(self.fc1(x_t)), mem1)
            spk, mem2 = self.lif2(self.bn(self.fc2(spk)), mem2)
            rec.append(spk)
        return torch.stack(rec)


def test_running_statistics_of_one_norm_at_two_places():
    """Of both places first the one and then the other would be taken; packed, nothing is taken any more."""
    torch.manual_seed(0)
    net, x = OneNormTwice(), torch.rand(5, 8, 6)
    sb.binarize_(net, sb.Sign())
    with pytest.raises(NotAGraphError, match="other running statistics than the network"):
        sb.fuse(net, x)
    net(x)
    torch.testing.assert_close(sb.pack(net.eval(), x)(x), net(x))


class KeepsOnItself(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.lif, self.log = nn.Linear(6, 4), snn.Leaky(beta=0.9), []

    def forward(self, x):
        mem, found = self.lif.init_leaky(), []
        for x_t in x:
            spikes, mem = self.lif(self.fc(x_t), mem)
            found.append(spikes)
        self.last, self.rate, self.steps = mem.detach(), torch.stack(found).mean(), len(x)
        self.log.append(self.rate)
        return torch.stack(found)


def test_what_a_network_keeps_on_itself_is_said():
    x = torch.rand(6, 3, 6)
    with pytest.warns(
        UserWarning, match=r"keeps what it computes on itself \(log, last, rate\); what is fused does not"
    ):
        fused = sb.fuse(KeepsOnItself(), x)
    assert fused(x).shape == (6, 3, 4)


class TakesTheWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(6, 4), snn.Leaky(beta=0.9)

    def forward(self, x):
        mem, found = self.lif.init_leaky(), []
        for x_t in x:
            spikes, mem = self.lif(nn.functional.linear(x_t, self.fc.weight), mem)
            found.append(spikes @ self.fc.weight)
        return torch.stack(found)


@pytest.mark.parametrize("rule", [sb.Sign(), sb.BalancedSign(), sb.Bernoulli()])
@pytest.mark.parametrize("make", [sb.fuse, sb.pack])
def test_a_weight_taken_out_of_its_layer_is_named(make, rule):
    x = torch.rand(6, 3, 6).round()
    assert sb.fuse(TakesTheWeight(), x)(x).shape == (6, 3, 6)
    net = TakesTheWeight()
    sb.binarize_(net, rule)
    with pytest.raises(NotAGraphError, match=r"takes the weight of a binary layer in place of calling .* line \d+"):
        make(net, x)
