"""What a report of learning says, each number against one that is known."""

import copy
import math

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.metrics import learning_report


def test_flips_are_counted_since_the_report_before():
    net = nn.Sequential(sb.nn.BinaryLinear(10, 4), sb.nn.Leaky(beta=0.9), sb.nn.BinaryLinear(4, 2))
    first = learning_report(net)
    assert [(row.name, row.flipped) for row in first.layers] == [("0", None), ("2", None)]
    with torch.no_grad():
        net[0].latent.view(-1)[:6].neg_()
    second = learning_report(net, since=first)
    assert [row.flipped for row in second.layers] == [pytest.approx(6 / 40), 0.0]
    assert learning_report(net, since=second).layers[0].flipped == 0.0


@pytest.mark.parametrize(("latent", "entropy"), [(0.0, 1.0), (30.0, 0.0), (0.5 * math.log(3), 0.8112781)])
def test_entropy_of_a_posterior_in_bits(latent, entropy):
    layer = sb.nn.BinaryLinear(5, 3, weight=sb.Bernoulli())
    with torch.no_grad():
        layer.latent.fill_(latent).mul_(torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0]))
    (row,) = learning_report(layer).layers
    assert row.entropy == pytest.approx(entropy, abs=1e-6)
    assert (row.outside, row.blocked) == (None, None)


def test_gradients_outside_the_clip():
    layer = sb.nn.BinaryLinear(4, 1, bias=False, scale=1.0)
    with torch.no_grad():
        layer.latent.copy_(torch.tensor([[0.5, -2.0, 3.0, 0.1]]))
    (layer(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))).sum().backward()
    (row,) = learning_report(layer).layers
    assert row.outside == 0.5
    assert row.blocked == pytest.approx((2 + 3) / 10)
    assert layer.latent.grad.tolist() == [[1.0, 0.0, 0.0, 4.0]]
    torch.optim.SGD(layer.parameters(), lr=0.1).step()
    assert learning_report(layer).layers[0].blocked is None
    identity = sb.nn.BinaryLinear(4, 1, weight=sb.Sign("identity"))
    assert learning_report(identity).layers[0].outside is None


class Loop(nn.Module):
    """One neuron that never fires, one that always does, and two in between."""

    def __init__(self, lif):
        super().__init__()
        self.fc, self.lif = sb.nn.BinaryLinear(4, 4, scale=1.0), lif

    def forward(self, x):
        state, spikes = self.lif.init_leaky(), []
        for step in x:
            out, state = self.lif(self.fc(step), state)
            spikes.append(out)
        return torch.stack(spikes)


@pytest.mark.parametrize("kind", ["loop", "time-first"])
def test_silent_and_saturated_neurons(kind):
    lif = snn.Leaky(beta=0.0, reset_mechanism="none")
    net = Loop(lif) if kind == "loop" else nn.Sequential(sb.nn.BinaryLinear(4, 4, scale=1.0), sb.nn.Leaky(beta=0.0))
    fc = net.fc if kind == "loop" else net[0]
    if kind == "time-first":
        net[1] = sb.nn.Leaky(beta=0.0, reset_mechanism="none")
    with torch.no_grad():
        fc.latent.fill_(0.5)
        fc.bias.copy_(torch.tensor([-9.0, 9.0, -1.5, -2.5]))
    x = torch.zeros(5, 2, 4)
    x[0, :, :3] = 1  # a current of 3 in the first of five steps, for both examples
    (row,) = learning_report(net, x).neurons
    assert (row.silent, row.saturated) == (0.5, 0.25)
    assert row.rate == pytest.approx((5 + 1) / 20)
    assert any("silent" in line for line in learning_report(net, x[1:]).advice)


def test_a_module_of_neurons_that_stands_for_layers_of_several_sizes():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2, self.lif = sb.nn.BinaryLinear(4, 6), sb.nn.BinaryLinear(6, 2), snn.Leaky(beta=0.0)

        def forward(self, x):
            first = second = self.lif.init_leaky()
            found = []
            for step in x:
                spikes, first = self.lif(self.fc1(step), first)
                spikes, second = self.lif(self.fc2(spikes), second)
                found.append(spikes)
            return torch.stack(found)

    net = Shared()
    with torch.no_grad():
        net.fc1.bias.fill_(9.0)  # six neurons that spike once reset allows it, two that never do
        net.fc2.bias.fill_(-9.0)
    (row,) = learning_report(net, torch.zeros(4, 3, 4)).neurons
    assert row.silent == pytest.approx(2 / 8)


def test_it_leaves_no_trace():
    net = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), snn.Leaky(beta=0.9, init_hidden=True), nn.Linear(8, 3))
    sb.binarize_(net, sb.Bernoulli())
    net.train()
    twin = copy.deepcopy(net)
    x = (torch.rand(4, 2, 6) < 0.5).float()
    torch.manual_seed(0)
    learning_report(net, x)
    torch.manual_seed(0)
    assert net.training
    for step in x:
        torch.manual_seed(1)
        once = net(step)
        torch.manual_seed(1)
        assert torch.equal(once, twin(step))


def test_what_it_says():
    net = nn.Sequential(sb.nn.BinaryLinear(10, 4, weight=sb.Bernoulli(init_scale=0.01)))
    said = str(learning_report(net, since=learning_report(net)))
    assert " ".join(said.splitlines()[0].split()) == "layer flipped bits a weight outside ±1 gradient there"
    assert "0: no weight has changed its sign: raise the learning rate" in said
    assert "nearly a coin" in said


def test_bad_input():
    with pytest.raises(ValueError, match="binary"):
        learning_report(nn.Linear(2, 2))
    net, other = nn.Sequential(sb.nn.BinaryLinear(2, 2)), nn.Sequential(sb.nn.BinaryLinear(3, 2))
    with pytest.raises(ValueError, match="Expected argument `since` to be a report of this network"):
        learning_report(net, since=learning_report(other))
    with pytest.raises(TypeError, match="Expected argument `since` to be a report"):
        learning_report(net, since=3)


def test_neurons_of_a_network_of_two_inputs_are_counted():
    class Gated(Loop):
        def forward(self, x, gate):
            return super().forward(x * gate)

    net, x = Gated(snn.Leaky(beta=0.0, reset_mechanism="none")), torch.ones(5, 2, 4)
    with torch.no_grad():
        net.fc.latent.fill_(0.5)
        net.fc.bias.zero_()
    assert learning_report(net, (x, torch.ones(4))).neurons[0].silent == 0
    assert learning_report(net, (x, torch.zeros(4))).neurons[0].silent == 1
    with pytest.raises(TypeError, match="Expected argument `x` to be a floating-point tensor, or a tuple"):
        learning_report(net, [x])


def test_neurons_that_cannot_be_watched_leave_no_hook_on_the_others():
    class Unwatched(snn.Leaky):
        def register_forward_hook(self, *_, **__):
            raise RuntimeError("not these")

    net = nn.ModuleDict({"loop": Loop(snn.Leaky(beta=0.5)), "other": Unwatched(beta=0.5)})
    net.forward = net["loop"].forward
    with pytest.raises(RuntimeError, match="not these"):
        learning_report(net, torch.ones(5, 2, 4))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
