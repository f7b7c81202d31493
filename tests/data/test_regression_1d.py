import math

import numpy as np
import pytest
import torch

from snntorch_binary.data import load
from snntorch_binary.data.sets.regression_1d import POSITIONS, TARGETS, function, inside


def raw(part):
    """Positions and targets as they were before scaling."""
    x = POSITIONS.restore(part.inputs.double()).squeeze(1)
    return x.numpy(), TARGETS.restore(part.labels.double()).numpy()


def f(x):
    return x - 0.1 * x**2 + np.cos(np.pi * x / 2)


def test_the_points_are_those_of_the_paper():
    splits = load("regression-1d")
    assert (splits.num_classes, splits.input_shape, splits.num_steps) == (1, (20,), 100)
    assert splits.regression
    assert not load("two-moons").regression
    steps = np.arange(20) / 20
    x, y = raw(splits.train)
    assert np.allclose(x, np.concatenate([-1 + steps, 1.5 + steps, 4 + steps]), atol=1e-6)
    assert np.std(y - f(x)) == pytest.approx(0.1, abs=0.02)
    assert np.std(y - f(x)) / TARGETS.span == pytest.approx(0.022, abs=0.005)

    x, y = raw(splits.test)
    assert np.allclose(x, -1 + np.arange(600) / 100, atol=1e-6)
    assert np.allclose(y, f(x), atol=1e-5)
    for scaled in (splits.test.inputs, splits.test.labels):
        assert (float(scaled.min()), float(scaled.max())) == pytest.approx((0, 1), abs=1e-6)
    assert (TARGETS.low, TARGETS.high) == pytest.approx((-1.1, 3.407), abs=1e-3)

    x_validation, y_validation = raw(splits.validation)
    assert np.allclose(x_validation, raw(splits.train)[0] + 0.025, atol=1e-6)
    noise, other = y_validation - f(x_validation), raw(splits.train)[1] - f(raw(splits.train)[0])
    assert np.std(noise) == pytest.approx(0.1, abs=0.02)
    assert abs(np.corrcoef(noise, other)[0, 1]) < 0.3


def test_the_noise_never_changes():
    # Written down once: other targets would make every reported error incomparable.
    noise = raw(load("regression-1d", num_steps=1).train)
    assert (noise[1] - f(noise[0]))[:3] == pytest.approx([-0.00259, 0.03555, 0.06607], abs=1e-5)


def test_the_spikes_are_the_population_code_of_the_paper():
    splits = load("regression-1d", num_steps=2000)
    spikes, targets = splits.test.__getitems__([0, 150, 333, 599])
    assert targets.dtype == torch.float32
    assert targets.shape == (4,)
    delta = 4 * 100 / 19
    for column, value in enumerate(splits.test.inputs[[0, 150, 333, 599], 0].tolist()):
        phase = [math.pi * (100 * value - k * delta / 4) / delta for k in range(20)]
        rates = torch.tensor([0.5 + 0.5 * math.cos(min(max(p, -math.pi), math.pi)) for p in phase])
        assert float(rates.sum()) == pytest.approx(2.5 if column in (0, 3) else 4, abs=0.01)
        assert ((spikes[:, column].mean(0) - rates).abs() < 0.05).all()


def test_only_the_spikes_of_the_training_part_depend_on_the_seed():
    first, second = (load("regression-1d", num_steps=5, seed=seed) for seed in (0, 1))
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(first, part).labels, getattr(second, part).labels)
        spikes = [getattr(splits, part).__getitems__(range(60))[0] for splits in (first, second)]
        assert torch.equal(*spikes) == (part != "train")


def test_inside_is_where_the_training_points_are():
    splits = load("regression-1d")
    for part in (splits.train, splits.validation):
        assert inside(POSITIONS.restore(part.inputs)).all()
    x, _ = raw(splits.test)
    expected = (x < -0.005) | ((x > 1.495) & (x < 2.495)) | (x > 3.995)
    assert expected.sum() == 300
    mask = inside(POSITIONS.restore(splits.test.inputs)).squeeze(1)
    assert np.array_equal(mask.numpy(), expected)


def test_scales_are_undone():
    x = torch.linspace(-1, 4.99, 50, dtype=torch.float64)
    for scale, values in ((POSITIONS, x), (TARGETS, function(x))):
        assert torch.allclose(scale.restore(scale.scale(values)), values)
        assert scale.span == pytest.approx(scale.high - scale.low)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"classes": (0,)}, "`classes` to be 'all' for regression-1d, which has no classes"),
        ({"limit_per_class": 5}, "`limit_per_class` to be None for regression-1d"),
        ({"num_folds": 5}, "`num_folds` to be None for regression-1d"),
        ({"fold": 1}, "`fold`"),
        ({"num_steps": 0}, "`num_steps`"),
    ],
)
def test_what_a_regression_has_not_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        load("regression-1d", **options)
