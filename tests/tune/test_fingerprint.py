"""A folder of results belongs to one plan, space, model and data set."""

import json

import pytest

pytest.importorskip("ray.tune", reason="Ray is not installed")

import torch
from torch import nn

from snntorch_binary._files import OutputError
from snntorch_binary.lightning import BayesBiSNN, SpikeDataModule
from snntorch_binary.models import SpikingMLP
from snntorch_binary.tune import Plan, Quadratic, Range, population, population_based_training
from snntorch_binary.tune.engine import MEMBERS
from snntorch_binary.tune.fingerprint import fingerprint
from snntorch_binary.tune.interval import CHECKPOINT, files_of
from snntorch_binary.tune.lineage import Report, write_report

PLAN = Plan("Q", "max", epochs=4, interval=2, population=2)
SPACE = {"h0": Range(0.0, 1.0)}


def of(module_factory=Quadratic, data=None, config=None):
    return fingerprint(module_factory, data, SPACE, PLAN, config or {})


def model(steps):
    return {"class_path": "snntorch_binary.tune.Quadratic", "init_args": {"steps": steps}}


class Printed:
    """An object as any: it is printed with its address."""


class HasAnObject(Quadratic):
    def __init__(self, it):
        super().__init__()
        self.it = nn.Module()
        self.it.extra_repr = lambda: repr(it)
        self.save_hyperparameters()


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("by_config", [True, False])
@pytest.mark.parametrize("killed", [True, False])
def test_another_model_does_not_get_the_results_of_the_first(by_config, killed, tmp_path, monkeypatch):
    """Whether the first one has come to its end or not."""

    def run(module_factory, data, space, plan, resources, out, of_population, listener, tried):
        for member in range(plan.population):
            name, values = str(member), {"h0": 0.5}
            write_report(out / "reports.jsonl", Report(name, None, member, 0, plan.epochs, values, {"Q": 1.0}, 0.1))
            files_of(out / MEMBERS / name, of_population).write_tensors(CHECKPOINT, {})
        if killed:
            raise KeyboardInterrupt

    monkeypatch.setattr(population, "_run", run)

    def train(steps):
        config = {"model": model(steps)} if by_config else None
        return population_based_training(
            lambda: Quadratic(steps=steps), None, SPACE, PLAN, out=tmp_path / "out", config=config
        )

    if killed:
        with pytest.raises(KeyboardInterrupt):
            train(4)
    else:
        train(4)
        monkeypatch.setattr(population, "_run", None)
        train(4)  # is read, not trained
    before = contents(tmp_path / "out")
    with pytest.raises(OutputError, match=r"out holds a population with another model; give another folder or remove"):
        train(400)
    assert contents(tmp_path / "out") == before


def test_sections_are_compared_wherever_the_data_lie():
    config = {"model": model(4), "data": {"name": "digits", "seed": 1}}
    now = of(config=config)
    assert now["model"] == model(4)
    moved = {**config, "data": {**config["data"], "data_dir": "elsewhere", "download": True}}
    assert of(config=moved) == now
    for changed in ({"name": "mnist", "seed": 1}, {"name": "digits", "seed": 2}):
        assert of(config={**config, "data": changed})["data"] != now["data"]


def test_without_sections_module_and_data_are_looked_at():
    def bayes(width=8, lr=0.3):
        return BayesBiSNN(SpikingMLP(64, [width], 10), 10, lr)

    before = torch.get_rng_state()
    now = of(bayes, SpikeDataModule("digits"))
    assert torch.equal(torch.get_rng_state(), before)
    assert of(bayes, SpikeDataModule("digits", "elsewhere")) == now
    assert of(lambda: bayes(width=9), SpikeDataModule("digits"))["model"] != now["model"]
    assert of(lambda: bayes(lr=0.1), SpikeDataModule("digits"))["model"] != now["model"]
    assert of(Quadratic, SpikeDataModule("digits"))["model"] != now["model"]
    assert of(bayes, SpikeDataModule("two-moons"))["data"] != now["data"]
    assert of(bayes)["data"] is None


class Keeps(Quadratic):
    def __init__(self, it):
        super().__init__()
        self.save_hyperparameters()


def test_what_is_no_plain_value_is_compared_too():
    long, other = torch.zeros(3000), torch.zeros(3000)
    other[1500] = 1
    assert of(lambda: Keeps(long)) == of(lambda: Keeps(long.clone())) != of(lambda: Keeps(other))
    assert of(lambda: Keeps({(0, 1): 2.0})) != of(lambda: Keeps({(0, 2): 2.0}))
    kept = of(lambda: Keeps({"gamma", "alpha", "beta"}))["model"]["hyper_parameters"]["it"]
    assert kept == ["alpha", "beta", "gamma"]  # in the same order in every process


def test_addresses_in_memory_do_not_count():
    first, second = Printed(), Printed()
    assert repr(first) != repr(second)
    found = of(lambda: HasAnObject(first))
    assert found == of(lambda: HasAnObject(second))
    assert found == json.loads(json.dumps(found))
    assert "Printed object" in found["model"]["layers"]
    assert "Printed object" in found["model"]["hyper_parameters"]["it"]
