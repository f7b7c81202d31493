import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from training import RULES, SnnTorchNet, checkpoint_in, init_hidden_net, make_trainer

import snntorch_binary as sb
from snntorch_binary.inference import logits
from snntorch_binary.lightning import BayesBiSNN, NonFiniteLossError, SpikeDataModule, SpikingModule, STBiSNN
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.metrics import evaluate
from snntorch_binary.models import SpikingMLP
from snntorch_binary.weights import binary_layers

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]


def spikes(num_examples=12, num_steps=5, features=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(num_steps, num_examples, features, generator=generator) < 0.3).float()


class Batches(TensorDataset):
    """Time-first batches from examples-first tensors."""

    def __init__(self, num_examples=24):
        super().__init__(spikes(num_examples).transpose(0, 1), torch.arange(num_examples) % 10)


def loader(num_examples=24, batch_size=6):
    def collate(batch):
        return torch.stack([x for x, _ in batch], 1), torch.stack([label for _, label in batch])

    return DataLoader(Batches(num_examples), batch_size=batch_size, collate_fn=collate)


class Losses(L.Callback):
    """The training loss of every epoch."""

    def __init__(self):
        self.of_epoch = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.of_epoch.append(float(trainer.callback_metrics["train_loss"]))


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_digits_are_learned_but_not_leaked(rule):
    torch.manual_seed(0)
    module = RULES[rule](SpikingMLP(64, [64], 10), readout_scale=5.0)
    losses = Losses()
    data = SpikeDataModule("digits", batch_size=50)
    trainer = make_trainer(8, [losses])
    trainer.fit(module, datamodule=data)
    logged = {*trainer.callback_metrics}
    (tested,) = trainer.test(module, datamodule=data, verbose=False)

    assert losses.of_epoch[-1] < losses.of_epoch[0] / 3
    names = {"bayes": ("mode", "draw", "ensemble"), "trajectory": ("single", "ensemble")}.get(rule, ("single",))
    scores = ("accuracy", "ece", "nll")
    assert logged == {"train_loss"} | {f"val_{name}_{score}" for name in names for score in scores}
    assert tested.keys() == {f"test_{name}_{score}" for name in names for score in scores}
    for name in names:
        assert (0.75 if name == "draw" else 0.85) < tested[f"test_{name}_accuracy"] < 0.97
        assert 0 < tested[f"test_{name}_nll"] < 0.7


@pytest.mark.parametrize(
    ("limits", "seen"),
    [
        ({}, [(6, 6, 6, 3), (6, 6, 6, 3)]),
        ({"limit_train_batches": 3}, [(6, 6, 6), (6, 6, 6)]),
        ({"limit_train_batches": 1}, [(6,), (6,)]),
        ({"max_steps": 6}, [(6, 6, 6, 3), (6, 6)]),
        ({"max_steps": 2}, [(6, 6)]),
        ({"precision": "bf16-true"}, [(6, 6, 6, 3), (6, 6, 6, 3)]),
    ],
)
def test_the_logged_loss_is_the_mean_of_the_examples_of_an_epoch(limits, seen):
    torch.manual_seed(0)
    module, losses, logged = RULES["st"](SpikingMLP(64, [16], 10)), [], []
    step = module.training_step

    def recorded(batch, batch_idx):
        losses.append((found := step(batch, batch_idx)).detach())
        return found

    class Looks(L.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            logged.append(float(trainer.callback_metrics["train_loss"]))

    module.training_step = recorded
    make_trainer(2, [Looks(), EarlyStopping("train_loss")], **limits).fit(module, loader(21, 6))
    assert len(losses) == sum(map(len, seen))
    for value, sizes in zip(logged, seen, strict=True):
        expected = sum(size * float(losses.pop(0)) for size in sizes) / sum(sizes)
        assert value == pytest.approx(expected, rel=1e-5)


def test_the_logged_loss_of_an_epoch_that_is_left_early():
    class Stops(L.Callback):
        logged = None

        def on_train_batch_end(self, trainer, *args):
            trainer.should_stop = trainer.global_step == 3

        def on_train_epoch_end(self, trainer, pl_module):
            self.logged = float(trainer.callback_metrics["train_loss"])

    torch.manual_seed(0)
    module, losses, stops = RULES["st"](SpikingMLP(64, [16], 10)), [], Stops()
    step = module.training_step
    module.training_step = lambda *args: losses.append((found := step(*args)).detach()) or found
    make_trainer(2, [stops]).fit(module, loader(30, 6))
    assert len(losses) == 3
    assert stops.logged == pytest.approx(float(sum(losses)) / 3, rel=1e-5)


def test_what_an_epoch_has_lost_so_far_is_in_its_checkpoint():
    module = RULES["st"](SpikingMLP(64, [16], 10))
    for batch in loader(12, 6):
        module.training_step(batch, 0)
    checkpoint = {}
    module.on_save_checkpoint(checkpoint)
    twin = RULES["st"](SpikingMLP(64, [16], 10))
    twin.on_load_checkpoint({**checkpoint, "state_dict": module.state_dict()})
    assert (twin._sum_of_losses, twin._examples) == (float(module._sum_of_losses), 12)
    assert twin._sum_of_losses > 0
    for wrong in (None, [1.0], ["a", 2], "ab", {}):
        checkpoint["snntorch_binary"]["losses"] = wrong
        twin.on_load_checkpoint({**checkpoint, "state_dict": module.state_dict()})
        assert (twin._sum_of_losses, twin._examples) == (0.0, 0)


@pytest.mark.parametrize("rule", RULES)
def test_logged_scores_are_those_of_the_metrics_room(rule):
    """Over several batches, against `metrics.evaluate` of all answers at once."""
    module = RULES[rule](SpikingMLP(64, [16], 10))
    batches = loader(24, 7)
    trainer = make_trainer()
    (tested,) = trainer.test(module, batches, verbose=False)
    found = trainer.predict(module, batches)
    labels = Batches(24).tensors[1]
    for name in module.predictions:
        scores = evaluate(torch.cat([answers[name] for answers in found]), labels)
        assert tested[f"test_{name}_accuracy"] == pytest.approx(scores.accuracy)
        assert tested[f"test_{name}_ece"] == pytest.approx(scores.ece, abs=1e-6)
        assert tested[f"test_{name}_nll"] == pytest.approx(scores.nll, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("make_net", [SnnTorchNet, init_hidden_net])
def test_snntorch_networks_train_as_they_are(rule, make_net):
    torch.manual_seed(0)
    module = RULES[rule](make_net(), readout="rate")
    losses = Losses()
    data = SpikeDataModule("digits", batch_size=20, limit_per_class=40, num_steps=5)
    make_trainer(5, [losses]).fit(module, datamodule=data)
    assert losses.of_epoch[-1] < 0.8 * losses.of_epoch[0]
    (answers, *_) = make_trainer().predict(module, datamodule=data)
    for probabilities in answers.values():
        assert probabilities.shape == (359, 10)
        torch.testing.assert_close(probabilities.sum(1), torch.ones(359))


def spike_counts_of(net, x):
    return net(x)[0].sum(0)


def test_readouts():
    net, x = SnnTorchNet(), 3 * spikes()
    spike_counts, potentials = net(x)
    assert spike_counts.sum() > 0
    torch.testing.assert_close(SpikingModule(net, 10, readout="rate")(x), spike_counts.sum(0))
    torch.testing.assert_close(SpikingModule(net, 10, readout="membrane")(x), potentials.mean(0))
    scaled = SpikingModule(net, 10, readout="membrane", readout_scale=5.0)
    torch.testing.assert_close(scaled(x), 5 * potentials.mean(0))
    stepped, looped = init_hidden_net(), SnnTorchNet()
    with torch.no_grad():
        for one, other in zip(stepped.parameters(), looped.parameters(), strict=True):
            other.copy_(one)
    torch.testing.assert_close(SpikingModule(stepped, 10)(x), spike_counts_of(looped, x))
    torch.testing.assert_close(SpikingModule(looped, 10)(x), spike_counts_of(looped, x))
    of_both = [SpikingModule(one, 10, readout="membrane")(x) for one in (stepped, looped)]
    torch.testing.assert_close(*of_both)


def test_several_draws_a_step_are_averaged():
    torch.manual_seed(0)
    module = BayesBiSNN(SpikingMLP(64, [16], 10), 10, rule=sb.Bernoulli(init_scale=0.5), num_train_samples=3)
    x, labels = spikes(), torch.arange(12) % 10
    latents = [layer.latent for layer in binary_layers(module.net).values()]
    states = {name: value.clone() for name, value in module.net.state_dict().items()}
    loss = module.loss(x, labels)
    gradients = torch.autograd.grad(loss, latents)

    module.net.load_state_dict(states)
    losses = []
    for draw in range(3):
        if draw:
            sb.resample_(module.net)
        losses.append(F.cross_entropy(module(x), labels))
    assert len({float(value.detach()) for value in losses}) == 3
    torch.testing.assert_close(loss, torch.stack(losses).mean())
    expected = torch.autograd.grad(torch.stack(losses).mean(), latents)
    for one, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_the_answers_are_the_mode_and_the_mean_of_the_members():
    torch.manual_seed(0)
    module = BayesBiSNN(SpikingMLP(64, [16], 10), 10, rule=sb.Bernoulli(init_scale=0.5), num_test_samples=4).eval()
    x = spikes()
    seen = []
    handle = module.net.register_forward_pre_hook(
        lambda net, inputs: seen.append((inputs[0], net[1].weight.detach().clone()))
    )
    with torch.no_grad():
        answers = module.answers(x, final=True)
    handle.remove()
    assert len(seen) == 1 + 4
    assert all(torch.equal(x, one) for one, _ in seen)  # every member sees the same spikes
    weights = [weight for _, weight in seen]
    assert all(not torch.equal(one, other) for i, one in enumerate(weights) for other in weights[:i])

    frozen = sb.freeze(module.net, "mode")
    mode = logits(frozen(x), "membrane").softmax(-1)
    torch.testing.assert_close(answers["mode"], mode)
    one = sb.Ensemble(module.net, 1, seed=0, readout="membrane")
    torch.testing.assert_close(answers["draw"], one.predict(x).probs)
    again = module.answers(x, final=True)
    assert torch.equal(again["ensemble"], answers["ensemble"])  # the same members for every batch
    torch.manual_seed(7)
    assert torch.equal(module.answers(x, final=True)["ensemble"], answers["ensemble"])


class Rates(L.Callback):
    """Learning rates of all groups before every step."""

    def __init__(self):
        self.rates = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append([group["lr"] for group in optimizer.param_groups])


@pytest.mark.parametrize(("rule", "start"), [("st", [2e-2, 1e-2]), ("bayes", [0.3, 1e-2])])
def test_cosine_moves_both_groups(rule, start):
    rates = Rates()
    module = RULES[rule](SpikingMLP(64, [16], 10))
    make_trainer(2, [rates]).fit(module, loader())
    factors = 0.5 * (1 + torch.cos(torch.pi * torch.arange(8) / 8))
    expected = factors[:, None] * torch.tensor(start)
    torch.testing.assert_close(torch.tensor(rates.rates), expected)


def test_without_cosine_rates_stay():
    rates = Rates()
    make_trainer(1, [rates]).fit(STBiSNN(SpikingMLP(64, [16], 10), 10, 1e-3, 1e-2, cosine=False), loader())
    assert rates.rates == [[1e-2, 1e-3]] * 4


def test_cosine_needs_an_end():
    module = STBiSNN(SpikingMLP(64, [16], 10), 10)
    with pytest.raises(ValueError, match="`cosine` to be False where neither max_epochs nor max_steps"):
        make_trainer(-1).fit(module, loader())


@pytest.mark.parametrize(("rho", "expected"), [(None, 1 / 24), (0.5, 0.5), (0.0, 0.0)])
def test_rho_of_none_is_one_over_the_number_of_examples(rho, expected):
    module = BayesBiSNN(SpikingMLP(64, [16], 10), 10, rho=rho)
    trainer = make_trainer()
    trainer.fit(module, loader())
    assert trainer.optimizers[0].param_groups[0]["rho"] == expected


def test_st_latents_start_at_the_weights_and_stay_within_one():
    net = SpikingMLP(64, [16], 10)
    weight = net[1].weight.detach().clone()
    module = STBiSNN(net, 10, latent_lr=0.4)
    assert torch.equal(net[1].latent, weight)
    make_trainer(3).fit(module, loader())
    latents = [layer.latent.detach() for layer in binary_layers(net).values()]
    assert max(float(latent.abs().max()) for latent in latents) == 1


RULE_NAMES = {"st": "sign", "bayes": "bernoulli", "trajectory": "balanced-sign"}


@pytest.mark.parametrize("rule", RULES)
def test_checkpoints_are_plain_and_give_the_same_answers(rule, tmp_path):
    torch.manual_seed(0)
    module = RULES[rule](SpikingMLP(64, [16], 10), readout_scale=5.0)
    make_trainer(1, [checkpoint_in(tmp_path)]).fit(module, loader())
    path = tmp_path / "last.ckpt"
    stored = torch.load(path, weights_only=True)["hyper_parameters"]
    assert stored == dict(module.hparams)
    assert all(isinstance(value, (int, float, str, bool, tuple, dict, type(None))) for value in stored.values())
    assert stored.get("rule", {"rule": "none"})["rule"] == RULE_NAMES.get(rule, "none")
    torch.manual_seed(1)
    loaded = type(module).load_from_checkpoint(path, net=SpikingMLP(64, [16], 10), weights_only=True)
    assert dict(loaded.hparams) == dict(module.hparams)
    x = spikes()
    with torch.no_grad():
        first, second = (one.eval().answers(x, final=True) for one in (module, loaded))
    for name in first:
        assert torch.equal(first[name], second[name])


class Poison(L.Callback):
    """Makes one parameter NaN after a step."""

    def __init__(self, name, step):
        self.name, self.step = name, step

    def on_train_batch_end(self, trainer, pl_module, *_):
        if trainer.global_step == self.step:
            with torch.no_grad():
                pl_module.net.get_parameter(self.name).fill_(torch.nan)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("parameter", "step", "sentence"),
    [
        ("3.bias", 6, r"The loss became nan at step 6 \(epoch 1, batch 2\)"),
        ("3.bias", 8, r"The parameter 3\.bias became NaN or infinite by step 8 \(epoch 1\)"),
        ("1.bias", 6, r"The parameter 1\.\w+ became NaN or infinite by step 8 \(epoch 1\)"),
    ],
)
def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(rule, parameter, step, sentence, tmp_path):
    module = RULES[rule](SpikingMLP(64, [16], 10))
    trainer = make_trainer(4, [Poison(parameter, step), checkpoint_in(tmp_path)])
    with pytest.raises(NonFiniteLossError, match=sentence):
        trainer.fit(module, loader(), loader())
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 4
    assert all(torch.isfinite(value).all() for value in kept["state_dict"].values())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda net: SpikingModule(net, 1), "`num_classes` to be an integer of at least 2"),
        (lambda net: BayesBiSNN(net, 10, rho=-1.0), "`rho` to be a float of at least 0, or None, but got -1.0"),
        (lambda net: SpikingModule(net, 9)(torch.ones(3, 1, 64)), "`num_classes` to be 10, the outputs of the network"),
        (
            lambda net: BayesBiSNN(net, None).loss(torch.ones(3, 1, 64), torch.ones(1)),
            r"of the shape \[1, 10\]",
        ),
        (lambda net: SpikingModule(net, 10, lr=0), "`lr` to be a positive float"),
        (lambda net: SpikingModule(net, 10, readout="spikes"), "`readout` to be 'auto', 'rate', 'membrane'"),
        (lambda net: STBiSNN(net, 10, latent_lr=-1), "`latent_lr` to be a positive float"),
        (
            lambda net: BayesBiSNN(net, 10, num_train_samples=0),
            "`num_train_samples` to be an integer of at least 1",
        ),
        (lambda net: BayesBiSNN(net, 10, rule={"rule": "bernoulli", "tau": 0.0}), "`tau` to be a positive float"),
        (
            lambda net: BayesBiSNN(STBiSNN(net, 10).net, 10),
            "a network whose weights follow a rule with a prior",
        ),
        (lambda net: STBiSNN(torch.nn.Flatten(), 10), "Expected argument"),
    ],
)
def test_bad_arguments(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(SpikingMLP(64, [16], 10))


def test_another_number_of_classes_is_said_before_anything_is_validated():
    module = BayesBiSNN(SpikingMLP(64, [16], 10), 9)
    with pytest.raises(ValueError, match="`num_classes` to be 10, the outputs of the network, but got 9"):
        make_trainer(1, num_sanity_val_steps=1).fit(module, loader(), loader())


def test_a_binary_network_keeps_its_own_start():
    net = SpikingMLP(64, [16], 10)
    sb.binarize_(net, sb.Bernoulli(init_scale=0.7, estimator="gumbel"))
    latent = net[1].latent.detach().clone()
    module = BayesBiSNN(net, 10)
    assert torch.equal(module.net[1].latent, latent)
    assert module.net[1].rule.estimator == "gumbel"


def fitted(rule, compiled=False, **more):
    torch.manual_seed(0)
    net = SpikingMLP(64, [32], 10)
    module = RULES[rule](torch.compile(net, backend="eager") if compiled else net, readout_scale=5.0)
    trainer = make_trainer(2, **more)
    trainer.fit(module, loader(), loader())
    return net.state_dict(), {name: float(value) for name, value in trainer.callback_metrics.items()}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*autograd.function.Function.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("rule", RULES)
def test_a_compiled_network_learns_the_same(rule):
    torch.compiler.reset()
    (state, logged), (compiled, logged_compiled) = fitted(rule), fitted(rule, compiled=True)
    assert logged == logged_compiled
    assert state.keys() == compiled.keys()
    for name in state:
        torch.testing.assert_close(state[name], compiled[name], rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_mixed_precision_keeps_parameters_in_float32(rule):
    (state, logged), (mixed, logged_mixed) = fitted(rule), fitted(rule, precision="bf16-mixed")
    assert logged.keys() == logged_mixed.keys()
    assert abs(logged["train_loss"] - logged_mixed["train_loss"]) < 0.2
    assert logged["train_loss"] != logged_mixed["train_loss"]
    for name, value in mixed.items():
        assert value.dtype == state[name].dtype, name
        assert torch.isfinite(value).all(), name


NO_PAIRS = {
    "a dictionary": ({"x": torch.ones(5, 4, 64), "y": torch.arange(4)}, "a dict"),
    "a triple": ((torch.ones(5, 4, 64), torch.arange(4), torch.arange(4)), "a tuple of Tensor, Tensor, Tensor"),
    "inputs alone": ([torch.ones(5, 4, 64)], "a list of Tensor"),
    "a tensor of two": (torch.ones(2, 4, 64), "a Tensor"),
    "labels that are no tensor": ((torch.ones(5, 4, 64), "4"), "a tuple of Tensor, str"),
}


@pytest.mark.parametrize("step", ["training_step", "validation_step", "test_step"])
@pytest.mark.parametrize(("batch", "said"), NO_PAIRS.values(), ids=NO_PAIRS)
def test_batches_that_are_no_pairs(batch, said, step):
    module = RULES["st"](SpikingMLP(64, [8], 10))
    with pytest.raises(
        TypeError, match=rf"^Expected argument `batch` to be a pair \(x, targets\) .* but got {said}\.$"
    ):
        getattr(module, step)(batch, 0)


def test_what_cannot_be_predicted():
    module = RULES["st"](SpikingMLP(64, [8], 10)).eval()
    assert module.predict_step((torch.ones(5, 4, 64), 1, 2), 0)["single"].shape == (4, 10)
    for batch in ({"x": torch.ones(5, 4, 64)}, [], ["x"]):
        with pytest.raises(TypeError, match=r"^Expected argument `batch` to be inputs x, or \(x, \.\.\.\), but got a "):
            module.predict_step(batch, 0)


@pytest.mark.parametrize("scale", [-1.0, 0.0, float("nan"), float("inf"), "x", True])
def test_scales_of_scores_that_are_none(scale):
    net = SpikingMLP(64, [8], 10)
    binary = SpikingMLP(64, [8], 10)
    sb.binarize_(binary, sb.Bernoulli())
    for answer in (
        lambda: RULES["full-precision"](net, readout_scale=scale),
        lambda: sb.predict(binary, torch.ones(5, 4, 64), readout_scale=scale),
        lambda: sb.Ensemble(binary, readout_scale=scale),
        lambda: logits(torch.ones(5, 4, 10), scale=scale),
    ):
        with pytest.raises(ValueError, match=r"^Expected argument `\w*scale` to be a positive float"):
            answer()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("net.layers.0.weight", float("nan")),
        ("net.layers.0.bias", float("inf")),
        ("net.layers.1.threshold", float("nan")),
        ("net.layers.0.weight", "x"),
    ],
)
def test_checkpoints_of_no_numbers(name, value, tmp_path):
    module = RULES["st"](SpikingMLP(64, [8], 10))
    trainer = make_trainer(1, default_root_dir=tmp_path)
    trainer.fit(module, loader())
    trainer.save_checkpoint(tmp_path / "good.ckpt")
    content = torch.load(tmp_path / "good.ckpt", weights_only=True)
    names = [key for key in content["state_dict"] if key.endswith(name.rsplit(".", 1)[1])]
    kept = content["state_dict"][names[0]]
    content["state_dict"][names[0]] = value if isinstance(value, str) else torch.full_like(kept, value)
    torch.save(content, tmp_path / "planted.ckpt")
    with pytest.raises(ValueError, match=r"^Expected argument `checkpoint` to be one of (numbers|tensors), but got"):
        STBiSNN.load_from_checkpoint(tmp_path / "planted.ckpt", net=SpikingMLP(64, [8], 10))


class Counts(SpikingMLP):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("last", torch.full((2,), float("nan")))

    def get_extra_state(self):
        return {"count": 3}

    def set_extra_state(self, state):
        self.count = state["count"]


def test_checkpoints_of_other_states_are_read(tmp_path):
    module = RULES["st"](Counts(64, [8], 10))
    trainer = make_trainer(1, default_root_dir=tmp_path)
    trainer.fit(module, loader())
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    found = STBiSNN.load_from_checkpoint(tmp_path / "own.ckpt", net=Counts(64, [8], 10))
    assert found.net.count == 3
    assert found.net.last.isnan().all()


def test_numbers_of_numpy_are_pythons_in_a_checkpoint(tmp_path):
    """A file of plain values that has others cannot be read, and the training is lost."""
    given = {"lr": np.float32(0.25), "readout_scale": np.float64(2), "base_lr": np.float32(0.5)}
    module = BayesBiSNN(SpikingMLP(64, [8], 10), 10, rho=np.float64(0), num_test_samples=2, **given)
    trainer = make_trainer(1, default_root_dir=tmp_path)
    trainer.fit(module, loader())
    trainer.save_checkpoint(tmp_path / "numpy.ckpt")
    found = BayesBiSNN.load_from_checkpoint(tmp_path / "numpy.ckpt", net=SpikingMLP(64, [8], 10))
    assert {name: found.hparams[name] for name in given} == given
    assert {type(found.hparams[name]) for name in given} == {float}
    make_trainer(2).fit(found, loader(), ckpt_path=tmp_path / "numpy.ckpt", weights_only=True)
    sb.save_packed(sb.pack(sb.Ensemble(module)), tmp_path / "numpy.safetensors")
    assert sb.load_packed(tmp_path / "numpy.safetensors").readout_scale == 2


@pytest.mark.parametrize("rule", RULES)
def test_it_is_validated_before_it_is_trained(rule):
    """To know where it begins: what is counted then, in inference mode, is not written to later."""
    module = RULES[rule](SnnTorchNet(16), readout="membrane")
    with quiet():
        make_trainer().validate(module, loader())
        make_trainer(1).fit(module, loader(), loader())
        (found,) = make_trainer().validate(module, loader())
    score = f"val_{module.predictions[0]}_accuracy"
    module.eval()
    answers = torch.cat([module.answers(x, final=False)[module.predictions[0]].argmax(-1) for x, _ in loader()])
    labels = torch.cat([y for _, y in loader()])
    assert found[score] == pytest.approx(float((answers == labels).float().mean()))
