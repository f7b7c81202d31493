import random

import pytest

pytest.importorskip("ray.tune", reason="Ray is not installed")

from snntorch_binary.tune.plan import Plan
from snntorch_binary.tune.scheduler import VALUES, SeededPopulationBasedTraining, clipped
from snntorch_binary.tune.space import Range, first_values, read_space

SPACE = {"lr": Range(1e-3, 1.0, "log"), "momentum": Range(0.0, 0.9)}


def test_draws_are_in_the_range_and_spread_as_the_scale_says():
    source = random.Random(0)
    linear = [Range(0.0, 0.9).draw(source) for _ in range(2000)]
    log = [Range(1e-3, 1.0, "log").draw(source) for _ in range(2000)]
    assert 0.0 <= min(linear) < max(linear) <= 0.9
    assert 1e-3 <= min(log) < max(log) <= 1.0
    assert sum(value < 0.3 for value in linear) == pytest.approx(2000 / 3, abs=80)
    assert sum(value < 1e-2 for value in log) == pytest.approx(2000 / 3, abs=80)


def test_first_values_depend_on_the_seed_only_and_begin_with_those_given():
    start = [{"lr": 0.5, "momentum": 0.0}, {"lr": 0.25}]
    values = first_values(SPACE, start, 4, seed=1)
    assert len(values) == 4
    assert values[0] == {"lr": 0.5, "momentum": 0.0}
    drawn = first_values(SPACE, [], 4, seed=1)
    assert values[1] == {"lr": 0.25, "momentum": drawn[1]["momentum"]}
    assert values[2:] == drawn[2:]
    assert drawn != first_values(SPACE, [], 4, seed=2)


def test_perturbed_values_are_clipped_to_their_ranges():
    scheduler = SeededPopulationBasedTraining(Plan("Q", "max", 4, 1, resample=0.0, factors=(0.1, 10.0)), SPACE)
    trial = type("Trial", (), {"config": {VALUES: {"lr": 0.5, "momentum": 0.5}}})
    random.seed(0)
    seen = [scheduler._get_new_config(None, trial)[0][VALUES] for _ in range(50)]
    assert {values["lr"] for values in seen} == {0.05, 1.0}
    assert {values["momentum"] for values in seen} == {0.05, 0.9}


def test_clipping_leaves_the_rest_alone():
    config = {VALUES: {"lr": 2.0, "momentum": 0.5}, "other": 7}
    assert clipped(SPACE, config) == {VALUES: {"lr": 1.0, "momentum": 0.5}, "other": 7}
    assert config[VALUES]["lr"] == 2.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": {"low": 1.0, "high": 0.1}}, r"`space\.lr\.high` to be above low = 1.0, but got 0.1"),
        ({"lr": {"low": 1.0, "high": 1.0}}, r"`space\.lr\.high` to be above"),
        ({"lr": {"low": 0.0, "high": 1.0, "scale": "log"}}, r"`space\.lr\.low` to be positive where scale is 'log'"),
        ({"lr": {"low": 0.0, "high": 1.0, "scale": "cubic"}}, r"`space\.lr\.scale` to be one of linear, log"),
        ({"lr": {"low": "a", "high": 1.0}}, r"`space\.lr\.low` to be a finite float, but got 'a'"),
        ({"lr": {"low": 0.0, "high": float("inf")}}, r"`space\.lr\.high` to be a finite float"),
        ({"lr": {"low": 0.0}}, r"`space\.lr` to be of low, high and perhaps scale"),
        ({"lr": 3}, r"`space\.lr` to be of low, high and perhaps scale"),
        ({}, "`space` to be ranges of hyper-parameters by name, at least one"),
    ],
)
def test_bad_ranges_get_one_sentence(given, message):
    with pytest.raises(ValueError, match=message):
        read_space(given)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"population": 1}, "`population` to be an integer of at least 2, but got 1"),
        ({"population": 2.5}, "`population` to be an integer, but got 2.5"),
        ({"interval": 20}, "`interval` to be a divisor of the number of epochs, 10, but got 20"),
        ({"interval": 3}, "`interval` to be a divisor of the number of epochs, 10, but got 3"),
        ({"interval": 0}, "`interval` to be a divisor"),
        ({"epochs": None}, "`epochs` to be an integer, but got None"),
        ({"mode": "best"}, "`mode` to be 'min' or 'max', but got 'best'"),
        ({"quantile": 0.6}, r"`quantile` to be a float in \(0, 0.5\]"),
        ({"resample": 1.5}, "`resample` to be a probability"),
        ({"factors": (0.5,)}, "`factors` to be two positive floats"),
        ({"start": ({}, {}, {}, {}, {})}, "`start` to be at most as many settings as members, 4, but got 5"),
        ({"seed": -1}, "`seed` to be an integer in 0"),
    ],
)
def test_bad_plans_get_one_sentence(values, message):
    with pytest.raises(ValueError, match=message):
        Plan(**{"metric": "Q", "mode": "max", "epochs": 10, "interval": 2, "population": 4, **values})


def test_better():
    most, least = (Plan("Q", mode, 2, 1) for mode in ("max", "min"))
    assert most.better(2.0, 1.0)
    assert not least.better(2.0, 1.0)
    for plan in (most, least):
        assert plan.better(0.0, plan.worst)
        assert plan.better(plan.worst, float("nan"))
        assert not plan.better(float("nan"), plan.worst)
        assert not plan.better(float("nan"), float("nan"))
