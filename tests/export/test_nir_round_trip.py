"""From snnTorch through a NIR file to Norse, snnTorch, nirtorch and back: the same spikes."""

import nir
import pytest
import snntorch as snn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nir_loaders import DEPRECATED, in_nirtorch, in_norse, in_snntorch, stepped, through_file
from torch import nn

import snntorch_binary as sb

pytestmark = [pytest.mark.filterwarnings(warning) for warning in DEPRECATED]

T, B = 60, 4
HARD = {"reset_mechanism": "zero", "reset_delay": False}
HIDDEN = {**HARD, "init_hidden": True}


def spikes(*shape, rate=0.5):
    return (torch.rand(T, B, *shape) < rate).float()


def conv_net():
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=False),
        snn.Leaky(beta=0.9, **HIDDEN),
        nn.AvgPool2d(2),
        nn.Dropout(0.2),
        nn.Conv2d(6, 8, 3, stride=2),
        snn.Synaptic(alpha=0.6, beta=0.85, threshold=0.8, **HIDDEN),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8, 10),
        snn.Leaky(beta=0.8, **HIDDEN, output=True),
    )


def recurrent_net():
    return nn.Sequential(
        nn.Linear(20, 32),
        snn.RLeaky(beta=0.9, linear_features=32, **HIDDEN),
        nn.Linear(32, 24, bias=False),
        sb.nn.Recurrent(sb.nn.Synaptic(0.7, 0.9, **HARD), nn.Linear(24, 24), init_hidden=True),
        nn.Linear(24, 24),
        snn.RLeaky(beta=0.9, all_to_all=False, V=torch.rand(24), **HIDDEN),
        nn.Linear(24, 10),
        snn.Leaky(beta=0.8, **HIDDEN),
    )


NETS = {"conv": (conv_net, (2, 12, 12)), "recurrent": (recurrent_net, (20,))}
RULES = {"st": sb.Sign(), "bayes": sb.Bernoulli(init_scale=1.0)}


def trained(make, shape, rule):
    """A network after binarize_ and a few training steps by the user's own loop."""
    net = make()
    sb.binarize_(net, rule, scale="channel")
    with torch.no_grad():
        for layer in net.modules():
            if getattr(layer, "gain", None) is not None:
                layer.gain.mul_(6)
    bayes = isinstance(rule, sb.Bernoulli)
    optimizer = (
        sb.optim.BayesBiSNN(net.parameters(), lr=0.05, rho=1e-3, betas=None)
        if bayes
        else torch.optim.Adam(net.parameters(), 0.01)
    )
    x, labels = spikes(*shape), torch.arange(B)
    before = [parameter.clone() for parameter in net.parameters()]
    for _ in range(3):
        sb.reset(net)
        outputs = [net(x_t) for x_t in x[:10]]
        counts = sum(output[0] if isinstance(output, tuple) else output for output in outputs)
        nn.functional.cross_entropy(counts, labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert any(not torch.equal(old, new) for old, new in zip(before, net.parameters(), strict=True))
    return net.eval()


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("net", NETS)
def test_trained_networks_spike_alike_everywhere(net, rule, tmp_path):
    make, shape = NETS[net]
    net, x = trained(make, shape, RULES[rule]), spikes(*shape)
    expected = stepped(net, x)
    assert 20 < expected.sum() < 0.9 * expected.numel()
    graph, path = through_file(sb.export.to_nir(net, x[0]), tmp_path)
    for run in (in_norse, in_snntorch):
        assert torch.equal(run(graph, x).sum(0), expected.sum(0)), run.__name__
        graph = nir.read(path)
    again = sb.export.from_nir(path)
    assert torch.equal(again(x), expected)
    assert torch.equal(stepped(sb.export.from_nir(path, step=True), x), expected)
    for old, new in zip(binary(net), binary(again), strict=True):
        assert old.rule == new.rule
        assert torch.equal(old.latent, new.latent)
        assert torch.equal(old.weight, new.weight)
    # And once more: what comes back says the same.
    assert torch.equal(in_norse(sb.export.to_nir(again, x), x).sum(0), expected.sum(0))


def binary(net):
    return [layer for layer in net.modules() if hasattr(layer, "latent")]


def test_the_time_first_form(tmp_path):
    net = nn.Sequential(
        sb.nn.BinaryConv1d(3, 5, 3, padding=1, weight=sb.Bernoulli(), scale=0.5),
        sb.nn.Leaky(beta=0.9, reset_mechanism="zero"),  # a delayed reset, whose spikes are the same
        sb.nn.TimeFirst(nn.AvgPool1d(2)),
        nn.Flatten(2),
        sb.nn.BinaryLinear(20, 10, scale=0.4),
        sb.nn.Recurrent(sb.nn.Leaky(beta=0.8, reset_mechanism="zero"), sb.nn.BinaryLinear(10, 10, bias=False)),
        sb.nn.BinaryLinear(10, 6),
    ).eval()
    x = spikes(3, 8)
    expected = net(x)
    graph, path = through_file(sb.export.to_nir(net, x), tmp_path)
    again = sb.export.from_nir(path)
    assert torch.equal(again(x), expected)
    assert (
        [type(module).__name__ for module in again]
        == [type(module).__name__ for module in net[:3]]
        + [
            "TimeFirst",  # of the Flatten
            *(type(module).__name__ for module in net[4:]),
        ]
    )
    assert again[1].reset_delay
    torch.testing.assert_close(in_snntorch(graph, x), expected)  # Norse has no Conv1d


def test_layers_in_their_order_and_what_is_silent():
    """The network of snnTorch's tutorials: a class with a loop over time in its forward."""
    fc1, fc2 = nn.Linear(20, 30), nn.Linear(30, 5)
    lif1, lif2 = snn.Leaky(beta=0.95, threshold=0.3, **HARD), snn.Leaky(beta=0.9, threshold=0.2, **HARD)
    x, found = spikes(20), []
    mem1, mem2 = lif1.init_leaky(), lif2.init_leaky()
    with torch.no_grad():
        for x_t in x:
            s, mem1 = lif1(fc1(x_t), mem1)
            s, mem2 = lif2(fc2(s), mem2)
            found.append(s)
    expected = torch.stack(found)
    assert expected.sum() > 20
    graph = sb.export.to_nir([fc1, lif1, nn.Identity(), nn.Dropout(), fc2, lif2], x[0])
    assert [type(node).__name__ for node in graph.nodes.values()] == [
        "Input",
        "Affine",
        "LIF",
        "Affine",
        "LIF",
        "Output",
    ]
    for run in (in_norse, in_snntorch, in_nirtorch):
        assert torch.equal(run(graph, x), expected), run.__name__
    assert torch.equal(sb.export.from_nir(graph)(x), expected)


@pytest.mark.parametrize("run", [in_norse, in_snntorch, in_nirtorch])
def test_decays_at_the_ends_and_of_each_neuron(run):
    beta = torch.tensor([0.0, 0.25, 0.5, 0.9, 0.999, 1.0])
    shared = snn.Leaky(beta=1.0, threshold=0.7, **HIDDEN)
    own = sb.nn.Leaky(beta, 2.0, init_hidden=True, **HARD)
    for neuron in (shared, own):
        net = nn.Sequential(sb.nn.BinaryLinear(9, 6), neuron).eval()
        nn.init.uniform_(net[0].bias, 0.1, 0.9)
        x = spikes(9)
        expected = stepped(net, x)
        assert expected.sum() > 20
        if run is in_snntorch and neuron is own:
            continue  # reads one threshold, times one leak
        assert torch.equal(run(sb.export.to_nir(net, x[0]), x), expected)
        assert torch.equal(sb.export.from_nir(sb.export.to_nir(net, x[0]))(x), expected)


@pytest.mark.parametrize("run", [in_norse, in_snntorch, in_nirtorch])
def test_a_potential_at_the_threshold_does_not_fire(run):
    """Sums that are exact in float32, so that many potentials are the threshold itself."""
    net = nn.Sequential(sb.nn.BinaryLinear(16, 40, bias=False), snn.Leaky(beta=0.5, threshold=0.5, **HIDDEN)).eval()
    x = spikes(16)
    expected = stepped(net, x)
    first = net[0](x[0])
    assert (first == 0.5).any()
    assert not (expected[0][first == 0.5]).any()
    assert torch.equal(run(sb.export.to_nir(net, x[0]), x), expected)


@pytest.mark.slow
@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    kinds=st.lists(st.sampled_from(["Leaky", "Synaptic", "RLeaky", "Recurrent"]), min_size=3, max_size=3),
    image=st.booleans(),
    bias=st.booleans(),
    rule=st.sampled_from([None, sb.Sign(), sb.Bernoulli()]),
    scale=st.sampled_from(["fan_in", "channel", 0.3]),
    seed=st.integers(0, 2**31),
)
def test_any_small_network(sizes, kinds, image, bias, rule, scale, seed):
    torch.manual_seed(seed)
    beta, alpha = (float(value) for value in torch.rand(2))
    threshold = float(torch.rand(())) + 0.05
    layers, shape = [], (2, 5, 5) if image else (sizes[0],)
    if image:
        layers += [nn.Conv2d(2, 4, 3, padding=1, groups=2, bias=bias), snn.Leaky(beta, threshold, **HIDDEN)]
        layers += [nn.MaxPool2d(2, stride=1), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, sizes[0], bias=bias)]
        layers += [snn.Leaky(beta=beta, threshold=threshold, **HIDDEN)]
    for before, after, kind in zip(sizes, sizes[1:], kinds, strict=False):
        layers += [nn.Linear(before, after, bias=bias)]
        if kind == "Leaky":
            layers += [snn.Leaky(beta, threshold, **HIDDEN)]
        elif kind == "Synaptic":
            layers += [snn.Synaptic(alpha, beta, threshold, **HIDDEN)]
        elif kind == "RLeaky":
            layers += [snn.RLeaky(beta, linear_features=after, threshold=threshold, **HIDDEN)]
        else:
            loop = nn.Linear(after, after)
            layers += [sb.nn.Recurrent(sb.nn.Synaptic(alpha, beta, threshold, **HARD), loop, init_hidden=True)]
    net = nn.Sequential(*layers).eval()
    if rule is not None:
        sb.binarize_(net, rule, scale=scale)
    x = spikes(*shape)
    expected = stepped(net, x)
    graph = sb.export.to_nir(net, x[0])
    again = sb.export.from_nir(graph)
    assert torch.equal(again(x), expected)
    assert torch.equal(in_norse(graph, x).sum(0), expected.sum(0))
