"""`pack`: what becomes of the parts of a network, and that the answer stays the same."""

import copy
import random

import pytest
import snntorch as snn
import torch
from random_spikes import spikes
from torch import nn

import snntorch_binary as sb
from snntorch_binary.inference import logits, run
from snntorch_binary.learning import LocalNetwork
from snntorch_binary.models import LocalSpikingMLP, SpikingMLP
from snntorch_binary.nn.binary import BinaryLayer
from snntorch_binary.packed import PackedFlatten, PackedLayer, PackedMaxPool, SpikeBits


def kinds(net):
    return [type(module).__name__ for module in net]


def test_the_networks_of_the_experiments(engine):
    net = SpikingMLP(60, [70, 65], 5, threshold=0.5)
    sb.binarize_(net, sb.Bernoulli(init_scale=0.5))
    packed = sb.pack(net)
    assert kinds(packed) == ["Flatten", "PackedLayer", "PackedLayer", "PackedLayer"]
    assert [layer.packed_output for layer in packed[1:]] == [True, True, False]
    x = spikes(11, 3, 6, 10)
    assert torch.equal(packed(x), net.eval()(x))
    assert not packed.training


def test_bits_go_through_pooling_flattening_dropout_and_nesting(engine):
    net = nn.Sequential(
        nn.Sequential(sb.nn.BinaryConv2d(2, 70, 3, padding=1), sb.nn.Leaky(beta=0.9, threshold=0.3)),
        sb.nn.TimeFirst(nn.MaxPool2d(2, padding=1)),
        sb.nn.TimeFirst(nn.Dropout(0.5)),
        sb.nn.BinaryConv2d(70, 9, 3, stride=2),
        sb.nn.Synaptic(alpha=0.5, beta=0.8, threshold=0.3),
        sb.nn.TimeFirst(nn.Flatten()),
        nn.Dropout(0.5),
        sb.nn.BinaryLinear(36, 20),
        nn.Sequential(nn.Identity(), sb.nn.SRM()),
        sb.nn.BinaryLinear(20, 4),
    )
    packed = sb.pack(net)
    assert kinds(packed) == [
        *("PackedLayer", "PackedMaxPool", "PackedLayer"),
        *("PackedFlatten", "PackedLayer", "PackedLayer"),
    ]
    x = spikes(10, 2, 2, 8, 9)
    assert torch.equal(packed(x), net.eval()(x))
    assert torch.equal(packed(SpikeBits.of(x, 2)), net(x))
    assert float(packed[:4](x).density()) > 0


def sequence_of(chance):
    """A time-first sequence of layers, neurons and what stands between them, in any order."""
    modules, channels, size, flat = [], 2, 8, False
    for _ in range(chance.randrange(2, 9)):
        kind = chance.choice(
            ["layer", "layer", "neuron", "neuron", "pool", "pool", "average", "flatten", "norm", "nest"]
        )
        if kind == "layer" and flat:
            modules.append(sb.nn.BinaryLinear(channels, 5))
            channels = 5
        elif kind == "layer" and size > 1:
            modules.append(sb.nn.BinaryConv2d(channels, 3, 2))
            channels, size = 3, size - 1
        elif kind == "neuron":
            modules.append(sb.nn.Leaky(beta=0.9, threshold=0.2))
        elif kind in ("pool", "average") and not flat and size > 1:
            modules.append(sb.nn.TimeFirst(nn.MaxPool2d(2) if kind == "pool" else nn.AvgPool2d(2)))
            size //= 2
        elif kind == "flatten" and not flat:
            modules.append(chance.choice([sb.nn.TimeFirst(nn.Flatten()), nn.Flatten(2)]))
            channels, flat = channels * size**2, True
        elif kind == "norm" and not flat:
            modules.append(sb.nn.TimeFirst(nn.BatchNorm2d(channels)))
        elif kind == "nest" and modules:
            modules = [nn.Sequential(*modules)]
    return nn.Sequential(*modules)


def test_whatever_a_network_ends_in_its_user_gets_tensors():
    """Pooling, flattening, a norm or neurons at the end: the same numbers as of the network that was packed."""
    chance, ends = random.Random(0), []
    while len(ends) < 80:
        net, x = sequence_of(chance), spikes(5, 2, 2, 8, 8)
        if not any(isinstance(module, BinaryLayer) for module in net.modules()):
            continue
        found = sb.pack(net)(x)
        assert isinstance(found, torch.Tensor)
        assert torch.equal(found, net.eval()(x))
        last = [module for module in net.modules() if not list(module.children())][-1]
        ends.append(type(last))
    assert {nn.MaxPool2d, nn.AvgPool2d, nn.Flatten, nn.BatchNorm2d, sb.nn.Leaky} < set(ends)


class Reads(nn.Module):
    """Uses what torch's layers say of themselves, and not the layers."""

    def __init__(self):
        super().__init__()
        self.convolution, self.out = sb.nn.BinaryConv2d(2, 4, 3, scale="channel"), sb.nn.BinaryLinear(4 * 36, 3)

    def forward(self, x):
        layer = self.convolution
        x = torch.nn.functional.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation)
        x = (x.view(len(x), layer.out_channels, -1) > 0).float().flatten(1)
        x = x.view(-1, self.out.in_features)
        return torch.nn.functional.linear(x, self.out.weight, self.out.bias).view(-1, self.out.out_features)


def test_a_module_that_reads_what_a_layer_is():
    net, x = Reads().eval(), spikes(6, 2, 8, 8)
    packed = sb.pack(net)
    assert isinstance(packed.convolution, PackedLayer)
    assert torch.equal(packed(x), net(x))
    ensemble = sb.pack(sb.Ensemble(nn.Sequential(sb.nn.BinaryLinear(70, 9), sb.nn.Leaky(0.9)), num_members=3))
    (layer,) = ensemble.net
    assert (layer.weight.shape, layer.bias.shape) == ((3, 9, 70), (3, 9))


class Padded(nn.Module):
    """Layers inside a module of one's own, of which some cannot be packed."""

    def __init__(self, *layers):
        super().__init__()
        self.body = nn.ModuleDict({f"layer{index}": layer for index, layer in enumerate(layers)})

    def forward(self, x):
        for layer in self.body.values():
            x = layer(x)
        return x


class Mine(sb.nn.BinaryLinear):
    def forward(self, x):
        return -super().forward(x)


CANNOT = {
    "padding": (lambda: sb.nn.BinaryConv1d(2, 3, 3, padding=1, padding_mode="reflect"), "padding_mode='reflect'"),
    "a subclass": (lambda: Mine(5, 3), "a Mine may use its weights in another way"),
    "double": (lambda: sb.nn.BinaryLinear(5, 3).double(), r"its weights are torch\.float64"),
    "no outputs": (lambda: sb.nn.BinaryLinear(5, 0), "it has no weights"),
    "a huge stride": (lambda: sb.nn.BinaryConv1d(2, 3, 3, stride=2000), "is too large"),
}


@pytest.mark.parametrize("case", CANNOT)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_which_layer_cannot_be_packed_and_why(case, caplog):
    make, reason = CANNOT[case]
    with pytest.raises(ValueError, match=rf"but got a Padded; 'body\.layer0' cannot be: [^;]*{reason}"):
        sb.pack(Padded(make()))
    packed = sb.pack(Padded(sb.nn.BinaryLinear(5, 5), make()))
    assert isinstance(packed.body["layer0"], PackedLayer)
    assert "Layer 'body.layer1' stays as it is: " in caplog.text


def test_zeros_of_pruned_weights(caplog):
    """One bit does not hold a zero: it is said of a layer whose weights have some, and of latents that turn to +1."""
    frozen = sb.freeze(nn.Sequential(sb.nn.BinaryLinear(8, 4)))
    frozen[0].weight.data[:, :3] = 0
    with pytest.raises(ValueError, match="'0' cannot be: some of its weights are zero, as pruning leaves them"):
        sb.pack(frozen)
    net = nn.Sequential(sb.nn.BinaryLinear(8, 4))
    sb.pack(net)
    assert not caplog.text
    with torch.no_grad():
        net[0].latent[:, :3] = 0
    packed, x = sb.pack(net), spikes(5, 8)
    assert torch.equal(packed(x), net.eval()(x))
    assert (
        "Layer '0': 12 weights have a latent of exactly 0, as pruning leaves them: they are packed as +1."
        in caplog.text
    )


def test_which_layer_needs_real_input():
    net = Padded(sb.nn.BinaryLinear(5, 5), sb.nn.BinaryLinear(5, 3))
    x = spikes(4, 5)
    with pytest.raises(ValueError, match=r"layer 'body\.layer1' is to get real .*real_input=\['body\.layer1'\]"):
        sb.pack(net)(x)
    assert torch.equal(sb.pack(net, real_input=["body.layer1"])(x), net.eval()(x))


@pytest.mark.parametrize("positions", [1, 2, 3])
def test_pooling_on_bits_is_pooling(engine, positions):
    pooling = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}[positions](3, 2, padding=1, dilation=2)
    convolution = {1: sb.nn.BinaryConv1d, 2: sb.nn.BinaryConv2d, 3: sb.nn.BinaryConv3d}[positions]
    net = nn.Sequential(
        convolution(2, 66, 1),
        sb.nn.Leaky(beta=0.5),
        sb.nn.TimeFirst(pooling),
        convolution(66, 3, 1),
    ).eval()
    packed = sb.pack(net)
    assert isinstance(packed[1], PackedMaxPool)
    x = spikes(4, 2, 2, *(7, 6, 8)[:positions])
    assert torch.equal(packed(x), net(x))


@pytest.mark.parametrize("positions", [0, 1, 2])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_becomes_part_of_the_layer(engine, positions, affine):
    kinds_of = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d}[positions]
    norm = kinds_of(70, affine=affine)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.3, 2.0)
    if affine:
        norm.weight.data.normal_()
        norm.bias.data.normal_()
    layer = (
        sb.nn.BinaryLinear(30, 70)
        if positions == 0
        else (sb.nn.BinaryConv1d, sb.nn.BinaryConv2d)[positions - 1](30, 70, 2)
    )
    net = nn.Sequential(layer, sb.nn.TimeFirst(norm), sb.nn.Leaky(beta=0.9, threshold=0.4)).eval()
    x = spikes(12, 2, 30, *(5, 4)[:positions])
    for packed, reference in ((sb.pack(net), net), (sb.pack(net[:2]), net[:2])):
        assert kinds(packed) == ["PackedLayer"]
        assert torch.equal(packed(x), reference(x))
    ensemble = sb.Ensemble(nn.Sequential(sb.nn.BinaryLinear(30, 70, scale=0.25), *net[1:]), num_members=2)
    if positions == 0:
        assert torch.equal(sb.pack(ensemble)(x), ensemble(x))


def test_what_it_does_not_know_gets_floats(engine):
    net = nn.Sequential(
        sb.nn.BinaryLinear(20, 30),
        sb.nn.Leaky(beta=0.9, threshold=0.3),
        nn.Linear(30, 8),
        sb.nn.Leaky(beta=0.9, threshold=0.1),
        sb.nn.BinaryLinear(8, 6),
        sb.nn.Leaky(beta=0.9, output=True),
    )
    packed = sb.pack(net)
    assert kinds(packed) == ["PackedLayer", "Linear", "Leaky", "PackedLayer", "Leaky"]
    x = spikes(9, 2, 20)
    for ours, theirs in zip(packed(x), net.eval()(x), strict=True):
        assert torch.equal(ours, theirs)


def test_layers_behind_real_numbers_hold_a_bit_per_weight_and_multiply(engine):
    two = nn.Sequential(sb.nn.BinaryLinear(8, 6, scale="channel"), sb.nn.BinaryLinear(6, 4)).eval()
    nn.init.uniform_(two[0].gain, 0.5, 2.0)
    packed = sb.pack(two)
    assert kinds(packed) == ["PackedLayer", "PackedLayer"]
    assert [layer.real_input for layer in packed] == [False, True]
    for x in (spikes(3, 8), spikes(8), spikes(5, 3, 8)):
        assert torch.equal(packed(x), two(x))
    traced = nn.Sequential(
        sb.nn.SynapticTrace(), sb.nn.BinaryLinear(8, 70), sb.nn.Leaky(beta=0.9), sb.nn.BinaryLinear(70, 4)
    ).eval()
    packed = sb.pack(traced)
    assert kinds(packed) == ["SynapticTrace", "PackedLayer", "PackedLayer"]
    assert (packed[1].real_input, packed[1].packed_output, packed[2].real_input) == (True, True, False)
    x = spikes(12, 3, 8)
    assert torch.equal(packed(x), traced(x))
    assert "real input" in repr(packed[1])
    with pytest.raises(TypeError, match=r"`input` to be a float32 tensor, but got torch\.float64"):
        packed[1](x.double())
    with pytest.raises(ValueError, match="of size 8 in dimension -1"):
        packed[1](x[..., :7])
    with pytest.raises(ValueError, match="time-first"):
        packed[1](x[0])


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 1}, {"padding": "same", "groups": 3}, {"padding": "same", "dilation": 3}]
)
@pytest.mark.parametrize("positions", [1, 2, 3])
def test_convolutions_behind_real_numbers(engine, positions, options):
    convolution = (sb.nn.BinaryConv1d, sb.nn.BinaryConv2d, sb.nn.BinaryConv3d)[positions - 1]
    average = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[positions - 1]
    net = nn.Sequential(
        convolution(2, 6, 1),
        sb.nn.Leaky(beta=0.9, threshold=0.1),
        sb.nn.TimeFirst(average(2)),
        convolution(6, 9, 2, **options),
        sb.nn.Leaky(beta=0.9, threshold=0.1),
        sb.nn.TimeFirst(average(2)),
        sb.nn.TimeFirst(nn.Flatten()),
    ).eval()
    x = spikes(4, 2, 2, *(10, 9, 11)[:positions])
    with torch.no_grad():
        net.append(sb.nn.BinaryLinear(net(x).shape[-1], 3).eval())
    packed = sb.pack(net)
    assert [layer.real_input for layer in packed if isinstance(layer, PackedLayer)] == [False, True, True]
    assert torch.equal(packed(x), net(x))


class Loop(nn.Module):
    """A network as snnTorch's users write it."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(20, 33), snn.Leaky(beta=0.9, threshold=0.3)
        self.fc2, self.lif2 = nn.Linear(33, 5), snn.Leaky(beta=0.9, threshold=0.3)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        recorded = []
        for x_t in x:
            spikes1, mem1 = self.lif1(self.fc1(x_t), mem1)
            spikes2, mem2 = self.lif2(self.fc2(spikes1), mem2)
            recorded.append((spikes2, mem2))
        return tuple(torch.stack(values) for values in zip(*recorded, strict=True))


class SameInput(nn.Module):
    """As in snnTorch's tutorials: an image is the input current of every time step."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(20, 70), nn.Linear(70, 4)
        self.lif1, self.lif2 = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        potentials = []
        for _ in range(5):
            spikes1, mem1 = self.lif1(self.fc1(x), mem1)
            _, mem2 = self.lif2(self.fc2(spikes1), mem2)
            potentials.append(mem2)
        return torch.stack(potentials)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_networks_of_snntorch(engine):
    net = Loop()
    sb.binarize_(net, sb.Sign())
    x = spikes(12, 3, 20)
    packed = sb.pack(net)
    assert isinstance(packed.fc1, PackedLayer)
    assert isinstance(packed.lif1, snn.Leaky)
    for ours, theirs in zip(packed(x), net.eval()(x), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("loop", [True, False])
def test_a_first_layer_that_is_shown_pixels(engine, loop, tmp_path):
    if loop:
        net, first, second, x = SameInput(), "fc1", "fc2", torch.rand(3, 20)
    else:
        net = nn.Sequential(nn.Linear(20, 70), sb.nn.Leaky(beta=0.9), nn.Linear(70, 4), sb.nn.Leaky(beta=0.9))
        first, second, x = "0", "2", torch.rand(5, 3, 20)
    sb.binarize_(net, sb.Bernoulli(init_scale=0.5))
    net.eval()
    packed = sb.pack(net, real_input=[first])
    assert torch.equal(packed(x), net(x))
    assert packed.get_submodule(first).real_input
    assert not packed.get_submodule(second).real_input
    ensemble = sb.Ensemble(net, num_members=3, seed=0, readout="membrane" if loop else "rate")
    answers = sb.pack(ensemble, real_input=[first]).predict(x).probs
    torch.testing.assert_close(answers, ensemble.predict(x).probs)
    if not loop:
        sb.save_packed(packed, tmp_path / "net.safetensors")
        assert torch.equal(sb.load_packed(tmp_path / "net.safetensors")(x), packed(x))
    with pytest.raises(ValueError, match=r"real_input=\['"):
        sb.pack(net)(x)


def test_either_name_of_a_shared_layer():
    shared = sb.nn.BinaryLinear(4, 4)
    net = nn.Sequential(shared, nn.ReLU(), shared)
    for name in ("0", "2"):
        assert torch.is_tensor(sb.pack(net, real_input=[name])(torch.rand(2, 4)))


def test_names_of_no_binary_layer():
    net = nn.Sequential(sb.nn.BinaryLinear(4, 3), sb.nn.Leaky(beta=0.9))
    with pytest.raises(ValueError, match="`real_input` to be names of binary layers, of 0, but got '1'"):
        sb.pack(net, real_input=["1"])
    with pytest.raises(TypeError, match="`real_input` to be a collection of names, but got '0'"):
        sb.pack(net, real_input="0")


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_a_sequence_with_neurons_of_snntorch(engine, reset):
    options = {"init_hidden": True, "threshold": 0.3, "reset_mechanism": reset}
    net = nn.Sequential(
        nn.Conv2d(2, 9, 3, padding=1),
        nn.BatchNorm2d(9),
        snn.Leaky(beta=torch.rand(9, 1, 1), **options),
        nn.MaxPool2d(2),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Sequential(nn.Linear(9 * 12, 70), snn.Synaptic(alpha=0.5, beta=0.9, **options)),
        nn.Linear(70, 5),
        snn.Leaky(beta=0.8, output=True, **options),
    )
    net[1].running_mean.normal_()
    net[1].running_var.uniform_(0.3, 2.0)
    sb.binarize_(net, sb.Bernoulli(init_scale=0.5))
    packed = sb.pack(net)
    assert kinds(packed) == ["PackedLayer", "PackedMaxPool", "PackedFlatten", "PackedLayer", "PackedLayer", "Leaky"]
    x = spikes(12, 3, 2, 6, 8)
    for ours, theirs in zip(packed(x), run(net.eval(), x), strict=True):
        assert torch.equal(ours, theirs)
    assert packed(x)[0].sum() > 0
    assert isinstance(net[2], snn.Leaky)  # what was packed is a copy


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_module_lists_and_neurons_that_hand_out_their_state(engine):
    net = nn.ModuleList([nn.Linear(20, 33), snn.Leaky(beta=0.9), nn.Linear(33, 5), snn.Leaky(beta=0.8)])
    sb.binarize_(net, sb.Sign())
    x = spikes(12, 3, 20)
    for ours, theirs in zip(sb.pack(net)(x), sb.fuse(net).eval()(x), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("neuron", [sb.nn.Leaky(0.9, 0.2), sb.nn.Synaptic(0.5, 0.9, 0.2), sb.nn.SRM(threshold=0.2)])
def test_our_neurons_that_keep_their_state(engine, neuron):
    stepwise = copy.deepcopy(neuron)
    stepwise.one_step = stepwise.init_hidden = True
    net = nn.Sequential(sb.nn.BinaryLinear(20, 33), stepwise, sb.nn.BinaryLinear(33, 4))
    packed = sb.pack(net)
    assert kinds(packed) == ["PackedLayer", "PackedLayer"]
    x = spikes(12, 3, 20)
    assert torch.equal(packed(x), run(net.eval(), x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_neurons_without_a_time_first_form(engine):
    net = nn.Sequential(nn.Linear(20, 33), snn.Alpha(0.9, 0.8, init_hidden=True), nn.Linear(33, 5))
    sb.binarize_(net, sb.Sign())
    packed = sb.pack(net)
    assert kinds(packed) == ["PackedLayer", "EachStep", "PackedLayer"]
    x = spikes(12, 3, 20)
    assert torch.equal(packed(x), run(net.eval(), x))
    assert torch.equal(run(packed, x), packed(x))
    with pytest.raises(ValueError, match="init_hidden=True where there is no time-first form of Alpha neurons"):
        sb.pack(nn.Sequential(net[0], snn.Alpha(0.9, 0.8)))
    with pytest.raises(ValueError, match="neurons that occur once, but got Alpha '1' again"):
        sb.pack(nn.Sequential(net[0], net[1], sb.nn.BinaryLinear(33, 33), net[1]))


# ---- local networks --------------------------------------------------------------------------------


def test_the_local_network_of_the_experiments(engine):
    net = LocalSpikingMLP(8, [70, 33], 3, burn_in=4, readout_scale=1.7)
    sb.binarize_(net, sb.Bernoulli(init_scale=0.5))
    packed = sb.pack(net)
    assert [layer.real_input for layer in packed if isinstance(layer, PackedLayer)] == [True, True, False]
    assert torch.equal(packed[-2].positive[0], net.readout(1) > 0)
    x = spikes(15, 3, 8)
    assert packed(x).shape == (11, 3, 3)
    assert torch.equal(packed(x), net.eval()(x))
    assert packed(x).abs().sum() > 0
    for steps in (0, 4):
        with pytest.raises(ValueError, match="longer than the burn-in of 4"):
            packed(x[:steps])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("output", [False, True])
@pytest.mark.parametrize(
    "neuron",
    [
        lambda **options: sb.nn.Leaky(0.9, 0.2, **options),
        lambda **options: sb.nn.Leaky(0.9, 0.2, init_hidden=True, **options),
        lambda **options: snn.Leaky(0.9, 0.2, init_hidden=True, **options),
        lambda **options: snn.Alpha(0.9, 0.8, 0.2, init_hidden=True, **options),
    ],
)
def test_local_networks_of_blocks_of_ones_own(engine, neuron, output):
    def layer(*sizes):
        return sb.nn.BinaryLinear(*sizes, weight=sb.Bernoulli(init_scale=0.5))

    blocks = [nn.Sequential(layer(20, 33), neuron(output=output)), nn.Sequential(layer(33, 9), neuron(output=output))]
    net = LocalNetwork(blocks, num_outputs=4, input_shape=(20,), seed=3)
    packed = sb.pack(net)
    assert isinstance(packed[-1], PackedLayer)
    assert [layer.real_input for layer in packed if isinstance(layer, PackedLayer)] == [False] * 3
    x = spikes(12, 3, 20)
    assert torch.equal(packed(x), net.eval()(x))
    assert getattr(net.blocks[1][1], "output", None) is output
    ensemble = sb.Ensemble(net, num_members=2, readout="membrane", step=False)
    members = sb.pack(ensemble)
    for scores, member in zip(members(x), ensemble.members, strict=True):
        assert torch.equal(scores, logits(sb.pack(member)(x), "membrane"))


def test_one_neuron_is_read_out_exactly(engine):
    net = LocalNetwork([nn.Sequential(sb.nn.BinaryLinear(5, 1), sb.nn.Leaky(0.9, 0.1))], 3, (5,), readout_scale=0.3)
    x = spikes(12, 3, 5)
    assert torch.equal(sb.pack(net)(x), net.eval()(x))


def test_a_module_in_two_places_stays_one(engine):
    layer = sb.nn.BinaryLinear(16, 16)
    net = nn.ModuleDict({"a": layer, "b": layer})
    packed = sb.pack(net)
    assert packed["a"] is packed["b"]
    repeated = nn.Sequential(layer, sb.nn.Leaky(beta=0.9, threshold=0.2), layer).eval()
    x = spikes(7, 2, 16)
    assert torch.equal(sb.pack(repeated)(x), repeated(x))


def test_names_that_meet_when_nested_sequences_are_joined(engine):
    inner = nn.Sequential(sb.nn.BinaryLinear(16, 16), sb.nn.Leaky(beta=0.9, threshold=0.2))
    net = nn.Sequential()
    net.add_module("0", inner)
    net.add_module("0_0", sb.nn.BinaryLinear(16, 8))
    x = spikes(7, 2, 16)
    assert torch.equal(sb.pack(net)(x), net.eval()(x))


def test_the_original_stays_and_training_mode_is_put_back():
    net = nn.Sequential(sb.nn.BinaryLinear(16, 8, weight=sb.Bernoulli(init_scale=0.5)), sb.nn.Leaky(beta=0.9))
    weight = net[0].weight.clone()
    packed = sb.pack(net)
    assert net.training
    assert torch.equal(net[0].weight, weight)
    with torch.no_grad():
        net[0].latent.neg_()
    assert torch.equal(packed[0].positive[0], net[0].latent < 0)


def test_a_frozen_draw(engine):
    net = nn.Sequential(sb.nn.BinaryLinear(64, 8, weight=sb.Bernoulli(init_scale=0.2)), sb.nn.Leaky(beta=0.9))
    draw = sb.freeze(net, "binary", torch.Generator().manual_seed(3))
    packed = sb.pack(draw)
    assert not torch.equal(packed[0].positive[0], net[0].latent >= 0)
    x = spikes(9, 2, 64)  # 1/sqrt(64) is a power of two: no rounding in the frozen network's sums
    assert torch.equal(packed(x), draw.eval()(x))


def test_nothing_to_pack():
    for net in (nn.Linear(3, 2), nn.Linear(1, 2), nn.Sequential(nn.ReLU()), sb.nn.BinaryLinear(3, 2).double()):
        with pytest.raises(ValueError, match="`net` to be a network with a binary Linear or Conv layer"):
            sb.pack(net)
    with pytest.raises(TypeError, match="`net` to be a module"):
        sb.pack("net")


def test_shaping_needs_bits():
    for module in (PackedFlatten(), sb.pack(_pooling())[1]):
        with pytest.raises(TypeError, match="`input` to be SpikeBits"):
            module(torch.zeros(1, 1, 2, 4, 4))
    with pytest.raises(ValueError, match="`input` to be of 2 spatial dimensions"):
        sb.pack(_pooling())[1](SpikeBits.of(torch.zeros(1, 1, 2)))


def _pooling():
    return nn.Sequential(
        sb.nn.BinaryConv2d(2, 3, 1),
        sb.nn.Leaky(beta=0.9),
        sb.nn.TimeFirst(nn.MaxPool2d(2)),
        sb.nn.BinaryConv2d(3, 3, 1),
    )


def test_one_bit_per_weight_in_memory():
    net = nn.Sequential(sb.nn.BinaryLinear(2312, 512), sb.nn.Leaky(beta=0.9), sb.nn.BinaryLinear(512, 10))
    packed = sb.pack(net)
    bits = sum(module.weight_bits.numel() * 64 for module in packed if isinstance(module, PackedLayer))
    assert bits < 1.01 * (2312 * 512 + 512 * 10)
