"""Binary weights inside every cell of Norse that has raw ones."""

import pytest

pytest.importorskip("norse.torch", reason="Norse is not installed")

import copy
import importlib
import inspect
import pickle
import pkgutil

import norse.torch as norse
import torch
from norse.torch import module as norse_modules
from norse.torch.functional.izhikevich import tonic_spiking
from norse.torch.module.snn import SNNRecurrent, SNNRecurrentCell
from torch import nn

import snntorch_binary as sb
from snntorch_binary.convert.foreign import APART
from snntorch_binary.norse import BinarySynapses

RULES = [sb.Sign(), sb.Bernoulli(), sb.Bernoulli(estimator="gumbel")]
each_rule = pytest.mark.parametrize("rule", RULES, ids=repr)


def module_classes():
    """Every module class that Norse has, by name."""
    classes = {}
    for info in pkgutil.walk_packages(norse_modules.__path__, "norse.torch.module."):
        if ".test" not in info.name:
            for name, found in vars(importlib.import_module(info.name)).items():
                if inspect.isclass(found) and issubclass(found, nn.Module) and found.__module__.startswith("norse"):
                    classes[name] = found
    return classes


def holds_raw_weights(norse_class):
    """Look for a raw weight Parameter in the source of a class and of Norse's classes below it."""
    bases = [base for base in norse_class.__mro__ if base.__module__.startswith("norse")]
    return any("self.input_weights = " in inspect.getsource(base) for base in bases)


CLASSES = {name: found for name, found in module_classes().items() if holds_raw_weights(found)}
CELLS = {name: found for name, found in CLASSES.items() if found not in (SNNRecurrentCell, SNNRecurrent)}
each_cell = pytest.mark.parametrize("name", CELLS)


def make(name, inputs=6, size=9, **kwargs):
    arguments = (tonic_spiking,) if name.startswith("Izhikevich") else ()
    return CELLS[name](inputs, size, *arguments, **kwargs)


def drive(module, steps=12):
    """Return the spikes of a cell or sequence module for the same strong input."""
    gain = 50 if "Izhikevich" in type(module).__name__ else 4
    x = gain * torch.rand(steps, 3, 6, generator=torch.Generator().manual_seed(1)).round()
    if isinstance(module, SNNRecurrent):
        return module(x)[0]
    outputs, state = [], None
    for x_t in x:
        output, state = module(x_t, state)
        outputs.append(output)
    return torch.stack(outputs)


def pickles_in_norse(cell):
    """Say whether pickle takes a module of Norse; it does not find the class of some neuron parameters."""
    try:
        return bool(pickle.dumps(cell))
    except pickle.PicklingError:
        return False


def weights_of(cell):
    return {name: getattr(cell, name) for name in ("input_weights", "recurrent_weights") if hasattr(cell, name)}


# ---- which classes -----------------------------------------------------------------------------


def test_every_class_with_raw_weights_is_known():
    assert set(APART) == set(CLASSES.values())
    assert sorted(CELLS) == [
        "CobaLIFCell",
        "IzhikevichRecurrent",
        "IzhikevichRecurrentCell",
        "LIFAdExRecurrent",
        "LIFAdExRecurrentCell",
        "LIFAdExRefracRecurrent",
        "LIFAdExRefracRecurrentCell",
        "LIFExRecurrent",
        "LIFExRecurrentCell",
        "LIFMCRecurrentCell",
        "LIFMCRefracRecurrentCell",
        "LIFRecurrent",
        "LIFRecurrentCell",
        "LIFRefracRecurrent",
        "LIFRefracRecurrentCell",
        "LILinearCell",
        "LSNNRecurrent",
        "LSNNRecurrentCell",
    ]


@each_cell
@each_rule
def test_weights_become_binary_and_autapses_stay_away(name, rule):
    cell = make(name)
    before = {key: value.detach().clone() for key, value in weights_of(cell).items()}
    parameters = weights_of(cell)
    report = sb.binarize_(cell, rule)
    assert report.converted == tuple(f"synapses.{key}" for key in before)
    assert set(report.skipped) == ({""} if hasattr(cell, "g_coupling") else set())
    assert type(cell).__name__ == name
    assert isinstance(cell, CELLS[name])
    for key, weight in weights_of(cell).items():
        layer = cell.get_submodule(f"synapses.{key}")
        assert type(layer) is BinarySynapses
        assert layer.latent is parameters[key]
        expected = torch.full_like(before[key], before[key].shape[1] ** -0.5)
        if key == "recurrent_weights" and name != "CobaLIFCell":
            assert not before[key].diagonal().any()
            expected.fill_diagonal_(0.0)
            assert not layer.latent.diagonal().any()
        with sb.sampled(cell, "mode"):
            assert torch.equal(weights_of(cell)[key].abs(), expected)
            assert torch.equal(weights_of(cell)[key].sign(), before[key].sign())
        if rule != RULES[2]:
            assert torch.equal(weight.abs(), expected)


@each_cell
def test_a_binary_cell_computes_and_learns_as_norse_does_with_these_weights(name):
    cell = make(name)
    sb.binarize_(cell, sb.Sign(straight_through="identity"))
    real = sb.freeze(cell)
    assert type(real) is CELLS[name]
    assert list(real.state_dict()) == list(make(name).state_dict())
    for parameter in real.parameters():
        parameter.requires_grad_()
    spikes, expected = drive(cell), drive(real)
    assert expected.abs().sum() > 0
    assert torch.equal(spikes, expected)
    weights = torch.randn(spikes.shape)
    (spikes * weights).sum().backward()
    (expected * weights).sum().backward()
    for key, weight in weights_of(real).items():
        layer = cell.synapses[key]
        if name == "CobaLIFCell" and key == "input_weights":
            # Norse 1.1.0 computes the current of the input and does not use it.
            assert weight.grad is layer.latent.grad is None
            continue
        gradient = weight.grad * layer.in_force().ne(0) * layer.fan_in**-0.5
        assert gradient.any()
        torch.testing.assert_close(layer.latent.grad, gradient)
    if hasattr(cell, "g_coupling"):
        torch.testing.assert_close(cell.g_coupling.grad, real.g_coupling.grad)


@each_cell
@each_rule
def test_there_and_back(name, rule):
    cell = make(name)
    before = copy.deepcopy(cell.state_dict())
    parameters = list(cell.parameters())
    sb.binarize_(cell, rule)
    sb.unbinarize_(cell)
    assert type(cell) is CELLS[name]
    assert all(one is other for one, other in zip(cell.parameters(), parameters, strict=True))
    assert list(cell.state_dict()) == list(before)
    for key, value in cell.state_dict().items():
        if rule == sb.Sign():
            assert torch.equal(value, before[key])
        elif key.endswith("_weights"):
            mean = torch.tanh(torch.tensor(3.0)) * before[key].shape[1] ** -0.5
            torch.testing.assert_close(value, before[key].sign() * mean)
    assert "synapses" not in dict(cell.named_modules())


@each_cell
def test_copies_pickles_and_checkpoints(name):
    cell = make(name)
    pickles = pickles_in_norse(cell)
    sb.binarize_(cell, sb.Bernoulli(init_scale=0.5))
    sb.resample_(cell)
    expected = {key: value.clone() for key, value in weights_of(cell).items()}
    spikes = drive(cell)
    other = make(name)
    sb.binarize_(other, sb.Bernoulli(init_scale=0.5))
    other.load_state_dict(cell.state_dict())
    if hasattr(cell, "autapses"):
        assert not cell.recurrent_weights.diagonal().any()
    twins = [copy.deepcopy(cell), other]
    if pickles:
        twins.append(pickle.loads(pickle.dumps(cell)))
    else:
        assert name.startswith(("LIFRec", "LIFRef", "LIFMC"))
    for twin in twins:
        assert type(twin) is type(cell)
        for key, value in weights_of(twin).items():
            assert torch.equal(value, expected[key])
        assert torch.equal(drive(twin), spikes)
        sb.resample_(twin)
        assert any(not torch.equal(value, expected[key]) for key, value in weights_of(twin).items())
    for key, value in weights_of(cell).items():
        assert torch.equal(value, expected[key])


@each_cell
def test_a_checkpoint_in_full_precision_loads(name):
    real, cell, of_bernoulli = make(name), make(name), make(name)
    sb.binarize_(cell, sb.Sign())
    sb.binarize_(of_bernoulli, sb.Bernoulli(prior=0.3))
    cell.load_state_dict(real.state_dict())
    for key, value in weights_of(real).items():
        assert torch.equal(cell.synapses[key].latent, value)
    divergence = sb.kl_divergence(of_bernoulli)
    of_bernoulli.load_state_dict(real.state_dict())
    sb.binarize_(real, sb.Bernoulli(prior=0.3))
    for one, other in zip(real.parameters(), of_bernoulli.parameters(), strict=True):
        assert torch.equal(one, other)
    torch.testing.assert_close(sb.kl_divergence(of_bernoulli), sb.kl_divergence(real))
    assert divergence > 0


# ---- parts of a cell ---------------------------------------------------------------------------


def test_some_weights_of_a_cell_may_stay_real():
    cell = norse.LIFRecurrentCell(6, 9)
    recurrent = cell.recurrent_weights
    report = sb.binarize_(cell, sb.Sign(), lambda module, name: not name.endswith("recurrent_weights"))
    assert report.converted == ("synapses.input_weights",)
    assert report.skipped == {"synapses.recurrent_weights": "left real, as filter_fn says"}
    assert cell.recurrent_weights is recurrent
    drive(cell).sum().backward()
    assert cell.synapses["input_weights"].latent.grad.any()
    assert recurrent.grad.any()
    assert not recurrent.grad.diagonal().any()
    frozen = sb.freeze(cell)
    assert torch.equal(frozen.recurrent_weights, recurrent)
    assert torch.equal(drive(frozen), drive(cell))


def test_a_model_that_is_refused_stays_as_it_was():
    net = norse.SequentialState(nn.Linear(6, 6), norse.LIFRecurrentCell(6, 9))
    names = list(net.state_dict())

    def fails(module, name):
        raise RuntimeError("the filter failed")

    with pytest.raises(ValueError, match="a model with a Linear or Conv layer to convert"):
        sb.binarize_(net, sb.Sign(), lambda module, name: False)
    with pytest.raises(RuntimeError, match="the filter failed"):
        sb.binarize_(net, sb.Sign(), fails)
    assert type(net[1]) is norse.LIFRecurrentCell
    assert list(net.state_dict()) == names
    assert drive(net).shape == (12, 3, 9)


def test_weights_that_are_no_parameters_stay():
    fixed = torch.rand(9, 6)
    cell = norse.LIFRecurrentCell(6, 9, input_weights=fixed, autapses=True)
    assert sb.binarize_(cell, sb.Sign()).converted == ("synapses.recurrent_weights",)
    assert cell.input_weights is fixed
    assert cell.recurrent_weights.diagonal().all()
    assert drive(cell).shape == (12, 3, 9)
    linear = norse.LILinearCell(6, 9)
    sb.binarize_(linear, sb.Sign())
    assert not hasattr(linear, "recurrent_weights")


def test_a_subclass_stays_real_and_is_named():
    class Own(norse.LIFRecurrentCell):
        pass

    net = nn.ModuleList([nn.Linear(3, 3), Own(3, 3)])
    report = sb.binarize_(net, sb.Sign())
    assert report.converted == ("0",)
    assert report.skipped == {"1": "Own has no binary form: input_weights, recurrent_weights stays real"}


def test_other_parameters_of_a_cell_stay_real_and_are_named():
    report = sb.binarize_(norse.LIFMCRecurrentCell(6, 9), sb.Sign())
    assert report.skipped == {"": "LIFMCRecurrentCell has no binary form: g_coupling stays real"}


def test_weights_are_assigned_tied_and_written():
    first, second = norse.LIFRecurrentCell(6, 9), norse.LIFRecurrentCell(6, 9)
    sb.binarize_(first, sb.Bernoulli(init_scale=0.1))
    sb.binarize_(second, sb.Bernoulli(init_scale=0.1))
    second.recurrent_weights = first.recurrent_weights
    assert second.synapses["recurrent_weights"].latent is first.synapses["recurrent_weights"].latent
    sb.resample_(first)
    assert torch.equal(first.recurrent_weights, second.recurrent_weights)
    second.input_weights = -torch.ones(9, 6)
    second.eval()
    assert (second.input_weights < 0).all()
    nn.init.ones_(second.input_weights)
    assert (second.input_weights > 0).all()
    nn.init.normal_(second.recurrent_weights)  # tied, and without autapses
    assert torch.equal(first.eval().recurrent_weights, second.recurrent_weights)
    assert not second.recurrent_weights.diagonal().any()
    assert torch.equal(second.synapses["recurrent_weights"].latent.diagonal(), torch.zeros(9))
    shared = norse.LIFRecurrentCell(6, 9)
    pair = nn.ModuleList([shared, norse.LIFRecurrentCell(6, 9, input_weights=shared.input_weights)])
    sb.binarize_(pair, sb.Sign())
    assert pair[0].synapses["input_weights"].draw is pair[1].synapses["input_weights"].draw


@pytest.mark.parametrize("scale", ["channel", 0.25])
def test_scales(scale):
    cell = norse.LIFRecurrentCell(6, 9)
    before = cell.input_weights.detach().clone()
    sb.binarize_(cell, sb.Sign(), scale=scale)
    magnitude = before.abs().mean(1, keepdim=True) if scale == "channel" else torch.tensor(0.25)
    torch.testing.assert_close(cell.input_weights.abs(), magnitude.expand(9, 6))
