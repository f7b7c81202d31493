"""One default for each argument everywhere, the weight rule as one argument, and a module that answers as itself."""

import inspect
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from training import SnnTorchNet, checkpoint_in, make_trainer

import snntorch_binary as sb
from snntorch_binary.data import collate, load
from snntorch_binary.inference import logits, sample_scores
from snntorch_binary.inference.readout import DEFAULT_READOUT, NUM_SAMPLES
from snntorch_binary.lightning import VOWEL, BayesBiSNN, SpikingModule, STBiSNN
from snntorch_binary.models import SpikingMLP
from snntorch_binary.optim import BayesBiSNN as Optimizer
from snntorch_binary.packed import PackedEnsemble
from snntorch_binary.weights import WeightRule, binary_layers

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]


def default(function, name):
    return inspect.signature(function).parameters[name].default


def test_defaults_are_the_same_everywhere():
    modules = (SpikingModule, STBiSNN, BayesBiSNN)
    assert {default(one, "readout") for one in (*modules, logits, PackedEnsemble)} == {DEFAULT_READOUT}
    assert {default(one, "num_test_samples") for one in (BayesBiSNN, VOWEL)} == {NUM_SAMPLES}
    assert default(BayesBiSNN, "betas") == default(Optimizer, "betas")
    net = nn.Sequential(sb.nn.BinaryLinear(6, 3, weight=sb.Bernoulli()), sb.nn.Leaky(beta=0.9))
    ensemble, x = sb.Ensemble(net), torch.rand(4, 2, 6)
    assert (len(ensemble.members), ensemble.readout) == (NUM_SAMPLES, DEFAULT_READOUT)
    assert len(sb.predict(net, x).samples) == len(sample_scores(net, x)[1]) == NUM_SAMPLES


@pytest.mark.parametrize("make_net", [SnnTorchNet, lambda: SpikingMLP(64, [16], 10)])
def test_a_module_and_predict_read_the_same(make_net):
    net, x = make_net(), (torch.rand(5, 4, 64) < 0.5).float()
    module = BayesBiSNN(net, 10).eval()
    output = net(x)
    want = output[0].sum(0) if isinstance(output, tuple) else output.mean(0)
    torch.testing.assert_close(module(x), want)
    torch.testing.assert_close(sb.predict(net, x).mode_probs, want.softmax(-1))
    torch.testing.assert_close(module.answers(x, final=True)["mode"], want.softmax(-1))


def test_a_module_answers_as_itself():
    torch.manual_seed(0)
    x = (torch.rand(5, 4, 64) < 0.5).float()
    rule = sb.Bernoulli(init_scale=0.5)
    module = BayesBiSNN(
        SnnTorchNet(16),
        10,
        rule=rule,
        readout="membrane",
        readout_scale=7.0,
        num_test_samples=3,
        step=False,
        time_dim=0,
    ).eval()
    answers = module.answers(x, final=True)
    prediction = sb.predict(module, x, generator=torch.Generator().manual_seed(0))
    assert torch.equal(prediction.probs, answers["ensemble"])
    assert torch.equal(prediction.mode_probs, answers["mode"])
    ensemble = sb.Ensemble(module)
    assert (len(ensemble.members), ensemble.readout, ensemble.readout_scale) == (3, "membrane", 7.0)
    torch.testing.assert_close(ensemble.predict(x).probs, answers["ensemble"])
    assert (ensemble.step, ensemble.time_dim) == (False, 0)
    spikes = sb.predict(module, x, 2, readout="rate").mode_probs  # its own scale is of its own readout
    torch.testing.assert_close(spikes, module.net(x)[0].sum(0).softmax(-1))
    with pytest.raises(ValueError, match="`num_members` to be an integer of at least 1, but got 0"):
        sb.Ensemble(module, 0)


@pytest.mark.slow
def test_a_packed_module_answers_as_itself(tmp_path):
    torch.manual_seed(0)
    module = BayesBiSNN(SpikingMLP(64, [16], 10), 10, rule=sb.Bernoulli(init_scale=0.5), readout_scale=4.0).eval()
    ensemble = sb.Ensemble(module, 3)
    packed = sb.pack(ensemble)
    sb.save_packed(packed, tmp_path / "module.safetensors")
    x = (torch.rand(5, 4, 64) < 0.5).float()
    for one in (packed, sb.load_packed(tmp_path / "module.safetensors")):
        torch.testing.assert_close(one.predict(x).probs, ensemble.predict(x).probs)


# ---- rule= -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (BayesBiSNN, sb.Bernoulli(tau=2.0, prior=0.3, estimator="gumbel", init_scale=0.7, shared_noise=True)),
        (STBiSNN, sb.Sign("identity")),
    ],
)
def test_a_rule_is_one_argument_and_plain_data_in_a_checkpoint(make, rule, tmp_path):
    for given in (rule, rule.to_json()):
        module = make(SpikingMLP(64, [8], 10), 10, rule=given)
        assert {layer.rule for layer in binary_layers(module.net).values()} == {rule}
        assert module.hparams["rule"] == rule.to_json()
    data = load("digits", limit_per_class=4).train
    loader = torch.utils.data.DataLoader(data, 20, collate_fn=collate)
    make_trainer(1, [checkpoint_in(tmp_path)]).fit(module, loader)
    path = tmp_path / "last.ckpt"
    assert torch.load(path, weights_only=True)["hyper_parameters"]["rule"] == rule.to_json()
    again = make.load_from_checkpoint(path, net=SpikingMLP(64, [8], 10), weights_only=True)
    assert {layer.rule for layer in binary_layers(again.net).values()} == {rule}


def test_a_binary_network_has_its_rule():
    net = SpikingMLP(64, [8], 10)
    rule = sb.Bernoulli(estimator="gumbel")
    sb.binarize_(net, rule)
    assert BayesBiSNN(net, 10).hparams["rule"] == BayesBiSNN(net, 10, rule=rule).hparams["rule"] == rule.to_json()
    with pytest.raises(ValueError, match=r"`rule` to be None or the rule that the network has, Bernoulli\(.*gumbel"):
        BayesBiSNN(net, 10, rule=sb.Bernoulli())


@pytest.mark.parametrize(
    ("make", "rule", "got"),
    [
        (
            BayesBiSNN,
            sb.Sign(),
            r"a rule with a prior, such as Bernoulli\(\), its JSON form or None, but got Sign",
        ),
        (
            STBiSNN,
            sb.Bernoulli(),
            r"a rule without draws, such as Sign\(\), its JSON form or None, but got B",
        ),
        (BayesBiSNN, sb.Sign().to_json(), r"such as Bernoulli\(\), its JSON form or None, but got Sign\(\)"),
        (BayesBiSNN, {"rule": "bernoulli", "temperature": 1.0}, "`temperature` to be one of .* of Bernoulli"),
        (BayesBiSNN, "bernoulli", "but got str"),
    ],
)
def test_another_rule_is_refused(make, rule, got):
    with pytest.raises((TypeError, ValueError), match=got):
        make(SpikingMLP(64, [8], 10), 10, rule=rule)


@dataclass(frozen=True, repr=False)
class Ternary(WeightRule):
    name = "ternary of the defaults"
    levels = (-1.0, 0.0, 1.0)

    def initial_latent(self, weight):
        return weight / weight.abs().max()

    def weight_and_derivative(self, latent, kind, uniform, *, paper_exact=False):
        return latent.clamp(-1, 1).round(), None


def test_a_rule_of_ones_own_without_a_posterior():
    for given in (Ternary(), Ternary().to_json()):
        module = STBiSNN(SpikingMLP(64, [8], 10), 10, rule=given)
        assert {layer.rule for layer in binary_layers(module.net).values()} == {Ternary()}
        assert module.hparams["rule"] == Ternary().to_json()
    with pytest.raises(TypeError, match=r"a rule with a prior, such as Bernoulli\(\), .* but got Ternary\(\)"):
        BayesBiSNN(SpikingMLP(64, [8], 10), 10, rule=Ternary())


def test_an_old_checkpoint_of_another_rule_is_refused():
    """Its `estimator` was an argument of the module, which would be dropped in silence."""
    module = BayesBiSNN(SpikingMLP(64, [8], 10), 10)
    old = {"hyper_parameters": {"tau": 1.0, "prior": 0.5, "estimator": "hard", "init_scale": 3.0, "lr": 0.1}}
    module.on_load_checkpoint(old)
    old["hyper_parameters"]["estimator"] = "gumbel"
    with pytest.raises(
        ValueError, match=r"`rule` to be one with estimator='gumbel', as in the file, but got Bernoulli"
    ):
        module.on_load_checkpoint(old)
