import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, make_moons

from snntorch_binary.data import LatencyEncoder, RateEncoder, describe, description, load, names, registry, sets


def fixed_spikes(splits):
    return [part.__getitems__(range(len(part)))[0] for part in (splits.validation, splits.test)]


@pytest.mark.parametrize("name", ["digits", "two-moons"])
def test_only_the_training_noise_depends_on_the_seed(name):
    first, second = load(name, seed=0, num_steps=4), load(name, seed=1, num_steps=4)
    for a, b in zip(fixed_spikes(first), fixed_spikes(second), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(first.train.inputs, second.train.inputs)
    indices = list(range(20))
    assert not torch.equal(first.train.__getitems__(indices)[0], second.train.__getitems__(indices)[0])
    assert torch.equal(first.train.__getitems__(indices)[0], load(name, num_steps=4).train.__getitems__(indices)[0])


@pytest.mark.parametrize("name", ["two moons", "MNIST", "", None, 3, ["mnist"]])
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    for answer in (load, describe):
        with pytest.raises(
            ValueError,
            match=f"`name` to be one of digits, .*, spoken-digits-by-speaker, but got {re.escape(repr(name))}",
        ):
            answer(name)


def test_the_order_of_the_names():
    values = ["digits", "two-moons", "regression-1d"]
    images = ["mnist", "fashion-mnist", "notmnist", "cifar10", "cifar100"]
    assert names() == (
        *values,
        *images,
        "nmnist",
        "poker-dvs",
        "mnist-dvs",
        "spoken-digits",
        "spoken-digits-by-speaker",
    )


THREE_MOONS = """
import torch
from snntorch_binary.data.description import Description, register
from snntorch_binary.data.encoders import RateEncoder
from snntorch_binary.data.splits import in_memory

def read(asked):
    part = torch.rand(30, 2), torch.arange(30) % 3
    return in_memory(part, part, ("a", "b", "c"))

register(
    Description("three-moons", 15, 3, 7, "rates", (2,), "nothing", read, encoder=RateEncoder())
)
"""


@pytest.fixture
def three_moons(tmp_path, monkeypatch):
    (tmp_path / "three_moons.py").write_text(THREE_MOONS)
    monkeypatch.setattr(sets, "__path__", [*sets.__path__, str(tmp_path)])
    monkeypatch.setattr(description, "_REGISTERED", dict(description._REGISTERED))
    registry._discover.cache_clear()
    yield
    registry._discover.cache_clear()
    del sys.modules["snntorch_binary.data.sets.three_moons"]


def test_one_file_in_the_folder_of_the_sets_is_a_data_set(three_moons):
    assert names()[:3] == ("digits", "two-moons", "three-moons")
    splits = load("three-moons", classes=(2, 0))
    assert (splits.num_classes, splits.num_steps, splits.input_shape) == (2, 7, (2,))
    assert splits.class_names == ("c", "a")
    with pytest.raises(ValueError, match="`num_folds` to be None for three-moons, which has a fixed test part"):
        load("three-moons", num_folds=3)
    with pytest.raises(ValueError, match="`name` to be that of no other data set, but got 'three-moons'"):
        description.register(describe("three-moons"))


@pytest.mark.parametrize("name", names())
def test_a_set_has_its_row_in_the_reference(name):
    page = (Path(__file__).parents[2] / "docs" / "reference" / "data.rst").read_text()
    said = describe(name)
    cells = (f"``{name}``", said.spikes, str(said.features), said.needs)
    assert "   * - " + "\n     - ".join(cells) + "\n" in page


@pytest.mark.slow
# Of MNIST-DVS there is a sample only, which has no test part, and CIFAR-100 is not there.
@pytest.mark.parametrize("name", [name for name in names() if name not in ("mnist-dvs", "cifar100")])
def test_a_set_is_what_it_says(name, real_data):
    said = describe(name)
    options = {} if said.regression else {"limit_per_class": 4}
    if name == "nmnist":  # of which some classes are there
        options["classes"] = (6, 9)
    splits = load(name, real_data, **options)
    assert splits.input_shape == said.features
    assert splits.num_steps == said.num_steps
    assert splits.regression == said.regression
    assert splits.num_classes == len(options.get("classes", range(said.num_classes)))
    assert (splits.test.encoder is None) == (said.encoder is None)


WITHOUT_NUMPY = """
import sys
import snntorch_binary.data
assert not any(name.startswith("snntorch_binary.data.sets.") for name in sys.modules), "sets are read before asked for"
sys.modules["numpy"] = None
assert len(snntorch_binary.data.names()) == 13
snntorch_binary.data.load("regression-1d", num_steps=3)
"""


@pytest.mark.slow
def test_sets_are_found_when_asked_for_and_without_numpy():
    subprocess.run([sys.executable, "-c", WITHOUT_NUMPY], check=True)


def test_another_encoder_takes_the_place_of_the_sets_own():
    own, other = load("digits", num_steps=4).test, load("digits", num_steps=4, encoder=LatencyEncoder(0.2)).test
    assert torch.equal(other[3][0], LatencyEncoder(0.2)(own.inputs[3:4], 4)[:, 0])
    named = load("digits", num_steps=1, encoder="direct").test
    assert torch.equal(named[3][0][0], 2 * own.inputs[3] - 1)


def test_two_moons_is_scaled_together():
    splits = load("two-moons")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [200, 200, 1000]
    assert (splits.num_classes, splits.input_shape, splits.num_steps) == (2, (20,), 100)
    points = torch.cat([splits.train.inputs, splits.validation.inputs, splits.test.inputs])
    raw, labels = make_moons(1400, noise=0.1, random_state=0)
    scaled = (raw - raw.min(0)) / (raw.max(0) - raw.min(0))
    assert np.allclose(points.numpy(), scaled, atol=1e-6)
    seen = torch.cat([splits.train.labels, splits.validation.labels, splits.test.labels])
    assert seen.tolist() == labels.tolist()


def test_digits_are_all_there_once():
    splits = load("digits")
    parts = (splits.train, splits.validation, splits.test)
    raw = load_digits()
    rows = torch.cat([torch.cat([part.inputs * 16, part.labels[:, None]], dim=1) for part in parts])
    expected = np.concatenate([raw.data, raw.target[:, None]], axis=1)
    assert sorted(rows.tolist()) == sorted(expected.tolist())
    for part, share in zip(parts, (0.72, 0.08, 0.2), strict=True):
        shares = part.labels.bincount() / torch.from_numpy(raw.target).bincount()
        assert ((shares - share).abs() < 0.01).all()
    assert (splits.num_classes, splits.input_shape, splits.num_steps) == (10, (64,), 10)


def test_classes_are_renumbered_in_the_given_order():
    splits, whole = load("digits", classes=(8, 3), limit_per_class=4), load("digits")
    assert splits.class_names == ("8", "3")
    assert splits.num_classes == 2
    for part, all_classes in ((splits.train, whole.train), (splits.test, whole.test)):
        assert part.labels.bincount().tolist() == [4, 4]
        for label, digit in enumerate((8, 3)):
            assert torch.equal(part.inputs[part.labels == label], all_classes.inputs[all_classes.labels == digit][:4])


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("svhn", {}, f"`name` to be one of {', '.join(names())}, but got 'svhn'"),
        ("digits", {"num_steps": 0}, "`num_steps`"),
        ("digits", {"classes": (1, 10)}, '`classes` to be "all" or different labels from 0 to 9'),
        ("digits", {"classes": (1, 1)}, "`classes`"),
        ("digits", {"classes": ()}, "`classes`"),
        ("digits", {"classes": "6-9"}, "`classes`"),
        ("two-moons", {"classes": (2,)}, "from 0 to 1"),
        ("digits", {"limit_per_class": 0}, "`limit_per_class`"),
        ("digits", {"fold": 1}, "`fold` to be 0 when `num_folds` is None"),
        ("digits", {"num_folds": 1}, "`num_folds`"),
        ("digits", {"num_folds": 5, "fold": 5}, r"`fold` to be an int in \[0, 5\)"),
        ("two-moons", {"num_folds": 5}, "`num_folds` to be None for two-moons"),
        (
            "digits",
            {"encoder": "poisson"},
            "`encoder` to be one of rate, signed-rate, latency, direct, but got 'poisson'",
        ),
        ("nmnist", {"encoder": RateEncoder()}, "`encoder` to be None for nmnist, which is no set of images"),
    ],
)
def test_bad_arguments_get_the_house_sentence(name, options, match):
    with pytest.raises(ValueError, match=match):
        load(name, **options)
