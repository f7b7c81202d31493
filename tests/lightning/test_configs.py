"""The shipped YAML files say what the recipes say; `python tests/lightning/test_configs.py` rewrites them."""

from pathlib import Path

import pytest
import yaml

from snntorch_binary import lightning
from snntorch_binary.data import names
from snntorch_binary.lightning.recipes import recipe

FOLDER = Path(lightning.__file__).parent / "configs"
INPUTS = {"digits": (64, 10), "mnist": (784, 10), "nmnist": (2 * 34 * 34, 4)}
RULES = {"full-precision": "SpikingModule", "st": "STBiSNN", "bayes": "BayesBiSNN"}
SHIPPED = [*(("digits", rule) for rule in RULES), ("mnist", "bayes"), ("nmnist", "bayes"), ("nmnist", "vowel")]
SHIPPED += [("mnist", "softlif"), ("cifar10", "softlif")]


def backpropagation(dataset, rule):
    """Model, data and recipe of a rule that goes through time."""
    classes = [6, 7, 8, 9] if dataset == "nmnist" else "all"
    used = recipe(dataset, classes)
    input_size, num_classes = INPUTS[dataset]
    net = {
        "input_size": input_size,
        "hidden_sizes": list(used.hidden_sizes),
        "num_classes": num_classes,
        "drive": used.start(rule),
    }
    init_args = {
        "net": {"class_path": "snntorch_binary.models.SpikingMLP", "init_args": net},
        "num_classes": num_classes,
        "readout_scale": used.readout_scale,
    }
    if rule != "full-precision":
        init_args |= {"scale": "channel"}
    if rule == "full-precision":
        init_args |= {"lr": used.lr}
    elif rule == "st":
        init_args |= {"lr": used.st_base_lr, "latent_lr": used.st_lr}
    else:
        init_args |= {
            "lr": used.bayes_lr,
            "rho": used.rho,
            "base_lr": used.bayes_base_lr,
            "rule": {"init_scale": used.init_scale},
        }
        init_args |= {"num_test_samples": used.num_members}
    model = {"class_path": f"snntorch_binary.lightning.{RULES[rule]}", "init_args": init_args}
    return model, {"name": dataset, "batch_size": used.batch_size, "classes": classes}, used


def winner_take_all(dataset):
    """Model, data and recipe of `vowel-wta`."""
    classes, shape = [6, 9], [2, 34, 34]
    used = recipe(dataset, classes, vowel=True)
    given = used.vowel
    basis = {
        "class_path": "snntorch_binary.nn.RaisedCosine",
        "init_args": {"num": given.num_basis, "window": given.window},
    }
    net = {
        "input_shape": shape,
        "num_hidden": sum(used.hidden_sizes),
        "num_outputs": len(classes),
        "num_symbols": 2,
        "basis": basis,
        "init": given.init,
    }
    init_args = {
        "net": {"class_path": "snntorch_binary.models.symbol_network", "init_args": net},
        "num_classes": len(classes),
        "lr": given.lr,
        "hidden_lr": given.hidden_lr,
        "kappa": given.kappa,
        "beta": given.beta,
        "gamma": given.gamma,
        "silence": given.silence,
        "num_test_samples": used.num_members,
    }
    model = {"class_path": "snntorch_binary.lightning.VOWEL", "init_args": init_args}
    data = {"name": dataset, "batch_size": used.batch_size, "classes": classes, "one_symbol": True}
    return model, data, used


def soft_lif(dataset):
    """Model, data and recipe of a soft LIF network: that of `compare` for MNIST, the paper's for CIFAR-10."""
    used = recipe("mnist", "all", soft_lif=True)
    given = used.soft_lif
    if dataset == "mnist":
        name = "SoftLIFConvNet"
        sizes = {"image_shape": list(given.image_shape), "channels": list(given.channels)}
        net = {**sizes, "hidden_size": sum(used.hidden_sizes), "noise": given.noise}
    else:
        name, net = "SoftLIFLocalNet", {"crop": 24, "noise": given.noise}
    init_args = {
        "net": {"class_path": f"snntorch_binary.models.{name}", "init_args": net},
        "num_classes": 10,
        "lr": used.lr,
    }
    model = {"class_path": "snntorch_binary.lightning.SpikingModule", "init_args": init_args}
    data = {"name": dataset, "batch_size": used.batch_size, "classes": "all", "num_steps": 1}
    data["encoder"] = {"class_path": "snntorch_binary.data.DirectEncoder"}
    return model, data, used


def config(dataset, rule):
    """What `compare` does with seed 0, as a configuration."""
    if rule == "vowel":
        model, data, used = winner_take_all(dataset)
    elif rule == "softlif":
        model, data, used = soft_lif(dataset)
    else:
        model, data, used = backpropagation(dataset, rule)
    name = f"{dataset}-{rule}"
    dropout = {"class_path": "snntorch_binary.lightning.SeededSteps", "init_args": {"seed": 0}}
    return {
        "seed_everything": 0,
        "model": model,
        "data": data,
        "trainer": {
            "max_epochs": used.epochs,
            "devices": 1,
            "num_sanity_val_steps": 0,
            "logger": {
                "class_path": "lightning.pytorch.loggers.CSVLogger",
                "init_args": {"save_dir": "results", "name": name},
            },
            "callbacks": [
                {
                    "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
                    "init_args": {"filename": "last", "enable_version_counter": False},
                },
                *([dropout] if rule == "softlif" else []),
            ],
        },
    }


def test_nothing_else_is_shipped():
    assert {path.name for path in FOLDER.iterdir()} == {f"{dataset}-{rule}.yaml" for dataset, rule in SHIPPED}
    assert {dataset for dataset, _ in SHIPPED} <= set(names())


@pytest.mark.parametrize(("dataset", "rule"), SHIPPED)
def test_values_are_those_of_the_recipe(dataset, rule):
    assert yaml.safe_load((FOLDER / f"{dataset}-{rule}.yaml").read_text()) == config(dataset, rule)


if __name__ == "__main__":
    for dataset, rule in SHIPPED:
        text = yaml.safe_dump(config(dataset, rule), sort_keys=False, default_flow_style=None, width=120)
        (FOLDER / f"{dataset}-{rule}.yaml").write_text(text)
