import lightning as L
import pytest
import torch
from torch import nn
from training import checkpoint_in, make_trainer

from snntorch_binary.lightning import VOWEL, BayesBiSNN, HyperparameterSchedule, SpikeDataModule, SpikingModule, STBiSNN
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.models import SpikingMLP
from snntorch_binary.nn import SoftLIF, WTANetwork
from snntorch_binary.weights import Bernoulli, binary_layers

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]

BATCHES = 3  # an epoch


def bayes(**more):
    torch.manual_seed(0)
    return BayesBiSNN(SpikingMLP(64, [8], 10), 10, 0.3, rho=1.0, **more)


class Record(L.Callback):
    """The optimizer's groups after every epoch."""

    def __init__(self):
        self.groups = []

    def on_train_epoch_end(self, trainer, pl_module):
        groups = trainer.optimizers[0].param_groups
        self.groups.append([{key: value for key, value in group.items() if key != "params"} for group in groups])


def fit(module, epochs, *callbacks, resume=None):
    trainer = make_trainer(epochs, callbacks, limit_train_batches=BATCHES, limit_val_batches=0)
    data = SpikeDataModule("digits", batch_size=8, limit_per_class=5)
    with quiet():
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    return trainer


def test_values_hold_from_their_epoch_on():
    record = Record()
    schedule = {0: {"lr": 0.2, "rho": 0.5}, 2: {"rho": 0.25, "base_lr": 0.01}, 3: {"lr": 0.1, "clip": 2.0}}
    fit(bayes(cosine=False), 4, HyperparameterSchedule(schedule), record)
    latents, rest = zip(*record.groups, strict=True)
    assert [group["lr"] for group in latents] == [0.2, 0.2, 0.2, 0.1]
    assert [group["rho"] for group in latents] == [0.5, 0.5, 0.25, 0.25]
    assert [group["clip"] for group in latents] == [None, None, None, 2.0]
    assert [group["lr"] for group in rest] == [1e-3, 1e-3, 0.01, 0.01]


def test_a_learning_rate_is_the_height_of_the_cosine():
    plain, scheduled = Record(), Record()
    fit(bayes(), 4, plain)
    fit(bayes(), 4, HyperparameterSchedule({0: {"lr": 0.6}, 2: {"lr": 0.15}}), scheduled)
    rates = [[groups[0]["lr"] for groups in of.groups] for of in (plain, scheduled)]
    for before, now, factor in zip(*rates, (2.0, 2.0, 0.5, 0.5), strict=True):
        assert now == pytest.approx(factor * before, abs=1e-12)
    assert [groups[1]["lr"] for groups in plain.groups] == [groups[1]["lr"] for groups in scheduled.groups]


def test_values_are_set_again_after_an_optimizer_is_restored(tmp_path):
    fit(bayes(cosine=False), 2, checkpoint_in(tmp_path))
    record, schedule = Record(), HyperparameterSchedule({0: {"lr": 0.05, "rho": 0.125, "limit": 4.0}})
    fit(bayes(cosine=False), 3, schedule, record, checkpoint_in(tmp_path), resume=str(tmp_path / "last.ckpt"))
    (groups,) = record.groups
    assert (groups[0]["lr"], groups[0]["rho"], groups[0]["limit"]) == (0.05, 0.125, 4.0)


def test_a_resume_changes_nothing(tmp_path):
    schedule = {0: {"lr": 0.2, "rho": 0.5}, 1: {"lr": 0.6}, 3: {"rho": 0.0}}
    unbroken, resumed = bayes(), bayes()
    fit(unbroken, 4, HyperparameterSchedule(schedule))

    class Stop(L.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.should_stop = trainer.current_epoch == 1

    fit(bayes(), 4, HyperparameterSchedule(schedule), Stop(), checkpoint_in(tmp_path))
    fit(resumed, 4, HyperparameterSchedule(schedule), checkpoint_in(tmp_path), resume=str(tmp_path / "last.ckpt"))
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def names(module):
    return set(module.hyperparameters(module.configure_optimizer()))


def noisy():
    return nn.Sequential(nn.Linear(64, 8), SoftLIF(noise=0.5), nn.Linear(8, 10))


def test_what_each_module_has():
    net = nn.Sequential(noisy(), nn.Dropout(0.1))
    assert names(SpikingModule(net, 10)) == {"lr", "noise", "dropout"}
    assert names(STBiSNN(SpikingMLP(64, [8], 10), 10)) == {"lr", "latent_lr"}
    assert names(bayes()) == {"lr", "base_lr", "rho", "clip", "limit"}
    assert names(bayes(betas=None, rule=Bernoulli(estimator="gumbel"))) == {
        "lr", "base_lr", "rho", "clip", "limit", "momentum", "tau",
    }  # fmt: skip
    wta = {"lr", "hidden_lr", "kappa", "beta", "gamma"}
    assert names(VOWEL(WTANetwork(64, 4, 10, 2), 10)) == wta
    binary = WTANetwork(64, 4, 10, 2, weight=Bernoulli())
    assert names(VOWEL(binary, 10)) == wta | {"base_lr", "rho", "clip", "limit", "momentum"}


@pytest.mark.parametrize(
    ("module", "values"),
    [
        (lambda: SpikingModule(noisy(), 10), {"lr": 0.5, "noise": 0.25}),
        (lambda: STBiSNN(SpikingMLP(64, [8], 10), 10), {"lr": 0.5, "latent_lr": 0.25}),
        (lambda: bayes(rule=Bernoulli(estimator="gumbel")), {"lr": 0.5, "base_lr": 0.25, "rho": 0.0, "tau": 0.75}),
        (lambda: VOWEL(WTANetwork(64, 4, 10, 2), 10), {"lr": 0.5, "hidden_lr": 0.25, "kappa": 0.0, "gamma": 3.0}),
    ],
)
def test_what_is_written_is_read_and_nothing_else_changes(module, values):
    made = module()
    there = made.hyperparameters(made.configure_optimizer())
    before = {name: of_name.read() for name, of_name in there.items()}
    for name, value in values.items():
        there[name].set(name, value)
    assert {name: of_name.read() for name, of_name in there.items()} == {**before, **values}


def test_a_temperature_reaches_the_weights():
    module = bayes(rule=Bernoulli(estimator="gumbel"))
    module.hyperparameters(module.configure_optimizer())["tau"].set("tau", 0.5)
    assert {layer.rule.tau for layer in binary_layers(module).values()} == {0.5}


class Look(L.Callback):
    """The temperature and the first layer's weights in force, at the start of every epoch."""

    def __init__(self):
        self.seen = []

    def on_train_epoch_start(self, trainer, pl_module):
        layer = next(iter(binary_layers(pl_module).values()))
        self.seen.append((layer.rule.tau, layer.in_force().detach().double()))


def test_the_weights_in_force_are_the_same_draw_at_the_new_temperature():
    before, after = Look(), Look()
    schedule = HyperparameterSchedule({epoch: {"tau": 8.0 * 0.5**epoch} for epoch in range(3)})
    fit(bayes(rule=Bernoulli(tau=5.0, estimator="gumbel")), 3, before, schedule, after)
    assert [tau for tau, _ in before.seen] == [5.0, 8.0, 4.0]
    assert [tau for tau, _ in after.seen] == [8.0, 4.0, 2.0]
    for (tau_before, old), (tau, new) in zip(before.seen, after.seen, strict=True):
        visible = (old.abs() < 0.99) & (new.abs() < 0.99)  # float32 cannot tell weights near 1 apart
        assert visible.double().mean() > 0.3
        argument = tau * torch.atanh(new[visible])  # w_r + δ
        torch.testing.assert_close(argument, tau_before * torch.atanh(old[visible]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({}, "`schedule` to be given by epochs of at least 0, at least one"),
        ({-1: {"lr": 1.0}}, r"`schedule` to be given by epochs of at least 0.*\[-1\]"),
        (
            {0: {"tau": 1.0}},
            r"`schedule` to be of hyper-parameters that this BayesBiSNN has \(lr, .*\), but got 'tau'\.",
        ),
        ({1: {"lr": 0.0}}, "`lr` to be a positive float, but got 0.0"),
        ({1: {"limit": 31.0}}, r"`limit` to be a float in \(0, 30\], but got 31.0"),
    ],
)
def test_bad_schedules_get_one_sentence(schedule, message):
    with pytest.raises(ValueError, match=message):
        fit(bayes(), 2, HyperparameterSchedule(schedule))


def test_a_module_that_does_not_say_what_it_has():
    class Other(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = bayes()

        def training_step(self, batch, batch_idx):
            return self.net.loss(*batch)

        def validation_step(self, batch, batch_idx):
            pass

        def configure_optimizers(self):
            return self.net.configure_optimizer()

    with pytest.raises(ValueError, match=r"`module` to be a module with a method `hyperparameters`.*Other"):
        fit(Other(), 1, HyperparameterSchedule({0: {"lr": 1.0}}))
