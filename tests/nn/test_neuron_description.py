"""A neuron is described once: a new one needs its class alone, and is then fused, packed, saved, exported, counted."""

import inspect
from typing import NamedTuple

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

import snntorch_binary as sb
from snntorch_binary.kernels.surrogates import ArcTan
from snntorch_binary.metrics import energy
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.description import (
    POSITIVE,
    Constant,
    NeuronDescription,
    NIRForm,
    Operations,
    Spike,
    description_of,
    is_neuron,
    register,
    saved_neurons,
)
from snntorch_binary.packed import PackedFileError


class State(NamedTuple):
    mem: Tensor


def update(x, state, of):
    mem = state.mem + (x - state.mem / of.resistance) / of.capacitance
    spikes = of.surrogate(mem - of.threshold)
    return spikes, State(mem * (1 - spikes.detach()))


def to_nir(node):
    resistance, capacitance = node.constant("resistance"), node.constant("capacitance")
    rest = {"v_leak": node.zeros(), "v_reset": node.zeros(), "v_threshold": node.constant("threshold")}
    return "LIF", {"tau": node.dt * resistance * capacitance, "r": resistance, **rest}


def of_nir(node):
    threshold, resistance = node.threshold_and_gain()
    constants = {"resistance": resistance, "capacitance": 1 / (resistance * node.leak("tau")), "threshold": threshold}
    return {name: node.number(values) for name, values in constants.items()}


class Lapicque(Neuron):
    """A resistor and a capacitor."""

    State = State
    description = NeuronDescription(
        update=update,
        constants=tuple(Constant(name, POSITIVE) for name in ("resistance", "capacitance", "threshold")),
        spike=Spike("surrogate", ArcTan(2.0)),
        operations=Operations(macs=2, additions=2, kept=1),
        saved_since=2,
        nir=NIRForm(to_nir, lambda neuron, shape: [], of_nir, kinds=("LIF",)),
    )

    def __init__(self, resistance, capacitance, threshold=1.0, surrogate=ArcTan(2.0), **form):  # noqa: B008
        super().__init__(**form)
        self._check(resistance=resistance, capacitance=capacitance, threshold=threshold)
        self.resistance, self.capacitance, self.threshold = resistance, capacitance, threshold
        self.surrogate = surrogate


class OwnLapicque(Lapicque):
    """May do anything else."""


def network(make=Lapicque, **form):
    torch.manual_seed(0)
    layers = sb.nn.BinaryLinear(32, 24), make(4.0, 2.0, 0.25, **form), sb.nn.BinaryLinear(24, 8), make(4.0, 2.0, **form)
    return nn.Sequential(*layers).eval()


@pytest.fixture
def x():
    torch.manual_seed(1)
    return (torch.rand(20, 5, 32) < 0.3).float()


@pytest.fixture
def spikes(x):
    return network()(x)


def test_the_update_is_all_three_forms(x, spikes):
    assert 0.02 < spikes.mean() < 0.9
    hidden = network(init_hidden=True)
    assert torch.equal(torch.stack([hidden(x_t) for x_t in x]), spikes)
    current, state, neuron = torch.rand(20, 5, 3), None, Lapicque(4.0, 2.0, step=True, output=True)
    whole, potentials = Lapicque(4.0, 2.0, output=True)(current)
    for t in range(20):
        step, state, potential = neuron(current[t], state)
        assert torch.equal(step, whole[t])
        assert torch.equal(potential, potentials[t])
    assert repr(neuron).startswith("Lapicque(resistance=4.0, capacitance=2.0, threshold=1.0, surrogate=ArcTan(")
    with pytest.raises(ValueError, match="`resistance` to be a positive float, but got -1"):
        Lapicque(-1.0, 2.0)


def test_a_new_neuron_is_fused(x, spikes):
    fused = sb.fuse(network(init_hidden=True))
    assert torch.equal(fused(x), spikes)
    assert fused.report["1"] == "Lapicque, one loop over time"


@pytest.mark.slow
def test_a_new_neuron_is_packed_and_saved(x, spikes, tmp_path):
    packed = sb.pack(network())
    sb.save_packed(packed, tmp_path / "net.safetensors")
    loaded = sb.load_packed(tmp_path / "net.safetensors")
    assert torch.equal(packed(x), spikes)
    assert torch.equal(loaded(x), spikes)
    assert (type(loaded[1]), loaded[1].threshold) == (Lapicque, 0.25)
    with pytest.raises(TypeError, match="cannot hold a OwnLapicque"):
        sb.save_packed(sb.pack(network(OwnLapicque)), tmp_path / "net.safetensors")
    for neuron in packed[1], packed[3]:
        neuron.surrogate = lambda u: u
    with pytest.raises(TypeError, match="cannot hold the surrogate of 1: it is no step at the threshold"):
        sb.save_packed(packed, tmp_path / "net.safetensors")


def test_constants_of_a_file_are_checked(tmp_path):
    net = network()
    net[1].resistance = -4.0
    sb.save_packed(sb.pack(net), tmp_path / "net.safetensors")
    with pytest.raises(PackedFileError, match="'1' cannot be made: Expected argument `resistance` to be a positive"):
        sb.load_packed(tmp_path / "net.safetensors")


def test_a_new_neuron_goes_to_nir_and_back(x, spikes):
    graph = sb.export.to_nir(network(), x)
    again = sb.export.from_nir(graph)
    assert torch.equal(again(x), spikes)
    assert [type(layer).__name__ for layer in again] == ["BinaryLinear", "Lapicque"] * 2
    # Whoever else wrote a node, it is the neuron that was described first.
    graph.nodes["1_lapicque"].metadata["module"] = "Other"
    assert type(sb.export.from_nir(graph)[1]) is sb.nn.Leaky
    graph.nodes["1_lapicque"].metadata["module"] = "Lapicque"
    graph.nodes["1_lapicque"].r[0] = 1.0
    with pytest.raises(ValueError, match="'1_lapicque' of the NIR graph has neurons that differ"):
        sb.export.from_nir(graph)
    with pytest.raises(ValueError, match="NIR cannot express the dynamics of module '1' \\(OwnLapicque\\)"):
        sb.export.to_nir(network(OwnLapicque), x)


def test_a_new_neuron_is_counted(x):
    counted = energy(network(), x)
    # 24 neurons in 20 steps: 2 multiply-accumulates and 2 additions each, and the scale of the layer.
    assert counted.rows[0].update_macs == 20 * 24 * (2 + 1)
    assert counted.rows[0].update_additions == 20 * 24 * 2
    assert counted.uncounted == ()
    assert "the update of 1 (OwnLapicque)" in energy(network(OwnLapicque), x).uncounted


def test_a_name_of_this_package_is_not_given_away():
    with pytest.raises(ValueError, match="another name than that of snntorch_binary's Leaky, but got"):
        type("Leaky", (Lapicque,), {"description": Lapicque.description})
    assert saved_neurons()["Leaky"] is sb.nn.Leaky


@pytest.mark.parametrize("kind", [*saved_neurons().values(), Lapicque])
def test_what_is_described_is_an_argument_and_an_attribute(kind):
    description = kind.description
    names = [part.name for part in (*description.constants, *description.options)]
    names += [description.spike.name] if description.spike else []
    names += ["step", "init_hidden", *(["output"] if description.shows_potential else [])]
    arguments = inspect.signature(kind).parameters
    if "form" in arguments:
        names = names[: -len(("step", "init_hidden", "output"))]
    assert set(names) <= set(arguments)
    needed = {name: 0.5 for name, of in arguments.items() if of.default is of.empty and of.kind is not of.VAR_KEYWORD}
    neuron = kind(**needed)
    assert all(hasattr(neuron, name) for name in names if name not in ("step",))


def test_neurons_of_snntorch_are_described_by_name():
    class Own(snn.Leaky):
        pass

    neurons = [kind for kind in vars(snn).values() if inspect.isclass(kind) and hasattr(kind, "reset_mem")]
    assert len(neurons) > 7
    for kind in neurons:
        described = description_of(kind.__new__(kind))
        assert described is not None, kind
        assert described.takes_one_step(kind.__new__(kind)), kind
    assert description_of(snn.Leaky(0.9)).nir is not None
    assert description_of(Own(0.9)).nir is None  # it may do anything else
    assert is_neuron(Own(0.9))
    assert not is_neuron(nn.Linear(2, 2))


def test_a_neuron_of_another_library_is_described_from_outside():
    class Foreign(nn.Module):
        def reset_mem(self):
            pass

    assert not is_neuron(Foreign())
    register(Foreign, NeuronDescription(takes_one_step=lambda neuron: True, over_time=None))
    assert is_neuron(Foreign())
    with pytest.raises(TypeError, match="`module` to be a layer without memory"):
        sb.nn.TimeFirst(nn.Sequential(nn.Flatten(), Foreign()))
