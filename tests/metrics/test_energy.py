"""`energy`: counts against hand counts and against a loop over every synapse; the same for every form of a network."""

import itertools
import math

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.kernels import use_engine
from snntorch_binary.metrics import energy, spike_rate_energy
from snntorch_binary.metrics.energy.operations import contributions
from snntorch_binary.models import LocalSpikingMLP
from snntorch_binary.packed import SpikeBits

COUNTS = ("dense_macs", "macs", "synaptic_operations", "update_macs", "update_additions", "input_density", "spikes")
BYTES = ("weight_bytes", "weight_bytes_float32", "bytes_moved", "operations_nj", "memory_nj")


def spikes(*shape, density=0.3):
    return (torch.rand(shape) < density).float()


def numbers(counted):
    """Everything that was counted, without the names."""
    return [tuple(getattr(row, name) for name in (*COUNTS, *BYTES, "firing_rate", "binary")) for row in counted.rows]


def test_two_layers_by_hand():
    """3 inputs, 4 hidden neurons that always fire, 2 outputs; T = 5, B = 2."""
    net = nn.Sequential(sb.nn.BinaryLinear(3, 4), sb.nn.Leaky(beta=0.5, threshold=0.1), nn.Linear(4, 2)).eval()
    with torch.no_grad():
        net[0].bias.fill_(10.0)
    x = torch.zeros(5, 2, 3)
    x[0, 0, 0] = x[1, 0, 1] = x[4, 1, 2] = 1.0  # three spikes, 1.5 for each example
    counted = energy(net, x)
    hidden, out = counted.rows
    assert (counted.batch_size, hidden.name, out.name, hidden.binary, out.binary) == (2, "0", "2", True, False)
    assert (hidden.dense_macs, hidden.macs, hidden.synaptic_operations) == (5 * 12, 0, 1.5 * 4)
    assert (hidden.input_density, hidden.spikes, hidden.firing_rate) == (0.1, 20, 1.0)
    assert (hidden.update_macs, hidden.update_additions) == (20 + 20, 2 * 20)  # scale and decay; reset and threshold
    assert (hidden.weight_bytes, hidden.weight_bytes_float32) == (2, 48)
    # 15 input bits, 6 weights, 20 spikes, 20 potentials read and written
    assert hidden.bytes_moved == (15 + 6 + 20 + 2 * 32 * 20) / 8
    assert hidden.operations_nj == pytest.approx(1e-3 * (40 * 4.6 + 6 * 0.1 + 40 * 0.9))
    assert hidden.memory_nj == pytest.approx(1e-3 * hidden.bytes_moved * 2.5)
    assert (out.dense_macs, out.synaptic_operations, out.update_macs, out.update_additions) == (40, 40, 0, 10)
    assert (out.spikes, out.firing_rate, out.input_density) == (None, None, 1.0)
    assert out.bytes_moved == (20 + 32 * 40 + 32 * 10) / 8  # input bits, weights, output currents
    assert out.operations_nj == pytest.approx(1e-3 * (40 * 0.9 + 10 * 0.9))
    assert (counted.dense_macs, counted.synaptic_operations, counted.spikes) == (100, 46, 20)
    assert counted.operations_nj == hidden.operations_nj + out.operations_nj
    assert counted.dense_nj == pytest.approx(1e-3 * 100 * 4.6)


def by_loop(layer, x):
    """Count the non-zero products of every output by the sum of a layer of ones that sees one input at a time."""
    ones = nn.Sequential(layer)[0]
    weight = torch.ones_like(layer.weight)
    total = 0
    for index in (x != 0).nonzero().tolist():
        one = torch.zeros_like(x)
        one[tuple(index)] = 1.0
        total += int((ones._conv_forward(one, weight, None) if layer.weight.dim() > 2 else one @ weight.T).sum())
    return total


@pytest.mark.parametrize("spatial", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1},
        {"groups": 2, "dilation": 2, "padding": 2},
        {"padding": "same", "dilation": 3},
        {"padding": "valid"},
        {"padding": 1, "padding_mode": "circular"},
        {"padding": 2, "padding_mode": "replicate", "stride": 2},
    ],
)
def test_contributions_of_convolutions_are_exact(spatial, options):
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[spatial - 1]
    layer = kind(2, 4, (3, 2, 3)[:spatial] if "same" not in options.values() else 3, **options)
    x = spikes(2, 2, *(7, 6, 5)[:spatial], density=0.1)
    assert contributions(layer, x) == by_loop(layer, x) > 0


@pytest.mark.parametrize("options", [{"stride": 2, "padding": (2, 1)}, {"groups": 2, "dilation": 2}])
def test_contributions_of_packed_convolutions(options):
    layer = sb.nn.BinaryConv2d(4, 6, (3, 2), **options)
    x = spikes(3, 2, 4, 7, 8)
    assert contributions(sb.pack(layer), x) == contributions(layer, x) == by_loop(layer, x.flatten(0, 1))


def test_ones_everywhere_without_padding_are_dense():
    net = nn.Sequential(sb.nn.BinaryConv2d(3, 8, 3, bias=False), sb.nn.Leaky(beta=0.9))
    (row,) = energy(net, torch.ones(4, 2, 3, 9, 9)).rows
    assert row.synaptic_operations == row.dense_macs == 4 * 8 * 49 * 27


@pytest.mark.parametrize(
    ("neuron", "macs", "additions", "kept"),
    [
        (sb.nn.Leaky(beta=0.9), 1, 2, 1),  # u decays and takes x; the reset, the threshold
        (sb.nn.Leaky(beta=0.9, reset_mechanism="none"), 1, 1, 1),
        (sb.nn.Synaptic(alpha=0.5, beta=0.9), 2, 2, 2),  # a current that decays before it
        (sb.nn.SRM(), 3, 2, 3),  # p, q and r decay and take q, x and spikes; p - r, the threshold
        (sb.nn.Refractory(), 1, 2, 1),  # r alone
        (sb.nn.SoftReset(), 1, 2, 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_the_update_of_every_neuron(neuron, macs, additions, kept):
    steps, batch, inputs, outputs = 5, 3, 6, 7
    x = spikes(steps, batch, inputs)
    (row,) = energy(nn.Sequential(nn.Linear(inputs, outputs), neuron), x).rows
    updates = steps * outputs
    assert row.update_macs == updates * macs
    assert row.update_additions == updates * (additions + 1)  # the layer's bias
    read = float(x.count_nonzero()) / batch * outputs * 32 + steps * inputs
    assert row.bytes_moved == pytest.approx((read + updates + 2 * 32 * kept * updates) / 8)
    assert row.spikes is not None


def test_other_numbers_than_spikes_are_multiplied():
    net = nn.Sequential(nn.Linear(6, 5), sb.nn.Leaky(beta=0.9), nn.Linear(5, 2))
    x = spikes(4, 3, 6)
    assert energy(net, x).rows[0].macs == 0
    x[2, 1, 3] = 0.5  # one is enough
    first, second = energy(net, x).rows
    assert (first.macs, first.synaptic_operations) == (first.dense_macs, 0) == (4 * 30, 0)
    assert first.bytes_moved == (4 * 6 * 4) + (4 * 4 * 30) + 4 * 5 / 8 + 2 * 4 * 20
    assert second.macs == 0
    pooled = nn.Sequential(
        sb.nn.BinaryConv2d(1, 2, 1), sb.nn.Leaky(beta=0.9, threshold=0.1), sb.nn.TimeFirst(nn.AvgPool2d(2))
    )
    with torch.no_grad():
        pooled[0].bias[:] = torch.tensor([10.0, -10.0])
    pooled += nn.Sequential(sb.nn.TimeFirst(nn.Conv2d(2, 3, 1)))
    x = spikes(3, 2, 1, 4, 4)
    assert energy(pooled, x).rows[1].macs == 0  # averages of ones are ones
    with torch.no_grad():
        pooled[0].bias[:] = -0.5
        pooled[0].latent[:] = 1.0
    assert energy(pooled, x).rows[1].macs == 3 * 4 * 6


class Loop(nn.Module):
    """A network as snnTorch's users write it: a static input, a loop inside ``forward``."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps
        self.fc1, self.lif1 = nn.Linear(20, 33), snn.Leaky(beta=0.9, threshold=0.3)
        self.fc2, self.lif2 = nn.Linear(33, 5), snn.Leaky(beta=0.8, threshold=0.3, reset_mechanism="none")

    def reset_mem(self):
        """As some networks have it, which does not make them neurons."""

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        recorded = []
        for t in range(self.steps):
            spikes1, mem1 = self.lif1(self.fc1(x if x.dim() == 2 else x[t]), mem1)
            spikes2, mem2 = self.lif2(self.fc2(spikes1), mem2)
            recorded.append((spikes2, mem2))
        return tuple(torch.stack(values) for values in zip(*recorded, strict=True))


@pytest.mark.parametrize("binary", [True, False])
def test_a_loop_counts_as_its_time_first_form(binary):
    net = Loop(12)
    if binary:
        sb.binarize_(net, sb.Bernoulli())
    time_first = sb.fuse([net.fc1, net.lif1, net.fc2, net.lif2]).eval()
    x = spikes(12, 3, 20)
    with torch.no_grad():
        assert torch.equal(net.eval()(x)[0], time_first(x)[0])
    counted = energy(net, x)
    assert [row.name for row in counted.rows] == ["fc1", "fc2"]
    assert numbers(counted) == numbers(energy(time_first, x))
    assert counted.rows[1].update_additions == 12 * 5 * (1 if binary else 2)  # no reset; a real layer's bias
    assert 0 < counted.rows[0].firing_rate < 1
    if binary:
        assert numbers(counted) == numbers(energy(sb.pack(net), x))


def test_a_static_input_is_seen_at_every_step():
    counted = energy(Loop(10), torch.ones(3, 20))
    assert counted.batch_size == 3
    assert counted.rows[0].synaptic_operations == 10 * 20 * 33


def test_one_step_networks_and_their_state():
    net = nn.Sequential(
        nn.Linear(20, 30),
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.Linear(30, 5),
        snn.Alpha(0.9, 0.8, init_hidden=True),
    )
    net.train()
    net(spikes(2, 20))
    before = net[1].mem.clone()
    x = spikes(7, 2, 20)
    counted = energy(net, x)
    assert net.training
    assert torch.equal(net[1].mem, before)
    assert counted.rows[0].synaptic_operations == x.sum() / 2 * 30
    assert counted.uncounted == ("the update of 3 (Alpha)",)
    assert counted.rows[1].update_macs == 0
    assert "not counted: the update of 3 (Alpha)" in str(counted)


def convolutional():
    return nn.Sequential(
        sb.nn.BinaryConv2d(2, 9, 3, padding=1, stride=(1, 2)),
        sb.nn.Leaky(beta=0.9, threshold=0.3),
        sb.nn.TimeFirst(nn.MaxPool2d(2)),
        sb.nn.BinaryConv2d(9, 6, 2, groups=3, bias=False),
        sb.nn.TimeFirst(nn.BatchNorm2d(6)),
        sb.nn.Synaptic(alpha=0.5, beta=0.9, threshold=0.3),
        sb.nn.TimeFirst(nn.Flatten()),
        sb.nn.BinaryLinear(12, 7),
        sb.nn.SRM(),
        nn.Linear(7, 8),
        sb.nn.Leaky(beta=0.9, threshold=0.1),
    )


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_a_packed_network_counts_as_what_it_was_packed_from(engine):
    net, x = convolutional(), spikes(8, 2, 2, 6, 7)
    packed = sb.pack(net)
    with use_engine(engine):
        counted = energy(packed, x)
        assert numbers(counted) == numbers(energy(net, x))
        assert numbers(energy(packed, SpikeBits.of(x, 2))) == numbers(counted)
    assert [row.binary for row in counted.rows] == [True, True, True, False]
    assert [row.update_macs for row in counted.rows[1:3]] == [8 * 12 * 3, 8 * 7 * 4]


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_a_packed_ensemble_counts_all_of_its_members(engine):
    net = nn.Sequential(
        sb.nn.BinaryLinear(64, 20, weight=sb.Bernoulli(init_scale=0.5)),
        sb.nn.Leaky(beta=0.9, threshold=0.3),
        sb.nn.BinaryLinear(20, 4, weight=sb.Bernoulli(init_scale=0.5), scale=0.25),
    )
    ensemble = sb.Ensemble(net, num_members=3)
    x = spikes(9, 2, 64)
    with use_engine(engine):
        one_by_one, together = energy(ensemble, x), energy(sb.pack(ensemble), x)
    assert (len(one_by_one.rows), len(together.rows)) == (6, 2)
    assert all(row.binary for row in one_by_one.rows)  # frozen at ± one number
    for name in ("dense_macs", "macs", "synaptic_operations", "weight_bytes_float32", "spikes"):
        assert getattr(together, name) == getattr(one_by_one, name)
    assert together.synaptic_operations > 0
    assert together.operations_nj == pytest.approx(one_by_one.operations_nj)


def test_a_packed_one_step_network_counts_as_its_steps():
    net = nn.Sequential(
        sb.nn.BinaryLinear(20, 33), snn.Leaky(0.9, 0.2, init_hidden=True), sb.nn.BinaryLinear(33, 4), nn.Linear(4, 3)
    )
    x = spikes(9, 2, 20)
    stepped = energy(net, x)
    assert numbers(stepped) == numbers(energy(sb.pack(net), x))
    assert stepped.rows[2].macs == 9 * 12  # what it gets are currents


def test_a_packed_local_network_counts_its_readout_too():
    net = LocalSpikingMLP(8, [16, 6], 3, burn_in=2)
    sb.binarize_(net, sb.Bernoulli())
    x = spikes(9, 2, 8)
    before, packed = energy(net, x), energy(sb.pack(net), x)
    assert numbers(packed)[:-1] == numbers(before)  # the readout of a LocalNetwork is no module
    assert packed.rows[-1].synaptic_operations == before.rows[-1].spikes * 3
    assert [row.macs > 0 for row in packed.rows] == [False, True, False, True, False]


def test_a_frozen_network_counts_as_the_binary_one():
    net = nn.Sequential(
        sb.nn.BinaryConv1d(4, 8, 3, padding=1, padding_mode="circular", scale=0.25),
        sb.nn.Leaky(beta=0.9, threshold=0.2),
        sb.nn.TimeFirst(nn.Flatten()),
        sb.nn.BinaryLinear(64, 3, bias=False),
    )
    frozen = sb.freeze(net.eval())
    frozen[0] = sb.nn.TimeFirst(frozen[0])
    x = spikes(6, 2, 4, 8)
    assert numbers(energy(frozen, x)) == numbers(energy(net, x))
    assert energy(frozen, x).rows[0].name == "0.module"


def test_traces_have_a_row_of_their_own_and_layers_behind_them_multiply():
    net = nn.Sequential(sb.nn.SynapticTrace(), sb.nn.BinaryLinear(8, 6), sb.nn.Refractory())
    trace, layer = energy(net, spikes(5, 2, 8)).rows
    assert (trace.name, trace.update_macs, trace.dense_macs, trace.weight_bytes) == ("0", 2 * 5 * 8, 0, 0)
    assert trace.spikes is None
    assert (layer.macs, layer.synaptic_operations) == (5 * 48, 0)
    assert layer.firing_rate is not None


class Folded(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 2))

    def forward(self, x):
        return self.weight @ x


@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (2, 2), (3, 1)])
def test_a_transposed_convolution(stride, groups):
    """Each spike reaches as many outputs as the kernel covers, fewer where the padding cuts them off."""
    net = nn.Sequential(sb.nn.BinaryConvTranspose1d(4, 6, 3, stride, 1, groups=groups))
    x = spikes(5, 2, 4, 7)
    ones = nn.ConvTranspose1d(4, 6, 3, stride, 1, groups=groups, bias=False)
    nn.init.ones_(ones.weight)
    reached = float(ones(x.flatten(0, 1)).detach().sum()) / 2
    for counted in (net, sb.pack(net), sb.freeze(nn.Sequential(sb.nn.TimeFirst(net[0])))):
        row = energy(counted, x).rows[0]
        assert row.synaptic_operations == pytest.approx(reached)
        assert row.dense_macs == 5 * 7 * 4 * 3 * 6 // groups
        assert (row.bits, row.weight_bytes) == (1, math.ceil(4 * 6 * 3 / groups / 8))


def test_what_is_not_counted_is_said():
    net = nn.Sequential(sb.nn.TimeFirst(Folded()), nn.Flatten(2), nn.Linear(8, 2))
    assert energy(net, spikes(3, 2, 2, 4)).uncounted == ("0.module (Folded)",)
    assert energy(nn.Sequential(nn.Linear(3, 2), nn.LayerNorm((2, 2))), spikes(3, 2, 3)).uncounted == ()


def test_the_table():
    text = str(energy(convolutional(), spikes(8, 2, 2, 6, 7)))
    lines = text.splitlines()
    assert len(lines) == 2 + 4 + 4
    assert " ".join(lines[0].split()) == ("layer bits dense MACs MACs synaptic updates input firing bytes moved nJ")
    assert lines[2].split()[:4] == ["0", "1", "31,104", "0"]
    assert "45 nm process (Horowitz, 2014), not measured" in text


def test_modes_and_hooks_are_put_back():
    net = nn.Sequential(sb.nn.BinaryLinear(8, 6, weight=sb.Bernoulli(init_scale=0.3)), sb.nn.Leaky(beta=0.9))
    net[1].eval()
    weight = net[0].weight.clone()
    energy(net, spikes(3, 2, 8))
    assert [module.training for module in net] == [True, False]
    assert torch.equal(net[0].weight, weight)
    assert not any(module._forward_hooks for module in net.modules())
    with pytest.raises(ValueError, match="size 8"):
        energy(net, spikes(3, 2, 7))
    assert not any(module._forward_hooks for module in net.modules())


def test_numbers_are_means_over_the_batch():
    net, x = convolutional(), spikes(8, 3, 2, 6, 7)
    one_by_one = [energy(net, x[:, i : i + 1]) for i in range(3)]
    together = energy(net, x)
    for name, layer in itertools.product(("synaptic_operations", "spikes", "bytes_moved"), range(4)):
        mean = sum(getattr(counted.rows[layer], name) for counted in one_by_one) / 3
        assert getattr(together.rows[layer], name) == pytest.approx(mean)


def test_bad_arguments():
    layer = sb.nn.BinaryLinear(8, 6)
    x = spikes(5, 8)
    with pytest.raises(ValueError, match="`batch_size` to be given where neither the network nor a few runs"):
        energy(layer, x)
    assert energy(layer, x, batch_size=5).rows[0].dense_macs == 48
    for size in (0, 2.0):
        with pytest.raises(ValueError, match="`batch_size` to be a positive integer"):
            energy(layer, x, batch_size=size)
    with pytest.raises(ValueError, match="`net` to be a network that calls Linear or Conv layers, but got ReLU"):
        energy(nn.ReLU(), spikes(3, 2, 8))
    with pytest.raises(TypeError, match="`x` to be a tensor or SpikeBits"):
        energy(layer, [1.0])


def test_energy_by_spike_rates_by_hand():
    """A convolution of signed spikes, all neurons of one of two channels firing, pooled spikes into a linear layer."""
    net = nn.Sequential(
        sb.nn.TimeFirst(nn.Conv2d(1, 2, 1, bias=False)),
        sb.nn.SoftReset(beta=0.0, threshold=0.5),
        sb.nn.TimeFirst(nn.AvgPool2d(2)),
        nn.Flatten(2),
        nn.Linear(8, 3, bias=False),
    )
    with torch.no_grad():
        net[0].module.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
    x = torch.zeros(5, 2, 1, 4, 4)
    x[:, :, :, :2] = 1.0  # of 16 pixels 8 fire channel 0
    x[:, :, :, 3, 0] = -1.0  # and one channel 1
    counted = energy(net, x)
    assert [row.macs for row in counted.rows] == [5 * 32, 5 * 24]  # neither -1 nor a quarter is a spike to `energy`
    found = spike_rate_energy(counted, num_steps=5)
    assert found.macs == 32 + 24
    # 9 of 16 inputs are not zero, and 9 of 32 neurons spike, in each of five steps.
    assert found.accumulates == pytest.approx(5 * (32 * 9 / 16 + 24 * 9 / 32))
    assert found.spiking_nj == pytest.approx(0.9e-3 * found.accumulates)
    assert found.twin_nj == pytest.approx(4.6e-3 * 56)
    assert found.ratio == pytest.approx(4.6 * 56 / (0.9 * 123.75))


def test_energy_by_spike_rates_refuses_what_it_cannot_tell():
    counted = energy(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), spikes(5, 2, 3))
    with pytest.raises(ValueError, match="spiking neurons behind all but the last, but got 0"):
        spike_rate_energy(counted, 5)
    with pytest.raises(ValueError, match="`num_steps` to be a positive integer, but got 0"):
        spike_rate_energy(counted, 0)
    silent = energy(nn.Sequential(nn.Linear(3, 4)), torch.zeros(5, 2, 3))
    assert spike_rate_energy(silent, 5).ratio == float("inf")


def test_a_network_of_two_inputs_counts_each_layer_that_it_calls():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.neuron = nn.Linear(8, 16), nn.Linear(4, 16), snn.Leaky(0.9)

        def forward(self, x, context):
            membrane, found = self.neuron.reset_mem(), []
            for x_t in x:
                spikes, membrane = self.neuron(self.a(x_t) + self.b(context), membrane)
                found.append(spikes)
            return torch.stack(found)

    x = (torch.zeros(7, 5, 8), torch.ones(5, 4))
    x[0][0, :, :2] = 1
    counted = {row.name: row for row in energy(Net(), x).rows}
    assert counted["a"].synaptic_operations == 2 * 16
    assert counted["b"].synaptic_operations == 7 * 4 * 16
    for wrong in ((), ("x", x[0]), "x"):
        with pytest.raises(TypeError, match="Expected argument `x` to be a tensor or SpikeBits, or a tuple"):
            energy(Net(), wrong)
