"""What NIR cannot say is refused in one sentence, and exported as something else only where that is asked for."""

import subprocess
import sys

import pytest
import snntorch as snn
import torch
from nir_loaders import stepped
from torch import nn

import snntorch_binary as sb
from snntorch_binary.export import NIRExportError

HARD = {"reset_mechanism": "zero", "reset_delay": False}
HIDDEN = {**HARD, "init_hidden": True}


def quantised(mem):
    return mem


class OwnLinear(nn.Linear):
    pass


def behind_linear(neuron):
    return nn.Sequential(nn.Linear(4, 4), neuron)


LOSSY = {
    "soft": (snn.Leaky(beta=0.9, init_hidden=True), ["soft reset 'subtract'", "Leaky", "reset_mechanism='zero'"]),
    "soft, ours": (sb.nn.Leaky(beta=0.9), ["soft reset 'subtract'", "Leaky"]),
    "none": (sb.nn.Synaptic(0.5, 0.9, reset_mechanism="none"), ["missing reset 'none'", "Synaptic"]),
    "delay": (snn.Synaptic(0.5, 0.9, reset_mechanism="zero", init_hidden=True), ["delayed reset", "Synaptic"]),
    "delay in a loop": (snn.RLeaky(0.9, linear_features=4, reset_mechanism="zero"), ["delayed reset", "RLeaky"]),
    "graded": (snn.Leaky(beta=0.9, graded_spikes_factor=2.0, **HIDDEN), ["graded spikes", "graded_spikes_factor=1"]),
    "quantised": (snn.Leaky(beta=0.9, state_quant=quantised, **HIDDEN), ["quantised state"]),
    "at the threshold": (
        sb.nn.Leaky(0.9, spike_grad=sb.nn.surrogate.ArcTan(fires_at_threshold=True), **HARD),
        ["spike_grad", "u > threshold"],
    ),
    "below zero": (sb.nn.Leaky(0.9, threshold=-0.1, **HARD), ["negative threshold"]),
    "RSynaptic": (snn.RSynaptic(0.5, 0.9, linear_features=4, **HIDDEN), ["late reset", "snntorch_binary.nn.Recurrent"]),
}


@pytest.mark.parametrize("case", LOSSY)
def test_lossy_neurons(case):
    neuron, words = LOSSY[case]
    net = behind_linear(neuron)
    sample = torch.zeros(1, 4) if type(neuron).__module__.startswith("snntorch.") else torch.zeros(1, 2, 4)
    with pytest.raises(NIRExportError, match="allow_lossy=True") as raised:
        sb.export.to_nir(net, sample)
    for word in ["module '1'", *words]:
        assert word in str(raised.value)
    assert str(raised.value).count("\n") == 0
    graph = sb.export.to_nir(net, sample, allow_lossy=True)
    if case != "below zero":  # which stays what no neuron here is
        again = sb.export.from_nir(graph)
        assert again[1](torch.full((3, 2, 4), 9.0)).shape == (3, 2, 4)


def test_inhibition():
    with pytest.warns(UserWarning, match="Inhibition"):
        neuron = snn.Leaky(beta=0.9, inhibition=True, **HIDDEN)
    with pytest.raises(NIRExportError, match="inhibition=False"):
        sb.export.to_nir(behind_linear(neuron), torch.zeros(1, 4))


def test_a_lossy_export_is_the_neuron_with_a_hard_reset():
    net = nn.Sequential(nn.Linear(6, 5), snn.Leaky(beta=0.9, init_hidden=True))
    hard = nn.Sequential(net[0], snn.Leaky(beta=0.9, **HIDDEN))
    x = torch.rand(60, 3, 6) * 3
    lossy = sb.export.from_nir(sb.export.to_nir(net, x[0], allow_lossy=True))(x)
    assert torch.equal(lossy, stepped(hard, x))
    assert not torch.equal(lossy, stepped(net, x))


def test_snntorchs_rsynaptic_does_not_reset_without_delay():
    """The reason for refusing it: if this fails, snnTorch has mended it, and the export follows by itself."""
    neuron = snn.RSynaptic(0.5, 0.9, linear_features=2, **HARD)
    with torch.no_grad():
        *_, mem = neuron(torch.full((1, 2), 9.0), *(torch.zeros(1, 2) for _ in range(3)))
    assert (mem > 1).all()


REFUSED = {
    "SRM": (behind_linear(sb.nn.SRM()), ["dynamics", "SRM", "Leaky or Synaptic"]),
    "Alpha": (behind_linear(snn.Alpha(0.9, 0.8, 0.7, init_hidden=True)), ["dynamics", "Alpha"]),
    "ReLU": (nn.Sequential(nn.Linear(4, 4), nn.ReLU()), ["function", "ReLU"]),
    "layer norm": (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), ["LayerNorm", "function"]),
    "maximum of currents": (
        nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.MaxPool2d(2)),
        ["Unflatten", "function"],
    ),
    "own layer": (nn.Sequential(OwnLinear(4, 4)), ["OwnLinear", "weights"]),
    "bias in a loop without a layer before": (
        nn.Sequential(snn.RLeaky(0.9, linear_features=4, **HIDDEN)),
        ["recurrent bias", "RLeaky"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_modules_that_have_no_node(case):
    net, words = REFUSED[case]
    for allow_lossy in (False, True):
        with pytest.raises(NIRExportError) as raised:
            sb.export.to_nir(net, torch.zeros(1, 2, 4) if case == "SRM" else torch.zeros(1, 4), allow_lossy=allow_lossy)
        for word in words:
            assert word in str(raised.value)


@pytest.mark.parametrize(
    ("layer", "word"),
    [
        (nn.MaxPool2d(2), "maximum of currents"),
        (nn.AvgPool2d(2, ceil_mode=True), "ceil_mode"),
        (nn.AvgPool2d((2, 1)), "sides"),
        (nn.AdaptiveAvgPool2d(4), "windows that differ"),
        (nn.Conv2d(2, 3, (3, 1)), "equal sides"),
        (nn.Conv2d(2, 3, 2, padding="same"), "padding"),
        (nn.Conv2d(2, 3, 3, padding_mode="circular"), "padding_mode='circular'"),
        (nn.Linear(6, 3), "nn.Flatten"),
        (nn.Flatten(0), "time or batch"),
        (nn.LSTM(6, 3), "several outputs"),
    ],
)
@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
def test_layers_that_have_no_node(layer, word):
    sample = torch.zeros(1, 5, 6) if isinstance(layer, nn.LSTM) else torch.zeros(1, 2, 6, 6)
    with pytest.raises(NIRExportError, match=word):
        sb.export.to_nir(nn.Sequential(layer), sample)


@pytest.mark.parametrize(
    ("net", "arguments", "error", "word"),
    [
        (nn.Bilinear(2, 2, 2), {}, TypeError, "forward says more"),
        (nn.Sequential(), {}, ValueError, "`net`"),
        (nn.Sequential(nn.Linear(4, 2)), {"sample": torch.zeros(4)}, ValueError, "`sample`"),
        (nn.Sequential(nn.Linear(4, 2)), {"sample": torch.zeros(1, 5)}, ValueError, "Linear '0'"),
        (nn.Sequential(nn.Linear(4, 2)), {"sample": [1.0]}, TypeError, "`sample`"),
        (nn.Sequential(nn.Linear(4, 2)), {"sample": torch.zeros(1, 4).long()}, TypeError, "`sample`"),
        (nn.Sequential(nn.Linear(4, 2)), {"weights": "median"}, ValueError, "`weights`"),
        (nn.Sequential(nn.Linear(4, 2)), {"weights": True}, ValueError, "`weights`"),
        (nn.Sequential(nn.Linear(4, 2)), {"dt": 0.0}, ValueError, "`dt`"),
        (
            nn.Sequential(nn.Linear(4, 4), sb.nn.Leaky(0.9), snn.Leaky(0.9, init_hidden=True)),
            {"sample": torch.zeros(1, 1, 4)},
            ValueError,
            "of one form",
        ),
        (nn.Sequential(*[snn.Leaky(0.9, init_hidden=True)] * 2), {}, ValueError, "occur once"),
        (behind_linear(sb.nn.Leaky(torch.rand(3), **HARD)), {"sample": torch.zeros(1, 1, 4)}, ValueError, r"\[3\]"),
    ],
)
def test_bad_arguments(net, arguments, error, word):
    with pytest.raises(error, match=word):
        sb.export.to_nir(net, **{"sample": torch.zeros(1, 4), **arguments})


def test_the_network_stays_as_it_was():
    net = behind_linear(snn.Leaky(beta=0.9, **HIDDEN))
    sb.binarize_(net, sb.Bernoulli(init_scale=0.3))
    net(torch.ones(2, 4))
    mem, weight, states = net[1].mem.clone(), net[0].weight.clone(), {k: v.clone() for k, v in net.state_dict().items()}
    for weights in ("mode", "mean", 3):
        sb.export.to_nir(net, torch.zeros(1, 4), weights)
    assert net.training
    assert torch.equal(net[1].mem, mem)
    assert torch.equal(net[0].weight, weight)
    assert all(torch.equal(value, states[key]) for key, value in net.state_dict().items())


@pytest.mark.slow
def test_without_nir_there_is_one_sentence():
    program = """
import sys, torch, snntorch_binary as sb
assert not {"nir", "h5py"} & set(sys.modules)
sys.modules["nir"] = None
for call in (lambda: sb.export.to_nir(torch.nn.Linear(2, 2), torch.zeros(1, 2)), lambda: sb.export.from_nir("x.nir")):
    try:
        call()
    except ImportError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (
        done.stdout.splitlines()
        == ["nir is not installed; install it with `pip install 'snntorch-binary[export]'`."] * 2
    )
