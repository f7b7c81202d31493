"""Every mistake is one clear sentence before anything starts."""

import pytest

pytest.importorskip("ray.tune", reason="Ray is not installed")

import ray

from snntorch_binary._files import OutputError
from snntorch_binary.lightning import BayesBiSNN, SpikeDataModule
from snntorch_binary.models import SpikingMLP
from snntorch_binary.tune import Plan, Resources, population, population_based_training

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]

SPACE = {"lr": {"low": 0.1, "high": 1.0}}
PLAN = Plan("val_ensemble_nll", "min", epochs=4, interval=2, population=4)


def bayes():
    return BayesBiSNN(SpikingMLP(64, [8], 10), 10, 0.3, rho=0.0)


def train(out, space=SPACE, plan=PLAN, **more):
    data = SpikeDataModule("digits", batch_size=8, limit_per_class=5)
    return population_based_training(bayes, data, space, plan, out=out, **more)


@pytest.mark.parametrize(
    ("space", "plan", "message"),
    [
        (
            {"tau": {"low": 0.1, "high": 1.0}},
            PLAN,
            r"`space` to be of hyper-parameters that this BayesBiSNN has \(lr, base_lr, rho, .*\), but got 'tau'",
        ),
        ({"lr": {"low": 0.0, "high": 1.0}}, PLAN, r"`space\.lr` to be of a positive float each, but got 0.0"),
        ({"limit": {"low": 1.0, "high": 40.0}}, PLAN, r"`space\.limit` to be of a float in \(0, 30\] each, but got 40"),
        ({"lr": {"low": 1.0, "high": 0.1}}, PLAN, r"`space\.lr\.high` to be above low = 1.0, but got 0.1"),
        (
            SPACE,
            Plan("val_loss", "min", 4, 2),
            r"`metric` to be a score that this BayesBiSNN logs \(train_loss, .*val_mode_nll\), but got 'val_loss'",
        ),
        (
            SPACE,
            Plan("val_mode_nll", "min", 4, 2, start=({"lr": 2.0},)),
            r"`start\.lr` to be in 0.1 \.\.\. 1.0, but got 2.0",
        ),
        (SPACE, Plan("val_mode_nll", "min", 4, 2, start=({"rho": 0.0},)), "`start` to be of hyper-parameters .*'rho'"),
    ],
)
def test_a_mistake_is_one_sentence_and_starts_nothing(space, plan, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "out", space, plan)
    assert not ray.is_initialized()
    assert list(tmp_path.iterdir()) == []


def test_more_trials_than_memory_says_both_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(population, "available_memory", lambda: 2**30)
    message = r"`slots` to be at most 2 trials at a time, which need 0\.4\d GiB each, where 1\.00 GiB are .*, but got 3"
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "out", resources=Resources(slots=3))
    with pytest.raises(ValueError, match=r"but got 4, 1\.\d\d GiB"):  # no more than there are members
        train(tmp_path / "out", resources=Resources(slots=100))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"slots": 0}, "`slots` to be a positive integer or None, but got 0"),
        ({"cpus": 0}, "`cpus` to be a positive integer"),
        ({"gpus": -1.0}, "`gpus` to be a float of at least 0"),
        ({"slots": 2, "address": "auto"}, "`slots` to be left out with an address"),
    ],
)
def test_bad_resources_get_one_sentence(values, message):
    with pytest.raises(ValueError, match=message):
        Resources(**values)


def test_results_of_another_plan_are_not_mixed(tmp_path):
    (tmp_path / "plan.json").write_text('{"plan": {}, "space": {"lr": {"low": 0.1, "high": 1.0, "scale": "linear"}}}')
    with pytest.raises(OutputError, match="holds a population with another plan, model, data; give another folder"):
        train(tmp_path)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(OutputError, match="damaged"):
        train(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="it is no folder"):
        train(tmp_path / "file")
