import math

import lightning as L
import pytest
import torch
from training import Stop, checkpoint_in, make_trainer

import snntorch_binary as sb
from snntorch_binary.lightning import BayesBiSNN, SpikeDataModule, STBiSNN
from snntorch_binary.lightning.annealing import AnnealRho, AnnealTau
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.models import SpikingMLP
from snntorch_binary.weights import binary_layers

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]

BATCHES = 3  # an epoch


def module(estimator="gumbel", **more):
    torch.manual_seed(0)
    return BayesBiSNN(
        SpikingMLP(64, [8], 10), 10, 0.3, rho=1.0, rule=sb.Bernoulli(tau=5.0, estimator=estimator), **more
    )


class Record(L.Callback):
    """What is annealed, at every batch."""

    def __init__(self):
        self.tau, self.rho, self.base_rho = [], [], []

    def on_train_batch_end(self, trainer, pl_module, *_):
        (tau,) = {layer.rule.tau for layer in binary_layers(pl_module).values()}
        bayesian, base = trainer.optimizers[0].param_groups
        self.tau.append(tau)
        self.rho.append(bayesian["rho"])
        self.base_rho.append(base["rho"])


def fit(callbacks, epochs, pl_module=None, folder=None, resume=False):
    record = Record()
    pl_module = module() if pl_module is None else pl_module
    callbacks = [*callbacks, record] if folder is None else [*callbacks, record, checkpoint_in(folder)]
    trainer = make_trainer(epochs, callbacks, limit_train_batches=BATCHES, limit_val_batches=0)
    data = SpikeDataModule("digits", batch_size=8, limit_per_class=5)
    path = str(folder / "last.ckpt") if resume else None
    with quiet():
        trainer.fit(pl_module, datamodule=data, ckpt_path=path, weights_only=True)
    return record, pl_module


def test_linear_over_epochs_by_default_to_the_last_one():
    record, _ = fit([AnnealRho(0.0, 0.3)], 4)
    assert record.rho == pytest.approx([value for value in (0.0, 0.1, 0.2, 0.3) for _ in range(BATCHES)])
    assert set(record.base_rho) == {1.0}
    assert set(record.tau) == {5.0}


def test_exponential_over_batches_by_default_to_the_last_one():
    record, _ = fit([AnnealTau(4.0, 0.125, interval="step")], 2)
    assert record.tau == pytest.approx([4.0, 2.0, 1.0, 0.5, 0.25, 0.125])
    assert set(record.rho) == {1.0}


def test_cosine_and_then_the_end():
    record, _ = fit([AnnealRho(1.0, 0.0, shape="cosine", interval="step", duration=4)], 2)
    half = (1 + math.cos(math.pi / 4)) / 2
    assert record.rho == pytest.approx([1.0, half, 0.5, 1 - half, 0.0, 0.0])


class Look(L.Callback):
    """The temperature and the first layer's weights in force at the start of every batch."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        layer = next(iter(binary_layers(pl_module).values()))
        self.seen.append((layer.rule.tau, layer.in_force().detach().double()))


def test_the_weights_in_force_are_the_same_draw_at_the_new_temperature():
    before, after = Look(), Look()
    fit([before, AnnealTau(8.0, 2.0, interval="step"), after], 2)
    assert [tau for tau, _ in before.seen] == pytest.approx([5.0, *[tau for tau, _ in after.seen][:-1]])
    for (tau_before, old), (tau, new) in zip(before.seen, after.seen, strict=True):
        assert tau_before != tau
        visible = (old.abs() < 0.99) & (new.abs() < 0.99)  # float32 cannot tell weights near 1 apart
        assert visible.double().mean() > 0.3
        argument = tau * torch.atanh(new[visible])  # w_r + δ
        torch.testing.assert_close(argument, tau_before * torch.atanh(old[visible]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_an_exception_and_a_resume_change_nothing(interval, tmp_path):
    def callbacks():
        return [AnnealTau(3.0, 0.3, interval=interval), AnnealRho(0.0, 0.1, interval=interval)]

    whole, unbroken = fit(callbacks(), 4)
    with pytest.raises(RuntimeError, match="stopped"):
        fit([*callbacks(), Stop(2 * BATCHES + 1)], 4, folder=tmp_path)
    rest, resumed = fit(callbacks(), 4, folder=tmp_path, resume=True)
    assert rest.tau == whole.tau[2 * BATCHES :]
    assert rest.rho == whole.rho[2 * BATCHES :]
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize(("duration", "last_two"), [(None, (0.2, 0.2)), (4, (0.15, 0.2))])
def test_a_longer_run_goes_on_as_planned_unless_another_plan_is_said(duration, last_two, tmp_path):
    fit([AnnealRho(0.0, 0.2)], 3, folder=tmp_path)
    record, _ = fit([AnnealRho(0.0, 0.2, duration=duration)], 5, folder=tmp_path, resume=True)
    assert record.rho == pytest.approx([value for value in last_two for _ in range(BATCHES)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AnnealTau(0.0, 1.0), r"Expected argument `start` to be a positive float, but got 0.0\."),
        (lambda: AnnealTau(1.0, float("nan")), "`end` to be a positive float"),
        (lambda: AnnealTau(1.0, 0.1, shape="step"), "`shape` to be one of .*'linear', 'cosine', 'exponential'.*'step'"),
        (lambda: AnnealTau(1.0, 0.1, interval="batch"), "`interval` to be one of .*'epoch', 'step'.*'batch'"),
        (lambda: AnnealTau(1.0, 0.1, duration=0), "`duration` to be an integer of at least 1 or None, but got 0"),
        (lambda: AnnealRho(-1.0, 0.0), "`start` to be a float of at least 0"),
        (lambda: AnnealRho(0.1, float("inf")), "`end` to be a float of at least 0"),
        (lambda: AnnealRho(0.0, 0.1, shape="exponential"), "`start` to be a positive float"),
    ],
)
def test_bad_arguments_get_one_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_nothing_to_anneal():
    with pytest.raises(ValueError, match=r'`pl_module` to be a module with Bernoulli\(estimator="gumbel"\) weights'):
        fit([AnnealTau(1.0, 0.1)], 1, module("hard"))
    with pytest.raises(ValueError, match=r"`pl_module` to be a module whose optimizer is .*BayesBiSNN.*STBiSNN"):
        fit([AnnealRho(0.0, 0.1)], 1, STBiSNN(SpikingMLP(64, [8], 10), 10))


def test_no_end_of_training_is_known():
    with pytest.raises(ValueError, match="`duration` to be an integer where max_epochs is not given"):
        fit([AnnealRho(0.0, 0.1)], -1, module(cosine=False))
