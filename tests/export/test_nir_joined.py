"""Networks whose branches meet: batch norms that become part of layers, concatenations, residual sums, and back."""

import copy
import json

import nir
import numpy as np
import pytest
import snntorch as snn
import torch
from nir_by_hand import by_hand
from nir_loaders import DEPRECATED, in_snntorch, stepped, through_file
from torch import nn

import snntorch_binary as sb

pytestmark = [pytest.mark.filterwarnings(warning) for warning in DEPRECATED]

HARD = {"reset_mechanism": "zero", "threshold": 0.3}
T, B = 20, 3


def lif(beta=0.9):
    return snn.Leaky(beta=beta, init_hidden=True, **HARD)


class OverTime(nn.Module):
    """A loop over time around `one_step`."""

    def forward(self, x):
        sb.reset(self)
        steps = [self.one_step(x[t]) for t in range(x.shape[0])]
        return tuple(map(torch.stack, zip(*steps, strict=True))) if isinstance(steps[0], tuple) else torch.stack(steps)


class Residual(OverTime):
    """Two residual blocks: one adds a convolution, with norms on both; one adds spikes to currents."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1, self.lif1 = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), lif()
        self.conv2, self.norm2, self.lif2 = nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), lif()
        self.short, self.norm_short = nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6)
        self.conv3, self.norm3, self.lif3 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), lif()
        self.fc, self.lif, self.mean = nn.Linear(96, 5), lif(), nn.Linear(6, 5)

    def one_step(self, x):
        x = self.lif1(self.norm1(self.conv1(x)))
        x = self.lif2(self.norm2(self.conv2(x)) + self.norm_short(self.short(x)))
        x = self.lif3(self.norm3(self.conv3(x)) + x)
        mean = nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)
        return self.lif(self.fc(nn.functional.max_pool2d(x, 2).flatten(1)) + self.mean(mean))


class Dense(OverTime):
    """Concatenations of channels: before a convolution and its norm, and before a pooling, a flatten and a Linear."""

    def __init__(self):
        super().__init__()
        self.a, self.lif_a = nn.Conv2d(1, 4, 3, padding=1), lif()
        self.b, self.lif_b = nn.Conv2d(1, 3, 3, padding=1), lif(0.5)
        self.c, self.norm, self.lif_c = nn.Conv2d(7, 4, 3, padding=1), nn.BatchNorm2d(4), lif()
        self.pool, self.fc, self.lif = nn.MaxPool2d(2), nn.Linear(11 * 16, 5), lif()

    def one_step(self, x):
        both = torch.cat([self.lif_a(self.a(x)), self.lif_b(self.b(x))], dim=1)
        all_three = torch.cat((both, self.lif_c(self.norm(self.c(both)))), 1)
        return self.lif(self.fc(self.pool(all_three).flatten(1)))


class NormFirst(OverTime):
    """A norm on the input, one on a concatenation of a layer's current and spikes, and one on a layer's sum with it."""

    def __init__(self):
        super().__init__()
        self.norm, self.a, self.lif_a = nn.BatchNorm1d(12), nn.Linear(12, 8), lif()
        self.b, self.norm_b = nn.Linear(8, 6), nn.BatchNorm1d(14)
        self.c, self.d, self.norm_c, self.lif = nn.Linear(14, 5), nn.Linear(8, 5), nn.BatchNorm1d(5), lif()

    def one_step(self, x):
        spk = self.lif_a(self.a(self.norm(x)))
        both = self.norm_b(torch.cat([self.b(spk), spk], -1))
        return self.lif(self.norm_c(self.c(both) + self.d(spk)))


class Heads(OverTime):
    """One layer read with its norm by one neuron and without by another, and two outputs."""

    def __init__(self):
        super().__init__()
        self.fc, self.norm, self.lif_a, self.lif_b = nn.Linear(12, 8), nn.BatchNorm1d(8), lif(), lif()

    def one_step(self, x):
        current = self.fc(x)
        return self.lif_a(self.norm(current)), self.lif_b(current)


class TimeFirst(nn.Module):
    """The time-first form, with binary layers."""

    def __init__(self):
        super().__init__()
        self.a, self.norm = sb.nn.BinaryLinear(12, 8), sb.nn.TimeFirst(nn.BatchNorm1d(8))
        self.b, self.c = sb.nn.BinaryLinear(12, 4), sb.nn.BinaryLinear(12, 8)
        self.lif_a, self.lif_b, self.lif_c = (sb.nn.Leaky(0.9, **HARD) for _ in range(3))
        self.d, self.lif = sb.nn.BinaryLinear(8, 5), sb.nn.Leaky(0.8, output=True, **HARD)

    def forward(self, x):
        a, b = self.lif_a(self.norm(self.a(x))), self.lif_b(self.b(x))
        c = self.lif_c(self.c(torch.cat([a, b], -1)) + a)
        return self.lif(self.d(c))[0]


class JoinedTime(nn.Module):
    """Layers see time and batch as one, neurons a sequence: a common form of convolutions over time."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1, self.conv2, self.norm2 = (
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        )  # fmt: skip
        self.lif1, self.lif2, self.lif = (sb.nn.Leaky(0.9, **HARD) for _ in range(3))
        self.fc = nn.Linear(144, 5)

    def forward(self, x):
        steps, batch = x.shape[:2]
        x = self.lif1(self.norm1(self.conv1(x.flatten(0, 1))).unflatten(0, (steps, batch)))
        y = self.norm2(self.conv2(x.reshape(steps * batch, 4, 6, 6))).view(steps, batch, 4, 6, 6)
        return self.lif(self.fc(self.lif2(y + x).flatten(2)))


NETS = {
    "residual": (Residual, (1, 8, 8)),
    "dense": (Dense, (1, 8, 8)),
    "norm first": (NormFirst, (12,)),
    "heads": (Heads, (12,)),
    "time-first": (TimeFirst, (12,)),
    "joined time": (JoinedTime, (1, 8, 8)),
}


def made(name, rule=None, scale="fan_in"):
    torch.manual_seed(2)
    make, shape = NETS[name]
    net = make()
    for norm in net.modules():
        if isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
            norm.running_mean.normal_(0, 0.2)
            norm.running_var.uniform_(0.3, 2.0)
            nn.init.uniform_(norm.weight, -0.5, 1.5)
            nn.init.normal_(norm.bias, 0.1, 0.2)
    if rule is not None and name != "time-first":
        sb.binarize_(net, rule, scale=scale)
    return net.eval(), (torch.rand(T, B, *shape) < 0.5).float()


def outputs(net, x):
    found = net(x)
    return list(found) if isinstance(found, tuple) else [found]


@pytest.mark.slow
@pytest.mark.parametrize("rule", [None, sb.Bernoulli(init_scale=1.0)])
@pytest.mark.parametrize("name", NETS)
def test_the_graph_spikes_as_the_network_does(name, rule, tmp_path):
    net, x = made(name, rule)
    graph, path = through_file(sb.export.to_nir(net, x[:4]), tmp_path)
    expected = outputs(net, x)
    for one, other in zip(by_hand(graph, x).values(), expected, strict=True):
        assert 10 < other.sum() < 0.9 * other.numel()
        assert torch.equal(one.float(), other)
    if len(expected) == 1:
        assert torch.equal(in_snntorch(nir.read(path), x), expected[0])
    again = sb.export.from_nir(path)
    for one, other in zip(outputs(again, x), expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_what_comes_back_is_a_network_like_any(name):
    net, x = made(name, sb.Bernoulli(init_scale=1.0))
    graph = sb.export.to_nir(net, x[:4])
    again = sb.export.from_nir(graph)
    assert isinstance(again, torch.fx.GraphModule)
    assert not again.training
    expected = outputs(net, x)
    for other in (copy.deepcopy(again), sb.export.from_nir(sb.export.to_nir(again, x[:4]))):
        assert all(torch.equal(a, b) for a, b in zip(outputs(other, x), expected, strict=True))
    step = sb.export.from_nir(graph, step=True)
    if len(expected) == 1:
        assert torch.equal(stepped(step, x), expected[0])
        ours, theirs = (sb.predict(one, x, num_samples=1).mode_probs for one in (again, net))
        assert ours is not None
        assert torch.equal(ours, theirs)


def test_a_norm_becomes_gains_of_its_binary_layer():
    net, x = made("residual", sb.Bernoulli(init_scale=1.0), 0.25)
    nn.init.constant_(net.norm1.weight[:1], -0.7)
    graph = sb.export.to_nir(net, x[:4])
    assert not any(type(node).__name__ in ("Scale", "BatchNorm2d") for node in graph.nodes.values())
    node = graph.nodes["00_conv2d"]
    norm, gain = net.norm1, (net.norm1.weight / (net.norm1.running_var + net.norm1.eps).sqrt()).detach()
    assert (gain < 0).any()
    weight, bias = (
        net.conv1.weight.detach() * gain.view(-1, 1, 1, 1),
        (net.conv1.bias - norm.running_mean) * gain + norm.bias,
    )
    np.testing.assert_allclose(node.weight, weight.numpy(), rtol=1e-5)
    np.testing.assert_allclose(node.bias, bias.detach().numpy(), rtol=1e-4, atol=1e-6)
    assert json.loads(node.metadata["folded"]) == ["norm1"]
    # What the metadata say is the node's weight, and not the layer's.
    assert json.loads(node.metadata["scale"]) == "channel"
    sign = np.sign(node.metadata["latent"])
    np.testing.assert_allclose(sign * node.metadata["gain"].reshape(-1, 1, 1, 1) / 3, node.weight, rtol=1e-5)
    # And P(w has not the sign of the node's weight) is that of the layer's posterior, whatever the sign of the gain.
    np.testing.assert_allclose(
        node.metadata["flip_probability"], torch.sigmoid(-2 * net.conv1.latent.detach().abs()), rtol=1e-5
    )
    again = sb.export.from_nir(graph)
    layers = [layer for layer in again.modules() if isinstance(layer, sb.nn.BinaryConv2d)]
    assert torch.equal(layers[0].latent, net.conv1.latent)
    torch.testing.assert_close(layers[0].weight.detach(), weight, rtol=1e-5, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["mean", 5])
def test_other_weights_behind_a_norm(weights):
    net, x = made("residual", sb.Bernoulli(init_scale=1.0))
    kind, generator = ("mean", None) if weights == "mean" else ("binary", torch.Generator().manual_seed(weights))
    with sb.sampled(net, kind, generator):
        expected = net(x)
    graph = sb.export.to_nir(net, x[:4], weights)
    assert torch.equal(by_hand(graph, x)["output"].float(), expected)
    assert "latent" not in graph.nodes["00_conv2d"].metadata


@pytest.mark.parametrize("scale", ["fan_in", "channel", 0.3])
def test_a_layer_behind_a_concatenation_is_one_for_each_branch(scale):
    net, x = made("time-first")
    net.c = sb.nn.BinaryLinear(12, 8, weight=sb.Bernoulli(), scale=scale)
    if net.c.gain is not None:
        nn.init.uniform_(net.c.gain, 0.5, 2.0)
    graph = sb.export.to_nir(net.eval(), x)
    first, second = (node for node in graph.nodes.values() if node.metadata.get("name") == "c")
    np.testing.assert_array_equal(np.concatenate([first.weight, second.weight], 1), net.c.weight.detach().numpy())
    np.testing.assert_array_equal(first.bias, net.c.bias.detach().numpy())
    assert not hasattr(second, "bias")
    back = [layer for layer in sb.export.from_nir(graph).modules() if isinstance(layer, sb.nn.BinaryLinear)]
    parts = [layer for layer in back if layer.in_features in (8, 4) and layer.out_features == 8]
    weight = torch.cat([layer.weight.detach() for layer in parts], 1)
    torch.testing.assert_close(weight, net.c.weight.detach().as_subclass(torch.Tensor), rtol=1e-6, atol=0)
    assert torch.equal(torch.cat([layer.latent for layer in parts], 1), net.c.latent)


def test_a_part_of_the_spikes_at_the_end_is_left_out_and_before_a_layer_is_not():
    class Last(TimeFirst):
        def forward(self, x):
            return self.lif_a(self.a(x))[-1]

    class Half(TimeFirst):
        def forward(self, x):
            return self.lif_b(self.d(self.lif_a(self.a(x))[2:]))

    x = (torch.rand(T, B, 12) < 0.5).float()
    net = Last().eval()
    assert torch.equal(sb.export.from_nir(sb.export.to_nir(net, x))(x)[-1], net(x))
    with pytest.raises(sb.export.NIRExportError, match="'getitem' before the input of module 'd'"):
        sb.export.to_nir(Half().eval(), x)


def test_norms_of_layers_in_their_order():
    torch.manual_seed(0)
    for form in (lambda layer: layer, sb.nn.TimeFirst):
        one_step = form is not sb.nn.TimeFirst
        net = nn.Sequential(
            form(nn.Conv2d(1, 4, 3)),
            form(nn.BatchNorm2d(4)),
            sb.nn.Leaky(0.9, init_hidden=one_step, **HARD),
            form(nn.Flatten()),
            nn.Linear(64, 9),
            form(nn.BatchNorm1d(9)),
            sb.nn.Recurrent(sb.nn.Leaky(0.9, **HARD), nn.Linear(9, 9), init_hidden=one_step),
        ).train()
        x = (torch.rand(T, B, 1, 6, 6) < 0.5).float()
        for _ in range(3):
            stepped(net, x) if one_step else net(x)
        net.eval()
        expected = stepped(net, x) if one_step else net(x)
        graph = sb.export.to_nir(net, x[0] if one_step else x)
        assert [type(node).__name__ for node in graph.nodes.values()] == [
            "Input", "Conv2d", "LIF", "Flatten", "Affine", "NIRGraph", "Output"
        ]  # fmt: skip
        assert expected.sum() > 20
        again = sb.export.from_nir(graph)
        assert isinstance(again, nn.Sequential)
        assert torch.equal(again(x), expected)


class SumWithItself(Heads):
    def one_step(self, x):
        current = self.fc(x)
        return self.lif_a(current + current)


class Broadcast(Heads):
    def one_step(self, x):
        return self.lif_a(self.fc(x) + self.fc(x)[:, :1])


class Doubled(Heads):
    def one_step(self, x):
        return self.lif_a(torch.add(self.fc(x), self.norm(self.fc(x)), alpha=2))


class AcrossTheBatch(Heads):
    def one_step(self, x):
        return self.lif_a(torch.cat([self.fc(x), self.fc(x)], 0))


class NeuronOfBoth(Heads):
    def one_step(self, x):
        return self.lif_a(torch.cat([self.fc(x), self.norm(self.fc(x))], 1))


class Nonlinear(Heads):
    def one_step(self, x):
        return self.lif_a(self.norm(torch.cat([self.fc(x), self.fc(x)], 1).relu()[:, :8]))


class OfTheBatch(Heads):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(8, track_running_stats=False)


class OwnNeuronLast(nn.Module):
    """Without the refusal the graph would end before the user's neuron."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, 8)

    def forward(self, x):
        mem, spikes = torch.zeros(x.shape[1], 8), []
        for x_t in x:
            mem = 0.9 * mem + self.fc(x_t)
            spikes.append((mem > 1).float())
            mem = mem * (1 - spikes[-1])
        return torch.stack(spikes)


class Charged(Heads):
    def __init__(self):
        super().__init__()
        self.lif_a = snn.Leaky(beta=0.9, **HARD)

    def forward(self, x):
        mem, spikes = torch.full((x.shape[1], 8), 0.2), []
        for x_t in x:
            spk, mem = self.lif_a(self.fc(x_t), mem)
            spikes.append(spk)
        return torch.stack(spikes)


class OnlyMembrane(Heads):
    def __init__(self):
        super().__init__()
        self.lif_b = snn.Leaky(beta=0.9, init_hidden=True, output=True, **HARD)

    def one_step(self, x):
        return self.lif_a(self.fc(x)), self.lif_b(self.norm(self.fc(x)))[1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (SumWithItself, "'add' before the input of module 'lif_a'"),
        (Broadcast, "before the input of module 'lif_a'"),
        (Doubled, "'add' before the input of module 'lif_a'"),
        (AcrossTheBatch, "'cat' before the input of module 'lif_a'"),
        (NeuronOfBoth, "the concatenation before the input of module 'lif_a'"),
        (Nonlinear, "'relu' before the input of module 'norm'"),
        (OfTheBatch, "statistics of the batch of module 'norm'"),
        (OwnNeuronLast, "one step after the other behind its last neurons"),
        (Charged, "the initial state of module 'lif_a'"),
        (OnlyMembrane, "the membrane potential as the output of module 'lif_b'"),
    ],
)
def test_what_edges_cannot_say_is_named(make, message):
    with pytest.raises(sb.export.NIRExportError, match=message) as raised:
        sb.export.to_nir(make().eval(), (torch.rand(4, 2, 12) < 0.5).float())
    assert "\n" not in str(raised.value)


def test_a_grouped_convolution_behind_a_concatenation():
    net, x = made("dense")
    net.b, net.c = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1, groups=2)
    net.fc = nn.Linear(12 * 16, 5)
    with pytest.raises(sb.export.NIRExportError, match="groups behind a concatenation of module 'c'"):
        sb.export.to_nir(net.eval(), x)


def test_a_recorded_sequence_is_the_graph_of_its_layers():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), lif(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 6),
        snn.RLeaky(beta=0.9, linear_features=6, init_hidden=True, reset_mechanism="zero", reset_delay=False),
        sb.nn.BinaryLinear(6, 5, weight=sb.Bernoulli()), nn.BatchNorm1d(5), lif(),
    ).eval()  # fmt: skip
    x = (torch.rand(T, B, 1, 6, 6) < 0.5).float()
    one, other = sb.export.to_nir(net, x[0]), sb.export.to_nir(sb.fuse(net, x[:4]), x[:4])
    assert list(one.nodes) == list(other.nodes)
    assert one.edges == other.edges
    assert (net[6].recurrent.bias != 0).all()
    for mine, its in zip(one.nodes.values(), other.nodes.values(), strict=True):
        assert type(mine) is type(its)
        for key in ("weight", "bias", "tau"):
            assert np.array_equal(getattr(mine, key, 0), getattr(its, key, 0))
        assert mine.metadata.get("name") == its.metadata.get("name")
    assert torch.equal(sb.export.from_nir(other)(x), stepped(net, x))
