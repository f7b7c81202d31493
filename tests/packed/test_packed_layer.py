"""Packed layers against the float layers, bit for bit, on both engines and in both layouts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spikes import spikes
from torch import nn

import snntorch_binary as sb
from snntorch_binary.kernels import use_engine
from snntorch_binary.kernels.surrogates import ArcTan, Boxcar
from snntorch_binary.packed import PackedLayer, SpikeBits, layout
from snntorch_binary.packed.layout import COLUMNS, ROWS, Layout

RULES = {"sign": sb.Sign(), "bernoulli": sb.Bernoulli(init_scale=0.5)}


@pytest.fixture(params=["columns", "rows"])
def kind(request, monkeypatch):
    """Both layouts take every shape, whatever the choice between them says."""
    chosen = {"columns": COLUMNS, "rows": ROWS}[request.param]
    monkeypatch.setattr(layout, "layout_for", lambda inputs, outputs: chosen)


@settings(deadline=None, max_examples=60)
@given(
    members=st.integers(1, 3),
    outputs=st.sampled_from([1, 10, 63, 64, 65, 130]),
    inputs=st.sampled_from([1, 8, 63, 64, 65, 200]),
    groups=st.sampled_from([1, 2, 5]),
    shared=st.booleans(),
    rows=st.booleans(),
)
def test_weights_come_back_from_every_layout(members, outputs, inputs, groups, shared, rows):
    outputs *= groups
    weights = torch.rand(members, outputs, inputs) < 0.5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "layout_for", lambda inputs, outputs: ROWS if rows else COLUMNS)
        arranged = Layout(members, outputs, inputs, groups, shared)
        words = arranged.pack(weights)
        assert words.numel() == arranged.num_blocks * arranged.block_words
        assert torch.equal(arranged.unpack(words), weights)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scale", ["fan_in", "channel", 0.3])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_currents(engine, kind, rule, scale, bias):
    for inputs, outputs in ((1, 1), (70, 65), (200, 130), (64, 700)):
        layer = sb.nn.BinaryLinear(inputs, outputs, bias, weight=RULES[rule], scale=scale).eval()
        if scale == "channel":
            nn.init.normal_(layer.gain)
        packed = sb.pack(layer)
        for density in (0.0, 0.05, 0.5, 1.0):
            for lead in ((), (3,), (4, 2), (0, 2), (2, 0)):
                x = spikes(*lead, inputs, density=density)
                assert torch.equal(packed(x), layer(x))


def test_many_inputs_are_counted_exactly(engine, kind):
    layer = sb.nn.BinaryLinear(5000, 70, scale=1.0, bias=False).eval()
    x = spikes(3, 5000, density=1.0)
    with torch.no_grad():
        layer.latent[3] = 1.0
        layer.latent[4] = -1.0
    y = sb.pack(layer)(x)
    assert torch.equal(y, layer(x))
    assert y[0, 3] == 5000
    assert y[0, 4] == -5000


@pytest.mark.slow
def test_more_inputs_than_16_bits_count(engine):
    layer = sb.nn.BinaryLinear(40_000, 400, scale=1.0, bias=False).eval()
    with torch.no_grad():
        layer.latent[:2] = torch.tensor([[1.0], [-1.0]])
    y = sb.pack(layer)(torch.ones(2, 40_000))
    assert torch.equal(y, layer(torch.ones(2, 40_000)))
    assert y[0, :2].tolist() == [40_000, -40_000]


def test_bits_past_the_last_input_do_nothing(kind):
    layer = sb.nn.BinaryLinear(70, 9).eval()
    x = spikes(4, 70)
    clean = SpikeBits.of(x)
    dirty = SpikeBits(clean.words.clone(), 70)
    dirty.words[..., -1] |= -1 << 6
    assert torch.equal(sb.pack(layer)(dirty), layer(x))


CONVOLUTIONS = {
    "plain": (sb.nn.BinaryConv2d, (3, 70, 3), {}),
    "padded": (sb.nn.BinaryConv2d, (64, 40, 3), {"padding": 1}),
    "same": (sb.nn.BinaryConv2d, (2, 5, (2, 4)), {"padding": "same"}),
    "strided": (sb.nn.BinaryConv2d, (65, 8, (3, 2)), {"stride": (2, 3), "padding": (1, 0), "dilation": (2, 1)}),
    "grouped": (sb.nn.BinaryConv2d, (6, 9, 3), {"groups": 3, "bias": False}),
    "depthwise": (sb.nn.BinaryConv2d, (70, 140, 3), {"groups": 70, "padding": 1}),
    "wide groups": (sb.nn.BinaryConv2d, (256, 130, 1), {"groups": 2}),
    "1d": (sb.nn.BinaryConv1d, (5, 66, 4), {"stride": 2, "padding": 3}),
    "3d": (sb.nn.BinaryConv3d, (2, 3, 2), {"padding": 1}),
}


@pytest.mark.filterwarnings("ignore:Using padding=.same.")  # of the float layer
@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("scale", ["fan_in", "channel"])
def test_convolution_currents(engine, kind, name, scale):
    kind_of_layer, sizes, arguments = CONVOLUTIONS[name]
    layer = kind_of_layer(*sizes, scale=scale, **arguments).eval()
    packed = sb.pack(layer)
    positions = (7, 6, 5)[: layer.spatial]
    for density in (0.0, 0.1, 1.0):
        for lead in ((2,), (3, 2), (0, 2)):
            x = spikes(*lead, layer.in_channels, *positions, density=density)
            y = packed(x)
            assert y.shape == layer(x).shape
            assert torch.equal(y, layer(x))


NEURONS = {
    "leaky": lambda: sb.nn.Leaky(beta=0.9, threshold=0.4),
    "leaky, zero": lambda: sb.nn.Leaky(beta=0.8, threshold=0.3, reset_mechanism="zero"),
    "leaky, none": lambda: sb.nn.Leaky(beta=0.5, threshold=0.3, reset_mechanism="none"),
    "leaky, fires at the threshold": lambda: sb.nn.Leaky(0.5, 0.0, ArcTan(fires_at_threshold=True)),
    "leaky, threshold below zero": lambda: sb.nn.Leaky(beta=0.9, threshold=-0.2),
    "synaptic": lambda: sb.nn.Synaptic(alpha=0.7, beta=0.9, threshold=0.4),
    "synaptic, zero": lambda: sb.nn.Synaptic(alpha=0.7, beta=0.9, threshold=0.4, reset_mechanism="zero"),
    "synaptic, none": lambda: sb.nn.Synaptic(alpha=0.7, beta=0.9, threshold=0.4, reset_mechanism="none"),
    "srm": lambda: sb.nn.SRM(),
    "srm, strict": lambda: sb.nn.SRM(4.0, 2.0, 3.0, 0.5, Boxcar(fires_at_threshold=False)),
}


@pytest.mark.parametrize("name", NEURONS)
def test_a_layer_with_neurons_gives_the_spikes_of_the_float_network(engine, kind, name):
    for inputs, outputs in ((40, 70), (90, 600)):
        net = nn.Sequential(sb.nn.BinaryLinear(inputs, outputs), NEURONS[name]()).eval()
        packed = sb.pack(net)
        assert [type(module) for module in packed] == [PackedLayer]
        for lead in ((0, 2), (1, 1), (12, 3), (50, 1), (3, 0)):
            x = spikes(*lead, inputs, density=0.2)
            y = packed(x)
            assert torch.equal(y, net(x))
    assert 0 < float(packed(spikes(20, 2, inputs)).mean()) < 1


@pytest.mark.parametrize("name", ["leaky", "synaptic, zero", "srm"])
def test_a_convolution_with_neurons(engine, name):
    net = nn.Sequential(sb.nn.BinaryConv2d(2, 70, 3, padding=1, stride=2), NEURONS[name]()).eval()
    x = spikes(9, 3, 2, 9, 8)
    assert torch.equal(sb.pack(net)(x), net(x))


def test_constants_of_every_channel(engine):
    beta, threshold = torch.rand(70), torch.rand(70) / 2
    net = nn.Sequential(sb.nn.BinaryLinear(50, 70), sb.nn.Leaky(beta=beta, threshold=threshold)).eval()
    x = spikes(30, 2, 50)
    assert torch.equal(sb.pack(net)(x), net(x))
    conv = nn.Sequential(sb.nn.BinaryConv2d(2, 70, 3), sb.nn.Leaky(beta=beta.view(-1, 1, 1))).eval()
    x = spikes(9, 2, 2, 5, 5)
    packed = sb.pack(conv)
    assert len(packed) == 1
    assert torch.equal(packed(x), conv(x))


def test_engines_agree_on_the_bits_themselves(kind):
    net = nn.Sequential(sb.nn.BinaryLinear(130, 70), sb.nn.Leaky(beta=0.9, threshold=0.3))
    (layer,) = sb.pack(net)
    layer.packed_output = True
    x = SpikeBits.of(spikes(20, 3, 130))
    compiled = layer(x)
    with use_engine("torch"):
        assert torch.equal(layer(x).words, compiled.words)
    assert compiled.density() > 0


def test_a_layer_that_moves_and_copies(engine):
    import copy
    import pickle

    layer = sb.nn.BinaryLinear(70, 9).eval()
    packed = sb.pack(layer)
    x = spikes(4, 70)
    packed(x)
    for other in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed)), packed.to("cpu")):
        assert torch.equal(other(x), layer(x))
    other = sb.pack(sb.nn.BinaryLinear(70, 9, scale=0.3))
    other(x)
    other.load_state_dict(packed.state_dict())
    assert torch.equal(other(x), layer(x))


def test_bad_input(engine):
    packed = sb.pack(nn.Sequential(sb.nn.BinaryLinear(8, 4), sb.nn.Leaky(beta=0.9)))
    for x, message in (
        (torch.zeros(3, 2, 9), r"`input` to be of size 8 in dimension -1, but got shape \(3, 2, 9\)"),
        (torch.zeros(2, 8), r"`input` to be time-first, \[T, B, \.\.\.\]"),
        (torch.rand(3, 2, 8), "`spikes` to be of zeros and ones"),
        (SpikeBits.of(torch.zeros(3, 2, 9)), "spikes of 8 channels, 0 spatial dimensions and 1 members"),
    ):
        with pytest.raises(ValueError, match=message):
            packed(x)
    with pytest.raises(TypeError, match="`spikes` to be a tensor"):
        packed([1.0])
    conv = sb.pack(sb.nn.BinaryConv2d(2, 3, 5))
    with pytest.raises(ValueError, match="spatial size of at least"):
        conv(torch.zeros(1, 2, 4, 6))


@pytest.mark.parametrize(
    ("neuron", "reason"),
    [
        (nn.ReLU(), "not a time-first neuron"),
        (sb.nn.Leaky(beta=0.9, step=True), "one time step at a time"),
        (sb.nn.Leaky(beta=torch.rand(3)), "not one constant a channel"),
    ],
)
def test_neurons_that_a_layer_cannot_hold(neuron, reason):
    with pytest.raises(ValueError, match=reason):
        PackedLayer(torch.ones(1, 4, 8, dtype=torch.bool), torch.ones(1, 4), neuron=neuron)
