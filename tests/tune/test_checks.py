"""Every mistake is one clear sentence before anything starts."""

import pytest

pytest.importorskip("ray.tune", reason="Ray is not installed")

import ray
import yaml
from snntorch_binary.lightning.settings import OutputError

from snntorch_binary.cli import main
from snntorch_binary.lightning import BayesBiSNN, SpikeDataModule
from snntorch_binary.models import SpikingMLP
from snntorch_binary.tune import Plan, Quadratic, Resources, population, population_based_training
from snntorch_binary.tune.settings import ModuleOf, read_settings, shipped_configs

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


def test_shipped_configurations_can_be_read():
    assert set(shipped_configs()) == {"toy-quadratic", "digits-bayes-pbt", "nmnist-bayes-pbt"}
    toy = read_settings("toy-quadratic", {})
    assert isinstance(ModuleOf(toy.config["model"])(), Quadratic)
    digits = read_settings("digits-bayes-pbt", {"population": 4, "seeds": (7,), "epochs": 20, "slots": 2})
    assert (digits.plan.population, digits.plan.epochs, digits.plan.seed, digits.seeds) == (4, 20, 7, (7,))
    assert digits.resources.slots == 2
    assert digits.config_of(3)["data"]["seed"] == 3
    assert isinstance(ModuleOf(digits.config["model"])(), BayesBiSNN)
    nmnist = read_settings("nmnist-bayes-pbt", {"data_dir": "D"})
    assert nmnist.config["data"]["data_dir"] == "D"


def edited(tmp_path, **changes):
    """The digits' configuration with other values, as a file."""
    config = yaml.safe_load(shipped_configs()["digits-bayes-pbt"].read_text())
    for path, value in changes.items():
        *sections, name = path.split("__")
        inner = config
        for section in sections:
            inner = inner[section]
        if value is None:
            del inner[name]
        else:
            inner[name] = value
    (tmp_path / "it.yaml").write_text(yaml.safe_dump(config))
    return str(tmp_path / "it.yaml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tune__interval": 100}, ["`interval`", "divisor", "60", "100"]),
        ({"tune__population": 1}, ["`population`", "at least 2"]),
        ({"tune__metric": None}, ["`tune`", "metric"]),
        ({"tune__popolation": 8}, ["`tune`", "'popolation'"]),
        ({"tune": None}, ["sections model, trainer and tune"]),
        ({"trainer__devices": 2}, ["`trainer`", "'devices'"]),
        ({"model__class_path": "torch.nn.Linear"}, ["model", "Linear"]),
        ({"model__init_args__lr": -1.0}, ["`lr`", "positive"]),
        ({"data__name": "cifar"}, ["`name`", "'cifar'"]),
        ({"tune__space__lr__high": 0.01}, ["`space.lr.high`", "0.03"]),
        ({"tune__space__lr": ["low"]}, ["`space.lr`", "low, high", "['low']"]),
        ({"tune__metric": 3}, ["`metric`", "the name of a score", "got 3."]),
        ({"tune__quantile": "abc"}, ["`quantile`", "a float in (0, 0.5]", "'abc'"]),
        ({"tune__resample": True}, ["`resample`", "a probability", "got True."]),
        ({"tune__factors": 1.2}, ["`factors`", "two positive floats", "got 1.2."]),
        ({"tune__factors": ["a", "b"]}, ["`factors`", "two positive floats", "['a', 'b']"]),
        ({"tune__start": {"lr": 0.5}}, ["`start`", "a list of settings", "{'lr': 0.5}"]),
        ({"tune__start": [{"lr": "x"}]}, ["`start`", "a list of settings", "[{'lr': 'x'}]"]),
        ({"tune__slots": "x"}, ["`slots`", "a positive integer or None", "'x'"]),
        ({"tune__slots": 1.5}, ["`slots`", "a positive integer or None", "got 1.5."]),
        ({"tune__address": 6379}, ["`address`", "got 6379."]),
        ({"tune__synchronous": "no"}, ["`synchronous`", "true or false", "'no'"]),
        ({"tune__fixed": "no"}, ["`fixed`", "true or false", "'no'"]),
        (
            {"model": {"class_path": "nope.X"}},
            ["error: model: Problem with given class_path 'nope.X': No module named"],
        ),
        ({"tune__seeds": [0, -1]}, ["`seeds`", "an integer in 0 ... 2^20 - 1 each", "got -1."]),
        ({"tune__seeds": [0, 2**20]}, ["`seeds`", "got 1048576."]),
        ({"tune__seeds": [1.5]}, ["`seeds`", "got 1.5."]),
        ({"tune__seeds": [True]}, ["`seeds`", "got True."]),
        ({"tune__seeds": [3, 3]}, ["`seeds`", "a list of different integers", "got [3, 3]."]),
        ({"tune__seeds": []}, ["`seeds`", "at least one", "got []."]),
        ({"tune__seeds": 0}, ["`seeds`", "a list", "got 0."]),
    ],
)
def test_the_command_says_one_sentence_and_leaves_nothing(changes, words, tmp_path, monkeypatch, capsys):
    path = edited(tmp_path, **changes)
    monkeypatch.chdir(tmp_path)
    assert main(["tune", path]) == 1
    error = capsys.readouterr().err
    assert error.startswith("snntorch-binary: error: ")
    assert error.count("\n") == 1
    for word in words:
        assert word in error
    assert [of.name for of in tmp_path.iterdir()] == ["it.yaml"]


@pytest.mark.parametrize(
    ("section", "value"), [("tune", None), ("tune", ["space"]), ("trainer", None), ("data", None), ("data", "digits")]
)
def test_a_section_that_is_none(section, value, tmp_path, capsys):
    path = tmp_path / "it.yaml"
    config = yaml.safe_load(shipped_configs()["digits-bayes-pbt"].read_text())
    path.write_text(yaml.safe_dump({**config, section: value}))
    assert main(["tune", str(path)]) == 1
    words = f"Expected argument `{section}` to be a section of values by name, but got {value!r}."
    assert capsys.readouterr().err == f"snntorch-binary: error: {words}\n"


def test_a_file_that_is_no_text_is_named(tmp_path, capsys):
    path = tmp_path / "it.yaml"
    path.write_bytes(b"model: \xff\xfe")
    assert main(["tune", str(path)]) == 1
    assert f"{path} is no YAML file: 'utf-8' codec can't decode" in capsys.readouterr().err


def test_all_seeds_are_checked_before_the_first_is_trained(tmp_path, capsys):
    assert main(["tune", "toy-quadratic", "--seeds", "0,-1", "--out", str(tmp_path / "out")]) == 1
    assert "`seeds` to be of an integer in 0 ... 2^20 - 1 each, but got -1." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_configuration_that_is_not_there(capsys):
    assert main(["tune", "nothing"]) == 1
    assert "`CONFIG` to be a YAML file or one of digits-bayes-pbt, nmnist-bayes-pbt, toy" in capsys.readouterr().err


def test_results_say_the_arguments_of_main_and_not_those_of_the_process(monkeypatch):
    given = []
    monkeypatch.setattr("sys.argv", ["some_script.py", "--foo"])
    monkeypatch.setattr("snntorch_binary.tune.command.run", lambda settings, out, console, of: given.append(of))
    assert main(["tune", "toy-quadratic", "--seeds", "7"]) == 0
    assert given == [["tune", "toy-quadratic", "--seeds", "7"]]
