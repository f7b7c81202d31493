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
SHIPPED = [("digits", rule) for rule in RULES] + [("mnist", "bayes"), ("nmnist", "bayes")]
SHIPPED += [("mnist", "softlif"), ("cifar10", "softlif")]


def config(dataset, rule):
    """What `compare` does with seed 0, as a configuration."""
    if rule == "softlif":
        return soft_lif_config(dataset)
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
        "net": {"class_path": "snntorch_binary.lightning.SpikingMLP", "init_args": net},
        "num_classes": num_classes,
        "readout_scale": used.readout_scale,
    }
    if rule == "full-precision":
        init_args |= {"lr": used.lr}
    elif rule == "st":
        init_args |= {"lr": used.st_base_lr, "latent_lr": used.st_lr}
    else:
        init_args |= {
            "lr": used.bayes_lr,
            "rho": used.rho,
            "base_lr": used.bayes_base_lr,
            "init_scale": used.init_scale,
        }
        init_args |= {"num_test_samples": used.num_members}
    data = {"name": dataset, "batch_size": used.batch_size, "classes": classes}
    return whole(f"{dataset}-{rule}", RULES[rule], init_args, data, used.epochs)


def soft_lif_config(dataset):
    """The soft LIF networks: that of `compare` for MNIST, and the paper's for CIFAR-10, of which `compare` has none."""
    used = recipe("mnist", "all", soft_lif=True)
    given = used.soft_lif
    if dataset == "mnist":
        name = "SoftLIFConvNet"
        sizes = {"image_shape": list(given.image_shape), "channels": list(given.channels)}
        net = {**sizes, "hidden_size": sum(used.hidden_sizes), "noise": given.noise}
    else:
        name, net = "SoftLIFLocalNet", {"crop": 24, "noise": given.noise}
    init_args = {
        "net": {"class_path": f"snntorch_binary.lightning.{name}", "init_args": net},
        "num_classes": 10,
        "lr": used.lr,
    }
    data = {"name": dataset, "batch_size": used.batch_size, "classes": "all", "num_steps": 1}
    data["encoder"] = {"class_path": "snntorch_binary.data.DirectEncoder"}
    return whole(f"{dataset}-softlif", "SpikingModule", init_args, data, used.epochs)


def whole(name, module, init_args, data, epochs):
    return {
        "seed_everything": 0,
        "model": {"class_path": f"snntorch_binary.lightning.{module}", "init_args": init_args},
        "data": data,
        "trainer": {
            "max_epochs": epochs,
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
                }
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
