"""Random networks of every kind that has a form in C, and their answers step by step."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import nn

import snntorch_binary as sb
from snntorch_binary.packed import PackedEnsemble


@dataclass
class Case:
    """A packed network, an input of few examples, and how it is read."""

    packed: nn.Module
    x: torch.Tensor
    readout: str = "auto"
    kind: str = ""
    counts: bool = True  # whether its outputs are spikes, whatever numbers they happen to be


class Residual(nn.Module):
    """Two convolutions around which the spikes go, and potentials that go around two layers."""

    def __init__(self, channels, shape, classes, neuron, norm):
        super().__init__()
        convolutions = (sb.nn.BinaryConv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.first, self.second = map(sb.nn.TimeFirst, convolutions)
        self.norm = sb.nn.TimeFirst(norm) if norm is not None else nn.Identity()
        self.one, self.two, self.three = neuron(), neuron(), neuron()
        self.out = sb.nn.BinaryLinear(channels * shape[0] * shape[1], classes)

    def forward(self, x):
        spikes = self.one(self.first(x))
        spikes = self.two(self.norm(self.second(spikes)) + spikes)
        return self.three(self.out(spikes.flatten(2)))


class Stepwise(nn.Module):
    """A loop of the user's own over time, with a state written out in operations of torch."""

    def __init__(self, inputs, hidden, classes):
        super().__init__()
        self.first, self.back = sb.nn.BinaryLinear(inputs, hidden), sb.nn.BinaryLinear(hidden, hidden, bias=False)
        self.last = sb.nn.BinaryLinear(hidden, classes)
        self.leaky = sb.nn.Leaky(beta=0.8, step=True)

    def forward(self, x):
        mem, spikes, adapted = (torch.zeros(x.shape[1], self.first.out_features) for _ in range(3))
        state, out = None, []
        for x_t in x:
            mem = 0.9 * mem + self.first(x_t) + self.back(spikes) - 0.3 * adapted
            spikes = (mem > 0.4).float()
            adapted = 0.5 * adapted + spikes
            mem = mem * (1 - spikes)
            fired, state = self.leaky(self.last(spikes), state)
            out.append(fired)
        return torch.stack(out)


def spikes(*shape, density=0.4):
    return (torch.rand(shape) < density).float()


@st.composite
def cases(draw):
    """A case; all that hypothesis does not draw itself depends on a seed that it draws."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    make = draw(st.sampled_from([linear, linear, convolutional, convolutional, recurrent, residual, stepwise]))
    return make(draw)


def neuron(draw, size, **options):
    """Neurons, of which `size` have constants of their own or share them."""
    kind = draw(st.sampled_from(["leaky", "leaky", "synaptic", "srm"]))
    if kind == "srm":
        return sb.nn.SRM(tau_mem=3.0, tau_syn=2.0, threshold=draw(st.sampled_from([0.0, 0.3])), **options)
    own = draw(st.booleans())

    def constant(low, high):
        return low + (high - low) * torch.rand(*size) if own else draw(st.sampled_from([low, (low + high) / 2, high]))

    common = {
        "threshold": constant(0.2, 0.6),
        "reset_mechanism": draw(st.sampled_from(["subtract", "zero", "none"])),
        "reset_delay": draw(st.booleans()),
        **options,
    }
    if kind == "leaky":
        return sb.nn.Leaky(beta=constant(0.5, 1.0), **common)
    return sb.nn.Synaptic(alpha=constant(0.1, 0.6), beta=constant(0.5, 1.0), **common)


def _layer(draw, kind, *sizes, **options):
    scale = draw(st.sampled_from(["fan_in", "channel", 1.0]))
    layer = kind(*sizes, bias=draw(st.booleans()), scale=scale, weight=sb.Bernoulli(), **options)
    if layer.gain is not None:
        nn.init.uniform_(layer.gain, 0.5, 1.5)
    return layer


def _norm(kind, channels):
    norm = kind(channels)
    for value, low, high in ((norm.running_mean, -0.5, 0.5), (norm.running_var, 0.5, 2.0)):
        value.uniform_(low, high)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.uniform_(norm.bias, -0.3, 0.6)
    return norm


def _end(draw, inputs):
    """The last layers, and a readout that they allow."""
    classes = draw(st.integers(2, 11))
    layers = [_layer(draw, sb.nn.BinaryLinear, inputs, classes)]
    end = draw(st.sampled_from(["currents", "spikes", "potential"]))
    if end != "currents":
        layers.append(neuron(draw, (classes,), output=end == "potential"))
    return layers, "membrane" if end == "potential" else draw(st.sampled_from(["auto", "rate"])), end == "spikes"


def _packed(draw, net, x, as_graph, readout):
    members = draw(st.sampled_from([0, 0, 3]))
    net = net.eval()
    if members:
        net = sb.Ensemble(net, num_members=members, seed=draw(st.integers(0, 99)), readout=readout)
    return sb.pack(net, x if as_graph else None)


def linear(draw):
    inputs = draw(st.sampled_from([2, 7, 32, 33, 70]))  # one weight alone is no binary one to `pack`
    hidden = draw(st.lists(st.sampled_from([2, 5, 31, 32, 40, 65]), min_size=0, max_size=2))
    layers, width = [nn.Flatten(2)], inputs
    for size in hidden:
        layers += [_layer(draw, sb.nn.BinaryLinear, width, size)]
        if draw(st.booleans()):
            layers.append(sb.nn.TimeFirst(_norm(nn.BatchNorm1d, size)))
        layers.append(neuron(draw, (size,)))
        width = size
    end, readout, counts = _end(draw, width)
    x = spikes(draw(st.sampled_from([1, 9, 20])), 2, inputs, density=draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])))
    packed = _packed(draw, nn.Sequential(*layers, *end), x, draw(st.booleans()) and x.shape[0] > 1, readout)
    return Case(packed, x, readout, "linear", counts)


def convolutional(draw):
    spatial = draw(st.sampled_from([1, 2]))
    kind, norm, pool = (
        (sb.nn.BinaryConv1d, nn.BatchNorm1d, nn.MaxPool1d),
        (sb.nn.BinaryConv2d, nn.BatchNorm2d, nn.MaxPool2d),
    )[spatial - 1]
    groups = draw(st.sampled_from([1, 2]))
    channels, shape = 4 * draw(st.integers(1, 2)), draw(st.lists(st.integers(7, 9), min_size=spatial, max_size=spatial))
    outputs = groups * draw(st.sampled_from([1, 3, 17]))
    options = {
        "stride": draw(st.integers(1, 2)),
        "padding": draw(st.integers(1, 2)),
        "dilation": draw(st.integers(1, 2)),
        "groups": groups,
    }
    layers = [sb.nn.TimeFirst(_layer(draw, kind, channels, outputs, draw(st.integers(1, 3)), **options))]
    if draw(st.booleans()):
        layers.append(sb.nn.TimeFirst(_norm(norm, outputs)))
    before = draw(st.booleans())
    pooling = sb.nn.TimeFirst(pool(2, stride=draw(st.sampled_from([1, 2])), padding=draw(st.sampled_from([0, 1]))))
    behind = neuron(draw, (outputs, *(1,) * spatial))
    layers += [pooling, behind] if before else [behind, pooling] if draw(st.booleans()) else [behind]
    x = spikes(draw(st.sampled_from([4, 10])), 2, channels, *shape, density=draw(st.sampled_from([0.1, 0.5])))
    with torch.no_grad():
        features = nn.Sequential(*layers).eval()(x).flatten(2).shape[2]
    end, readout, counts = _end(draw, features)
    as_graph = draw(st.booleans())
    packed = _packed(draw, nn.Sequential(*layers, nn.Flatten(2), *end), x, as_graph, readout)
    return Case(packed, x, readout, "convolutional", counts)


def recurrent(draw):
    inputs, hidden = draw(st.sampled_from([5, 40])), draw(st.sampled_from([4, 33]))
    inner = draw(
        st.sampled_from([sb.nn.Leaky(beta=0.9, threshold=0.5), sb.nn.Synaptic(alpha=0.4, beta=0.7, threshold=0.4)])
    )
    back = _layer(draw, sb.nn.BinaryLinear, hidden, hidden)
    layers = [_layer(draw, sb.nn.BinaryLinear, inputs, hidden), sb.nn.Recurrent(inner, back)]
    end, readout, counts = _end(draw, hidden)
    x = spikes(12, 2, inputs)
    packed = _packed(draw, nn.Sequential(*layers, *end), x, draw(st.booleans()), readout)
    return Case(packed, x, readout, "recurrent", counts)


def residual(draw):
    channels, shape = draw(st.sampled_from([1, 3])), (draw(st.integers(3, 5)), 4)
    norm = _norm(nn.BatchNorm2d, channels) if draw(st.booleans()) else None
    net = Residual(channels, shape, draw(st.integers(2, 5)), lambda: sb.nn.Leaky(beta=0.8, threshold=0.3), norm)
    x = spikes(6, 2, channels, *shape)
    return Case(_packed(draw, net, x, True, "auto"), x, kind="residual")


def stepwise(draw):
    x = spikes(8, 2, draw(st.sampled_from([6, 34])))
    net = Stepwise(x.shape[2], draw(st.sampled_from([5, 40])), 3)
    return Case(_packed(draw, net, x, True, "auto"), x, kind="stepwise")


def outputs_of(case):
    """What the members' outputs are that are read, [K, T, B, C]."""
    packed, x = case.packed, case.x

    def read(output):
        parts = [output] if isinstance(output, torch.Tensor) else list(output)
        return parts[-1 if case.readout == "membrane" else 0]

    if not isinstance(packed, PackedEnsemble):
        return read(packed(x))[None]
    if isinstance(packed.net, nn.Sequential):
        output = packed.net(x)
        return output if isinstance(output, torch.Tensor) else torch.stack([read(each) for each in output.unbind(0)])
    return torch.stack([read(member(x)) for member in packed.net])


def scores_by_step(case, scale=1.0):
    """Class scores after every step, [T, K, B, C], added in the order of time; those that are means times a scale."""
    outputs = outputs_of(case)
    total, found = torch.zeros_like(outputs[:, 0]), []
    for step in range(outputs.shape[1]):
        total = total + outputs[:, step]
        count = case.counts or case.readout == "rate"
        found.append(total / (step + 1) * (step + 1 if count else scale))
    return torch.stack(found)
