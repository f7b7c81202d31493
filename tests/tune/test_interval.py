"""Intervals one after another are one training, and the hyper-parameters of each are those that were asked for."""

import json
from dataclasses import replace

import commands
import lightning as L
import pytest
import torch
import yaml

pytest.importorskip("ray.tune", reason="Ray is not installed")


from snntorch_binary.experiments.named import Named
from snntorch_binary.experiments.tune.members import ModelOf
from snntorch_binary.lightning import BayesBiSNN, SpikeDataModule
from snntorch_binary.models import SpikingMLP
from snntorch_binary.tune.interval import kept_report, train_interval
from snntorch_binary.tune.lineage import line_of, schedule_of
from snntorch_binary.tune.one_batch import available_memory, try_one_batch
from snntorch_binary.tune.plan import Plan
from snntorch_binary.tune.replay import write_replay

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]

PLAN = Plan("val_ensemble_nll", "min", epochs=4, interval=1, population=2, seed=5)
MODEL = {
    "class_path": "snntorch_binary.lightning.BayesBiSNN",
    "init_args": {
        "net": {
            "class_path": "snntorch_binary.models.SpikingMLP",
            "init_args": {"input_size": 64, "hidden_sizes": [16], "num_classes": 10},
        },
        "num_classes": 10,
        "readout_scale": 5.0,
        "rho": 0.0,
    },
}
NOISY = {  # torch's own noise, which is in no checkpoint: of the neurons, and dropout
    "class_path": "snntorch_binary.lightning.SpikingModule",
    "init_args": {
        "net": {
            "class_path": "snntorch_binary.models.SoftLIFConvNet",
            "init_args": {"image_shape": [1, 8, 8], "channels": [4], "hidden_size": 16, "noise": 10.0},
        },
        "num_classes": 10,
    },
}
DATA = {"name": "digits", "batch_size": 50, "limit_per_class": 20, "seed": 5}


class Adam(BayesBiSNN):
    """Tells what its optimizer had in the last step."""

    def on_train_batch_end(self, *_):
        latents, rest = self.trainer.optimizers[0].param_groups
        self.log("had_lr", latents["initial_lr"])
        self.log("had_rho", latents["rho"])
        self.log("had_base_lr", rest["initial_lr"])
        self.log("steps", float(next(iter(self.trainer.optimizers[0].state.values()))["step"]))


def adam():
    return Adam(SpikingMLP(64, [8], 10), 10, 0.3, rho=0.0)


@pytest.fixture(scope="module")
def data():
    return SpikeDataModule(**DATA)


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Lightning's seeds are global."""
    with L.pytorch.utilities.seed.isolate_rng():
        yield


def test_hyperparameters_are_set_again_after_the_optimizer_is_restored(data, tmp_path):
    first = train_interval(adam, data, PLAN, 0, {"lr": 0.5, "rho": 1e-3}, None, tmp_path / "a")
    assert (first.scores["had_lr"], first.scores["had_rho"]) == pytest.approx((0.5, 1e-3))
    values = {"lr": 0.125, "rho": 0.25, "base_lr": 0.5}
    copied = train_interval(adam, data, PLAN, 1, values, tmp_path / "a", tmp_path / "b")
    assert {name: copied.scores[f"had_{name}"] for name in values} == pytest.approx(values)
    assert copied.scores["steps"] == 2 * first.scores["steps"]  # the optimizer's state came along


def test_a_report_says_where_it_came_from(data, tmp_path):
    first = train_interval(adam, data, PLAN, 0, {"lr": 0.5}, None, tmp_path / "a")
    copied = train_interval(adam, data, PLAN, 1, {"lr": 0.25}, tmp_path / "a", tmp_path / "b")
    assert (first.parent, first.member, first.begin, first.epoch) == (None, 0, 0, 1)
    assert (copied.parent, copied.member, copied.begin, copied.epoch) == (first.id, 1, 1, 2)
    assert kept_report(tmp_path / "b") == copied
    assert kept_report(tmp_path / "b", "another population") is None
    assert "val_ensemble_nll" in copied.scores


@pytest.mark.parametrize(
    ("model", "steps"),
    [
        (MODEL, [(1, {"lr": 0.6}), (1, {"lr": 0.6}), (0, {"lr": 0.2, "rho": 1e-4}), (1, {"lr": 0.25, "rho": 0.0})]),
        pytest.param(
            NOISY,
            [(1, {"lr": 0.01}), (1, {"lr": 0.01}), (0, {"lr": 0.02, "dropout": 0.3}), (1, {"dropout": 0.1})],
            marks=pytest.mark.repeated,
        ),
    ],
    ids=["draws", "noise of torch"],
)
def test_fit_replays_the_schedule_bit_for_bit(model, steps, data, tmp_path):
    """The line of a winner that came from two members, and the same by the command line, without Ray."""
    module_factory = ModelOf(Named.of("model", model))
    reports, start = [], None
    for number, (member, values) in enumerate(steps):
        end = tmp_path / f"{number}"
        reports.append(train_interval(module_factory, data, PLAN, member, values, start, end))
        start = end
    line = line_of(reports[-1], reports)
    path = tmp_path / "schedule.yaml"
    config = {"model": model, "data": DATA}
    write_replay(path, schedule_of(line), PLAN.seed_of(line[0].member), PLAN.seed, PLAN.epochs, config)
    assert yaml.safe_load(path.read_text())["seed_everything"] == 5001
    program = "import sys\nfrom snntorch_binary.cli import main\ncode = main(['fit', '--config', 'schedule.yaml'])\n"
    program += "assert 'ray' not in sys.modules\nsys.exit(code)"
    (tmp_path / "replay.py").write_text(program)
    done = commands.run([tmp_path / "replay.py"], tmp_path, timeout=200)
    assert done.returncode == 0, done.stderr
    replayed = next((tmp_path / "results").rglob("last.ckpt"))
    ours, theirs = (torch.load(of, weights_only=True)["state_dict"] for of in (tmp_path / "3" / "last.ckpt", replayed))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_noise_of_torch_is_that_of_the_plan_and_not_of_the_member(data, tmp_path):
    """Weights after the second interval are those of one training; so they are when another member goes on."""
    module_factory, values = ModelOf(Named.of("model", NOISY)), {"lr": 0.01}

    def weights(folder):
        return torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]

    train_interval(module_factory, data, replace(PLAN, interval=2), 0, values, None, tmp_path / "once")
    train_interval(module_factory, data, PLAN, 0, values, None, tmp_path / "first")
    for member in (0, 1):
        train_interval(module_factory, data, PLAN, member, values, tmp_path / "first", tmp_path / f"second{member}")
    once = weights(tmp_path / "once")
    for member in (0, 1):
        for name, value in weights(tmp_path / f"second{member}").items():
            assert torch.equal(value, once[name]), name
    train_interval(module_factory, data, replace(PLAN, seed=6), 0, values, tmp_path / "first", tmp_path / "seed6")
    assert any(not torch.equal(value, once[name]) for name, value in weights(tmp_path / "seed6").items())


class Diverges(Adam):
    def loss(self, x, targets):
        return super().loss(x, targets) * (float("nan") if self.trainer.current_epoch == 1 else 1.0)


def test_a_member_that_diverges_waits_to_be_replaced(data, tmp_path):
    def factory():
        return Diverges(SpikingMLP(64, [8], 10), 10, 0.3, rho=0.0)

    good = train_interval(factory, data, PLAN, 0, {"lr": 0.5}, None, tmp_path / "a")
    bad = train_interval(factory, data, PLAN, 0, {"lr": 0.5}, tmp_path / "a", tmp_path / "b")
    assert good.score(PLAN) < float("inf")
    assert bad.scores == {}
    assert bad.score(PLAN) == float("inf")
    waiting = train_interval(factory, data, PLAN, 0, {"lr": 0.5}, tmp_path / "b", tmp_path / "c")
    assert (waiting.scores, waiting.epoch) == ({}, 3)
    json.dumps(waiting.scores)


def test_one_batch_tells_scores_hyperparameters_and_memory(data):
    before = torch.get_rng_state()
    data.setup()
    small, large = (
        try_one_batch(lambda width=width: BayesBiSNN(SpikingMLP(64, [width], 10), 10, rho=0.0), data, 0)
        for width in (16, 4096)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert {"val_mode_nll", "val_ensemble_accuracy"} <= set(small.scores)
    assert set(small.hyperparameters) == {"lr", "base_lr", "rho", "clip", "limit"}
    # Latents, their gradients, two moments, draw and derivative; and membrane potentials over time.
    weights = 4 * (64 + 10) * (4096 - 16)
    assert large.memory - small.memory > 4 * weights
    assert 0 < small.data_bytes < 2**24
    assert 0 < available_memory() < 2**50
