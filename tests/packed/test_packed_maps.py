"""Packed convolutions over maps, line by line, and what is one pass with them in a graph: against the torch twins."""

import copy
import pickle
import warnings

import pytest
import snntorch as snn
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_spikes import spikes
from snntorch import utils
from torch import nn

import snntorch_binary as sb
from snntorch_binary.kernels import use_engine
from snntorch_binary.metrics import energy
from snntorch_binary.packed import PackedLayer, SpikeBits, chains, firing, layout
from snntorch_binary.packed.geometry import Geometry
from snntorch_binary.packed.graph_modules import Scan
from snntorch_binary.packed.layout import COLUMNS, ROWS

pytest.importorskip("numba")

NEURONS = {
    "none": None,
    "leaky": sb.nn.Leaky(beta=0.9, threshold=0.4),
    "leaky, zero": sb.nn.Leaky(beta=0.8, threshold=0.3, reset_mechanism="zero"),
    "leaky, none": sb.nn.Leaky(beta=0.5, threshold=0.3, reset_mechanism="none"),
    "synaptic": sb.nn.Synaptic(alpha=0.7, beta=0.9, threshold=0.4),
    "synaptic, zero": sb.nn.Synaptic(alpha=0.7, beta=0.9, threshold=0.4, reset_mechanism="zero"),
    "srm": sb.nn.SRM(),
}


@settings(deadline=None, max_examples=150)
@given(
    channels=st.sampled_from([1, 2, 12, 32, 63, 64, 65, 130]),
    outputs=st.sampled_from([1, 7, 16, 33, 64, 70]),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    spatial=st.integers(1, 2),
    members=st.integers(1, 3),
    shared=st.booleans(),
    rows=st.booleans(),
    neuron=st.sampled_from(sorted(NEURONS)),
    has_bias=st.booleans(),
    has_norm=st.booleans(),
)
def test_convolutions_of_every_shape(
    channels,
    outputs,
    kernel,
    stride,
    dilation,
    padding,
    size,
    spatial,
    members,
    shared,
    rows,
    neuron,
    has_bias,
    has_norm,
):
    geometry = Geometry(*(each[:spatial] for each in (kernel, stride, dilation, padding)))
    reach = [d * (k - 1) + 1 for d, k in zip(geometry.dilation, geometry.kernel, strict=True)]
    assume(all(n + sum(pair) >= r for n, pair, r in zip(size, geometry.padding, reach, strict=False)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "layout_for", lambda inputs, outputs: ROWS if rows else COLUMNS)
        of_channels = (members, outputs)
        layer = PackedLayer(
            torch.rand(*of_channels, channels, *geometry.kernel) < 0.5,
            torch.rand(of_channels) / (channels * geometry.num_taps) ** 0.5,
            torch.randn(of_channels) / 4 if has_bias else None,
            NEURONS[neuron],
            geometry,
            shared=shared,
            ensemble=members > 1,
            norm=(torch.randn(of_channels), torch.randn(of_channels) / 4) if has_norm else None,
        )
        x = SpikeBits.of(spikes(3, 2, channels, *size[:spatial]), spatial)
        if not shared:
            others = [SpikeBits.of(spikes(*x.shape), spatial).words for _ in range(members - 1)]
            x = SpikeBits(torch.cat([x.words, *others], -2), channels, spatial, ensemble=members > 1)
        found = layer(x)
        with use_engine("torch"):
            assert torch.equal(found, layer(x))


class OverTime(nn.Module):
    """A step of a network in a loop over time; images are shown at every step."""

    def __init__(self, step, steps=6):
        super().__init__()
        self.step, self.steps = step, steps

    def forward(self, x):
        utils.reset(self)
        return torch.stack([self.step(x[t] if x.dim() == 5 else x) for t in range(self.steps)])


class Residual(nn.Module):
    def __init__(self, short, neurons, channels=20):
        super().__init__()
        self.conv, self.short, self.neurons = nn.Conv2d(channels, channels, 3, padding=1), short, neurons

    def forward(self, x):
        return self.neurons(self.conv(x) + self.short(x))


def leaky(**options):
    return snn.Leaky(beta=0.7, threshold=0.2, init_hidden=True, **options)


def norm(channels):
    made = nn.BatchNorm2d(channels)
    nn.init.normal_(made.weight)  # some are negative
    nn.init.normal_(made.bias, std=0.1)
    made.running_mean.normal_(std=0.1)
    made.running_var.uniform_(0.5, 2)
    return made


def conv(*sizes, **options):
    return nn.Conv2d(*sizes, **options)


def after(*parts, channels=20):
    """A first convolution, some parts, and a last one that takes their spikes."""
    return nn.Sequential(conv(2, 20, 3), leaky(), *parts, conv(channels, 5, 3, padding=1), leaky())


STEPS = {
    "pooled": lambda: after(conv(20, 30, 3), nn.MaxPool2d(2), leaky(), channels=30),
    "many channels": lambda: after(conv(20, 70, 3), nn.MaxPool2d(2), leaky(), channels=70),
    "overlapping windows": lambda: after(conv(20, 20, 2), nn.MaxPool2d(3, 1), leaky()),
    "norm, pooled": lambda: after(conv(20, 20, 3), norm(20), nn.MaxPool2d((2, 3)), leaky()),
    "pooled, norm": lambda: after(conv(20, 20, 3), nn.MaxPool2d(2, 3), norm(20), leaky()),
    "reset to zero": lambda: after(conv(20, 20, 3), nn.MaxPool2d(2), leaky(reset_mechanism="zero")),
    "no reset": lambda: after(conv(20, 20, 3), nn.MaxPool2d(2), leaky(reset_mechanism="none")),
    "synaptic": lambda: after(
        conv(20, 20, 3), nn.MaxPool2d(2), snn.Synaptic(alpha=0.5, beta=0.7, threshold=0.2, init_hidden=True)
    ),
    "spikes added": lambda: after(Residual(nn.Identity(), leaky())),
    "numbers added": lambda: after(Residual(conv(20, 20, 1), leaky())),
    "numbers added to many channels": lambda: nn.Sequential(
        *(conv(2, 390, 5), leaky()), Residual(conv(390, 390, 1), leaky(), 390), conv(390, 5, 1), leaky()
    ),
    "every second place": lambda: after(conv(20, 20, 3), nn.MaxPool2d(1, 2), leaky()),
    "lines left out": lambda: after(conv(20, 20, 3), nn.MaxPool2d((1, 2), (3, 1)), leaky()),
}


def packed_step(name):
    torch.manual_seed(2)
    net = OverTime(STEPS[name]()).eval()
    sb.binarize_(net, sb.Bernoulli(init_scale=0.5), scale="channel")
    for layer in net.modules():
        if hasattr(layer, "gain"):
            nn.init.normal_(layer.gain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sb.pack(net, spikes(6, 3, 2, 11, 12)), net


@pytest.fixture
def done(monkeypatch):
    """What chains and neurons before them gave, one for each."""
    found = []
    for kind in (chains.Chain, firing.Firing):

        def noted(self, *given, _of=kind.spikes):
            found.append(_of(self, *given))
            return found[-1]

        monkeypatch.setattr(kind, "spikes", noted)
    return found


@pytest.mark.parametrize("name", STEPS)
def test_a_convolution_and_its_neurons_in_one_pass(name, done):
    packed, _ = packed_step(name)
    for x in (spikes(6, 3, 2, 11, 12), spikes(6, 1, 2, 11, 12, density=0.7), spikes(6, 0, 2, 11, 12)):
        done.clear()
        found = packed(x)
        assert len(done) == 1
        assert done[0] is not None
        with use_engine("torch"):
            assert torch.equal(found, packed(x))
        if x.numel():
            assert 0 < done[0].density() < 1


def test_neurons_of_an_image_give_bits(done):
    torch.manual_seed(0)
    step = nn.Sequential(conv(3, 20, 3), norm(20), leaky(), conv(20, 20, 3), nn.MaxPool2d(2), leaky(), nn.Flatten())
    net = OverTime(nn.Sequential(step, nn.Linear(180, 4), leaky())).eval()
    sb.binarize_(net, sb.Bernoulli(init_scale=0.5))
    x = torch.randn(5, 3, 10, 11)
    packed = sb.pack(net, x)
    found = packed(x)
    assert [each.channels for each in done if each is not None] == [20, 20]
    with use_engine("torch"):
        assert torch.equal(found, packed(x))


def test_who_looks_on_sees_one_thing_after_the_other(done):
    packed, _ = packed_step("norm, pooled")
    x = spikes(6, 3, 2, 11, 12)
    found, seen = packed(x), []
    pool = next(module for module in packed.modules() if isinstance(module, nn.MaxPool2d))
    handle = pool.register_forward_hook(lambda module, given, output: seen.append(output))
    done.clear()
    assert torch.equal(packed(x), found)
    assert len(seen) == 1
    assert sum(each is None for each in done) == 1
    handle.remove()
    counted = energy(packed, x).synaptic_operations
    with use_engine("torch"):
        assert energy(packed, x).synaptic_operations == counted


@pytest.mark.parametrize("name", ["norm, pooled", "numbers added"])
def test_chains_see_what_becomes_of_their_tensors(name):
    packed, _ = packed_step(name)
    x = spikes(6, 3, 2, 11, 12)
    before = packed(x)
    for other in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert torch.equal(other(x), before)
    state = {key: value.clone() for key, value in packed.state_dict().items()}
    for module in packed.modules():
        if isinstance(module, PackedLayer):
            module.weight_bits.copy_(~module.weight_bits)
        if isinstance(module, nn.BatchNorm2d):
            with torch.no_grad():
                module.weight.neg_()
    changed = packed(x)
    with use_engine("torch"):
        assert torch.equal(changed, packed(x))
    packed.load_state_dict(state)
    assert torch.equal(packed(x), before)


@pytest.mark.parametrize("what", ["constants", "reset", "windows", "data of a norm", "scale of a layer"])
def test_what_is_changed_later_is_seen(what):
    packed, _ = packed_step("norm, pooled")
    x = spikes(6, 3, 2, 11, 12)
    before = packed(x)
    parts = list(packed.modules())
    norm, pool = (next(each for each in parts if isinstance(each, of)) for of in (nn.BatchNorm2d, nn.MaxPool2d))
    neurons = [each.neuron for each in parts if isinstance(each, Scan)]
    if what == "constants":
        for each in neurons:
            each.threshold.fill_(0.05)
    elif what == "reset":
        for each in neurons:
            each.reset_mechanism = "zero"
    elif what == "windows":
        pool.ceil_mode = True
    elif what == "data of a norm":
        norm.weight.data.neg_()
    else:
        for each in parts:
            if isinstance(each, PackedLayer):
                each.scale.mul_(3)
    found = packed(x)
    with use_engine("torch"):
        expected = packed(x)
    assert torch.equal(found, expected)
    assert not torch.equal(found, before)


def test_an_ensemble_answers_as_its_members(done):
    _, net = packed_step("pooled")
    x = spikes(6, 3, 2, 11, 12)
    ensemble = sb.Ensemble(net, num_members=3, readout=lambda y: y.mean(0).flatten(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        packed = sb.pack(ensemble, x)
    done.clear()
    found = packed(x)
    assert done
    assert all(each is not None for each in done)
    torch.testing.assert_close(found, ensemble(x))
    with use_engine("torch"):
        assert torch.equal(found, packed(x))


def test_no_examples_and_no_gradients_of_any_kind():
    torch.manual_seed(0)
    step = nn.Sequential(conv(3, 20, 3), leaky(), conv(20, 4, 3), leaky())
    net = OverTime(step).eval()
    sb.binarize_(net, sb.Sign())
    x = torch.randn(2, 3, 9, 9)
    packed = sb.pack(net, x)
    assert packed(x[:0]).shape == (6, 0, 4, 5, 5)
    with torch.inference_mode():
        layer = sb.nn.BinaryConv2d(20, 4, 3).eval()
        given = spikes(2, 20, 6, 6)
        assert torch.equal(sb.pack(layer)(given), layer(given))
        assert torch.equal(copy.deepcopy(packed)(x), packed(x))


@pytest.mark.parametrize("channels", [1, 20, 64, 70])
def test_spikes_come_back_channel_by_channel(channels):
    x = spikes(2, 3, channels, 4, 5)
    found = SpikeBits.of(x, 2).unpack()
    assert torch.equal(found, x)
    assert found.is_contiguous()
