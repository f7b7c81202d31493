"""Beside snnTorch: every neuron class, loss, encoder and training function it has works with our layers."""

import copy
import importlib
import inspect
import pickle
import warnings
from importlib.metadata import version

import pytest
import snntorch as snn
import torch
from snntorch import functional as SF
from snntorch import spikegen, utils
from snntorch.functional.quant import state_quant
from torch import nn
from torch.utils.data import DataLoader

import snntorch_binary as sb
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.kernels.surrogates import ArcTan
from snntorch_binary.weights import binary_layers

VERSION = tuple(int(part) for part in version("snntorch").split(".")[:3])
SINCE_1_0 = ("AssociativeLeaky", "DeltaLeaky", "LinearLeaky", "StateLeaky")
FEATURES = 16

# Each class between two Linear layers of 16 features: how it is made, then what `binarize_` makes of its own weights.
STEP = {
    "Alpha": lambda: snn.Alpha(alpha=0.9, beta=0.8, init_hidden=True),
    "DeltaLeaky": lambda: snn.DeltaLeaky(delta_threshold=0.1, beta=0.9, init_hidden=True),
    "Lapicque": lambda: snn.Lapicque(beta=0.9, init_hidden=True),
    "Leaky": lambda: snn.Leaky(beta=0.9, init_hidden=True, learn_beta=True, learn_threshold=True),
    "RLeaky": lambda: snn.RLeaky(beta=0.9, linear_features=FEATURES, init_hidden=True),
    "RSynaptic": lambda: snn.RSynaptic(alpha=0.8, beta=0.9, linear_features=FEATURES, init_hidden=True),
    "SConv2dLSTM": lambda: snn.SConv2dLSTM(1, 1, 3, init_hidden=True, threshold=0.1),
    "SLSTM": lambda: snn.SLSTM(FEATURES, FEATURES, init_hidden=True, threshold=0.1),
    "Synaptic": lambda: snn.Synaptic(alpha=0.8, beta=0.9, init_hidden=True, learn_alpha=True),
}
SEQUENCE = {
    "AssociativeLeaky": lambda: snn.AssociativeLeaky(FEATURES, d_value=4, d_key=4, num_spiking_neurons=FEATURES),
    "LeakyParallel": lambda: snn.LeakyParallel(FEATURES, FEATURES, beta=0.9),
    "LinearLeaky": lambda: snn.LinearLeaky(beta=0.9, in_features=FEATURES, out_features=FEATURES),
    "StateLeaky": lambda: snn.StateLeaky(beta=0.9, channels=FEATURES),
}
NEURONS = STEP | SEQUENCE
CONVERTED = {
    "AssociativeLeaky": ("neuron.to_v", "neuron.to_k", "neuron.to_alpha", "neuron.to_q"),
    "LinearLeaky": ("neuron.linear",),
    "RLeaky": ("neuron.recurrent",),
    "RSynaptic": ("neuron.recurrent",),
    "SConv2dLSTM": ("neuron.conv",),
}
SKIPPED = {
    "LeakyParallel": {"neuron.rnn": "RNN has no binary form: weight_ih_l0, weight_hh_l0 stays real"},
    "SLSTM": {"neuron.lstm_cell": "LSTMCell has no binary form: weight_ih, weight_hh stays real"},
}
each_neuron = pytest.mark.parametrize("name", [name for name in NEURONS if hasattr(snn, name)])


@pytest.fixture(autouse=True)
def instances():
    """Let snnTorch forget the neurons of a test: it keeps all of a process, and its `reset` fails on a DeltaLeaky."""
    before = list(snn.SpikingNeuron.instances)
    yield
    snn.SpikingNeuron.instances[:] = before


class Net(nn.Module):
    """Linear, a neuron of snnTorch, Linear, our Leaky; the neuron runs step by step or over the sequence."""

    def __init__(self, name):
        super().__init__()
        self.fc1 = nn.Linear(FEATURES, FEATURES)
        self.neuron = NEURONS[name]()
        self.fc2 = nn.Linear(FEATURES, 4)
        self.out = sb.nn.Leaky(beta=0.9, threshold=0.125, output=True)
        self.by_step, self.image = name in STEP, name == "SConv2dLSTM"

    def spikes(self, x):
        out = self.neuron(x.unflatten(-1, (1, 4, 4)) if self.image else x)
        out = out[0] if isinstance(out, tuple) else out
        return out.flatten(1) if self.image else out

    def forward(self, x):
        currents = self.fc1(x)
        if self.by_step:
            sb.reset(self)
            hidden = torch.stack([self.spikes(current) for current in currents])
        else:
            hidden = self.spikes(currents)
        return self.out(self.fc2(hidden))


def data(steps=12):
    return 4 * torch.rand(steps, 8, FEATURES).round(), torch.randint(4, (8,))


# ---- every neuron ------------------------------------------------------------------------------


def test_every_neuron_class_of_the_installed_version_is_tested():
    bases = {"SpikingNeuron", "LIF"}
    neurons = {
        name
        for name, found in vars(snn).items()
        if inspect.isclass(found) and issubclass(found, nn.Module) and "._neurons." in found.__module__
    }
    expected = set(NEURONS) if VERSION >= (1, 0, 0) else set(NEURONS) - set(SINCE_1_0)
    assert neurons == expected | bases


@each_neuron
def test_what_becomes_of_its_own_weights(name):
    net = Net(name)
    report = sb.binarize_(net, sb.Bernoulli())
    assert report.converted == ("fc1", *CONVERTED.get(name, ()), "fc2")
    assert report.skipped == SKIPPED.get(name, {})
    latents = {id(layer.latent) for layer in binary_layers(net).values()}
    real = {key for key, value in net.named_parameters() if value.dim() > 1 and id(value) not in latents}
    assert {key.rpartition(".")[0] for key in real} == set(SKIPPED.get(name, {}))


@each_neuron
@pytest.mark.parametrize("rule", [sb.Sign(), sb.Bernoulli()], ids=repr)
def test_it_computes_as_with_these_weights_in_float(name, rule):
    net = Net(name)
    sb.binarize_(net, rule, scale=0.25)  # a power of two: no rounding
    with torch.no_grad():
        for layer in (net.fc1, net.fc2):
            layer.bias.copy_(torch.randint_like(layer.bias, -2, 3) / 4)
    net.eval()
    frozen = sb.freeze(net)
    assert type(frozen.neuron) is type(net.neuron)
    x, _ = data()
    spikes, mem = net(x)
    assert spikes.any()
    for again in (net(x), frozen(x)):  # nothing is left of the sequence before
        assert torch.equal(again[0], spikes)
        assert torch.equal(again[1], mem)


@each_neuron
def test_it_trains_and_predicts(name):
    net = Net(name)
    sb.binarize_(net, sb.Bernoulli(init_scale=0.5))
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.5, rho=1e-3, betas=(0.9, 0.999))
    before = {key: parameter.detach().clone() for key, parameter in net.named_parameters()}
    x, y = data()
    for _ in range(3):
        optimizer.zero_grad()
        loss = SF.ce_count_loss()(net(x)[0], y)
        loss.backward()
        for key, parameter in net.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, key
                assert parameter.grad.isfinite().all(), key
        optimizer.step()
    for layer in binary_layers(net):
        assert not torch.equal(net.get_submodule(layer).latent, before[f"{layer}.weight"]), layer

    prediction = sb.predict(net, x, num_samples=3, step=False, readout="membrane")
    assert prediction.samples.shape == (3, 8, 4)
    assert prediction.samples.std(0).max() > 0
    ensemble = sb.Ensemble(net, num_members=3, step=False, readout="membrane")
    assert ensemble.predict(x).probs.isfinite().all()

    twin = Net(name)
    sb.binarize_(twin, sb.Bernoulli(init_scale=0.5))
    with torch.no_grad():
        mem = net(x)[1]
        sb.reset(net)
        twin.load_state_dict(net.state_dict())
        assert torch.equal(twin(x)[1], mem)
        sb.reset(net)
        assert torch.equal(copy.deepcopy(net)(x)[1], mem)


# ---- losses, accuracy, encoders, training functions --------------------------------------------


def readout_net(neuron):
    """A binary network over all time steps: (spikes, membrane potentials)."""
    return nn.Sequential(sb.nn.BinaryLinear(FEATURES, 12, weight=sb.Sign()), neuron(output=True, beta=0.9))


LOSSES = {
    "ce_rate_loss": (SF.ce_rate_loss(), 0),
    "ce_count_loss": (SF.ce_count_loss(), 0),
    "ce_count_loss, population": (SF.ce_count_loss(population_code=True, num_classes=4), 0),
    "ce_max_membrane_loss": (SF.ce_max_membrane_loss(), 1),
    "mse_count_loss": (SF.mse_count_loss(correct_rate=0.8, incorrect_rate=0.2), 0),
    "mse_membrane_loss": (SF.mse_membrane_loss(), 1),
    "mse_temporal_loss": (SF.mse_temporal_loss(), 0),
    "ce_temporal_loss": (SF.ce_temporal_loss(), 0),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_take_our_outputs(name):
    """Ours over a sequence and snnTorch's own step by step: the same loss, the same gradient of the latent."""
    loss, index = LOSSES[name]
    net = readout_net(sb.nn.Leaky)
    neuron = snn.Leaky(beta=0.9, init_hidden=True, output=True)
    x, y = data()
    ours = loss(net(x)[index], y)
    stepped = [neuron(net[0](x_t)) for x_t in x]
    theirs = loss(torch.stack([outputs[index] for outputs in stepped]), y)
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(value.sum(), net[0].latent)[0] for value in (ours, theirs)]
    assert gradients[0].any()
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_accuracies_and_regularisation_take_our_spikes():
    net = readout_net(sb.nn.Leaky)
    x, _ = data()
    spikes, _ = net(x)
    counted = spikes.sum(0).argmax(-1)
    assert SF.accuracy_rate(spikes, counted) == 1
    assert SF.accuracy_rate(spikes, (counted + 1) % 12) == 0
    assert 0 <= SF.accuracy_temporal(spikes, counted) <= 1
    SF.l1_rate_sparsity(1e-2)(spikes).backward()
    assert net[0].latent.grad.any()


def test_encoders_feed_our_layers():
    net = readout_net(sb.nn.Leaky)
    images = torch.rand(8, FEATURES)
    for encoded in (
        spikegen.rate(images, num_steps=10),
        spikegen.latency(images, num_steps=10, normalize=True, linear=True),
        spikegen.delta(torch.rand(10, 8, FEATURES), threshold=0.1),
    ):
        assert encoded.shape == (10, 8, FEATURES)
        spikes, _ = net(encoded)
        assert spikes.shape == (10, 8, 12)


def test_quantised_states_beside_binary_weights():
    neuron = snn.Leaky(beta=0.9, init_hidden=True, state_quant=state_quant(num_bits=4, threshold=1.0))
    net = nn.Sequential(nn.Linear(FEATURES, 4), neuron)
    sb.binarize_(net, sb.Bernoulli())
    torch.stack([net(x_t) for x_t in data()[0]]).sum().backward()
    assert net[0].latent.grad.any()
    assert len(neuron.mem.unique()) <= 16


def train_function(name):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The module snntorch.backprop will be deprecated", DeprecationWarning)
        return getattr(importlib.import_module("snntorch.backprop"), name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:In the first 30 steps")  # of RTRL ten a sequence, all alike
@pytest.mark.parametrize("name", ["BPTT", "TBPTT", "RTRL"])
@pytest.mark.parametrize(
    "neuron",
    [
        lambda size, **kwargs: snn.Leaky(beta=0.9, init_hidden=True, **kwargs),
        lambda size, **kwargs: snn.Synaptic(alpha=0.8, beta=0.9, init_hidden=True, **kwargs),
        lambda size, **kwargs: snn.RLeaky(beta=0.9, linear_features=size, init_hidden=True, **kwargs),
    ],
    ids=["Leaky", "Synaptic", "RLeaky"],
)
def test_training_functions(name, neuron):
    # Neurons of one class: with several, snnTorch detaches the state of one class only.
    hidden = nn.Linear(FEATURES, 12)
    net = nn.Sequential(hidden, neuron(12), nn.Linear(12, 4), neuron(4, output=True))
    sb.binarize_(net, sb.Bernoulli(init_scale=0.5))
    per_sequence = {"BPTT": 1, "TBPTT": 2, "RTRL": 10}[name]
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.3 / per_sequence, rho=1e-3, betas=(0.9, 0.999))
    images, y = torch.rand(32, FEATURES), torch.arange(32) % 4
    images[torch.arange(32), y] = 3.0
    batches = DataLoader(list(zip(images, y, strict=True)), batch_size=16)
    extra = {"K": 5} if name == "TBPTT" else {}
    train = train_function(name)
    first = hidden.latent.detach().clone()
    counter = hidden.draw.counter
    losses = [
        train(net, batches, optimizer, SF.ce_rate_loss(), num_steps=10, time_var=False, **extra).item()
        for _ in range(20)
    ]
    assert (
        hidden.draw.counter - counter == per_sequence * len(batches) * 20
    )  # a draw for each update, held until the next
    assert not torch.equal(hidden.latent, first)
    assert sum(losses[-8:]) < sum(losses[:8])


# ---- versions ----------------------------------------------------------------------------------


def used(net, x):
    for x_t in x:
        net(x_t)


def test_reset_of_snntorch_and_ours():
    """Up to 1.0.0 snnTorch's finds direct children only, and resets every network of the process."""
    make = lambda: nn.Sequential(nn.Linear(FEATURES, 4), snn.Leaky(beta=0.9, init_hidden=True))  # noqa: E731
    flat, nested, other = make(), nn.Sequential(make()), make()
    copied = copy.deepcopy(flat)
    networks = {"flat": flat, "nested": nested, "other": other, "copied": copied}
    for net in networks.values():
        sb.binarize_(net, sb.Sign())
    x, _ = data()

    def rested(reset, which):
        for net in networks.values():
            used(net, x)
        reset(networks[which])
        neurons = {name: net.modules() for name, net in networks.items()}
        return {
            name
            for name, modules in neurons.items()
            if not any(module.mem.any() for module in modules if isinstance(module, snn.Leaky))
        }

    for which in networks:
        assert rested(sb.reset, which) == {which}
    if VERSION <= (1, 0, 0):
        assert rested(utils.reset, "nested") == set()
        assert rested(utils.reset, "flat") == {"flat", "nested", "other"}
        assert rested(utils.reset, "copied") == {"flat", "nested", "other"}
    else:
        for which in networks:
            assert rested(utils.reset, which) == {which}


class ResetsItself(nn.Module):
    """As in snnTorch's tutorials: `forward` begins at rest."""

    def __init__(self, reset):
        super().__init__()
        self.fc, self.lif = nn.Linear(12, 5), snn.Leaky(beta=0.9, threshold=0.2, init_hidden=True)
        self.reset = reset

    def forward(self, x):
        self.reset(self)
        return torch.stack([self.lif(self.fc(x_t)) for x_t in x])


COPIES = {
    "frozen": sb.freeze,
    "member": lambda net: sb.Ensemble(net, num_members=2, seed=0).members[0],
    "packed without a sample": sb.pack,
    "unbinarized": lambda net: sb.unbinarize_(copy_model(net)),
}


RESETS = {
    "utils.reset": utils.reset,
    "of a neuron": lambda net: net.lif.reset_hidden(),
    "of a class": lambda net: snn.Leaky.reset_hidden(),
}


@pytest.mark.skipif(not hasattr(snn.Leaky, "reset_hidden"), reason="of snnTorch up to 1.0")
@pytest.mark.parametrize("reset", RESETS.values(), ids=RESETS)
@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_snntorchs_reset_in_forward_finds_copies(make, reset):
    """snnTorch resets the neurons that were constructed, which copies are not."""
    torch.manual_seed(0)
    net, x = ResetsItself(reset), (torch.rand(6, 8, 12) < 0.4).float()
    sb.binarize_(net, sb.Bernoulli())
    net.eval()(x)
    twin = make(net)
    twin = net if twin is None else twin
    with torch.no_grad():
        first = twin(x)
        assert torch.equal(twin(x), first)
        assert float(first.sum()) > 0


def test_a_delta_leaky_anywhere():
    """In 1.0.0 it breaks snnTorch's reset of every other network; ours it does not concern."""
    net = nn.Sequential(nn.Linear(FEATURES, 4), snn.Leaky(beta=0.9, init_hidden=True))
    used(net, data()[0])
    if VERSION < (1, 0, 0):
        assert not hasattr(snn, "DeltaLeaky")
        utils.reset(net)
        return
    snn.DeltaLeaky(beta=0.9)
    if VERSION == (1, 0, 0):
        with pytest.raises(AttributeError):
            utils.reset(net)
    used(net, data()[0])
    sb.reset(net)
    assert not net[1].mem.any()


@pytest.mark.skipif(not hasattr(snn, "DeltaLeaky"), reason="since snnTorch 1.0")
def test_a_copy_of_a_delta_leaky_at_rest_breaks_no_reset():
    delta = nn.Sequential(nn.Linear(FEATURES, 4), snn.DeltaLeaky(beta=0.9, init_hidden=True))
    net = nn.Sequential(nn.Linear(FEATURES, 4), snn.Leaky(beta=0.9, init_hidden=True))
    snn.SpikingNeuron.instances.remove(delta[1])  # snnTorch's reset fails on this one itself
    sb.binarize_(delta, sb.Sign())
    twin = sb.freeze(delta)
    assert twin[1].mem is None
    used(net, data()[0])
    utils.reset(net)
    assert not net[1].mem.any()


def test_the_merged_reset_finds_our_neurons():
    """After 1.0.0 it calls the `reset_mem` of every module; ours have one."""
    net = nn.Sequential(nn.Sequential(sb.nn.BinaryLinear(FEATURES, 4), sb.nn.Leaky(beta=0.9, init_hidden=True)))
    x, _ = data()
    first = torch.stack([net(x_t) for x_t in x])
    for module in net.modules():
        if hasattr(module, "reset_mem"):
            module.reset_mem()
    assert first.any()
    assert torch.equal(torch.stack([net(x_t) for x_t in x]), first)
    if VERSION > (1, 0, 0):
        utils.reset(net)
        assert torch.equal(torch.stack([net(x_t) for x_t in x]), first)


@pytest.mark.parametrize("reset", [utils.reset, lambda net: utils.reset(net)])
def test_snntorchs_reset_reaches_our_neurons(reset):
    """Whatever version, under a name that was imported before our first neuron was built, and at any depth."""
    net, other = (
        nn.Sequential(nn.Sequential(nn.Linear(FEATURES, 4), neuron(init_hidden=True)))
        for neuron in (lambda **k: sb.nn.Leaky(beta=0.9, **k), lambda **k: sb.nn.Synaptic(alpha=0.8, beta=0.9, **k))
    )
    x = 5 * torch.rand(6, 2, FEATURES)
    for each in (net, other):
        first = torch.stack([each(x_t) for x_t in x])
        reset(each)
        assert first.any()
        assert torch.equal(torch.stack([each(x_t) for x_t in x]), first)
    kept = other[0][1]._kept
    reset(net)
    assert other[0][1]._kept is kept


def test_whole_models_pickle_with_our_surrogates():
    def net(**kwargs):
        model = nn.Sequential(nn.Linear(FEATURES, 4), snn.Leaky(beta=0.9, init_hidden=True, **kwargs))
        sb.binarize_(model, sb.Bernoulli())
        return model

    ours, theirs = net(spike_grad=ArcTan(2.0)), net()
    x, _ = data()
    assert torch.equal(pickle.loads(pickle.dumps(ours))(x[0]), ours(x[0]))
    if VERSION <= (1, 0, 0):
        with pytest.raises((AttributeError, pickle.PicklingError), match=r"local object|<locals>"):
            pickle.dumps(theirs)
    else:
        pickle.dumps(theirs)
