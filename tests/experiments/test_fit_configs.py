"""The YAML files of `fit` say what those of `compare` say; `python tests/experiments/test_fit_configs.py` writes them.

Each is seed 0 of a rule of `compare`, as a configuration of Lightning's command line.
"""

import pytest
import yaml

from snntorch_binary.data import names
from snntorch_binary.experiments.config import read_experiment, shipped
from snntorch_binary.experiments.fit.command import shipped_configs

INPUTS = {"digits": (64, 10), "mnist": (784, 10), "nmnist": (2 * 34 * 34, 4)}
MODULES = {
    "full-precision": "SpikingModule",
    "st": "STBiSNN",
    "bayes": "BayesBiSNN",
    "vowel-wta": "VOWEL",
    "softlif": "SpikingModule",
}
SHIPPED = {
    "digits-full-precision": ("digits", "full-precision"),
    "digits-st": ("digits", "st"),
    "digits-bayes": ("digits", "bayes"),
    "mnist-bayes": ("mnist", "bayes"),
    "nmnist-bayes": ("nmnist", "bayes"),
    "nmnist-vowel": ("nmnist-vowel", "vowel-wta"),
    "mnist-softlif": ("mnist-softlif", "softlif"),
    "cifar10-softlif": ("mnist-softlif", "softlif"),
}
"""The configurations by name: the experiment that each is of, and the rule."""
CLASSES = {"nmnist-bayes": [6, 7, 8, 9], "nmnist-vowel": [6, 9]}


def network(name, experiment, rule, num_classes):
    """The float network of a configuration, with what `compare` takes from the data."""
    if name == "cifar10-softlif":
        noise = experiment.network.init_args["noise"]
        return {"class_path": "snntorch_binary.models.SoftLIFLocalNet", "init_args": {"crop": 24, "noise": noise}}
    found = experiment.network_of(rule).plain()
    if rule.name == "vowel-wta":
        found["init_args"] = {"input_shape": [2, 34, 34], "num_outputs": num_classes, **found["init_args"]}
    elif rule.name != "softlif":
        size = INPUTS[experiment.data.name][0]
        found["init_args"] = {"input_size": size, "num_classes": num_classes, **found["init_args"]}
    return found


def hyper_parameters(experiment, rule):
    """The arguments of a LightningModule that are a rule's."""
    if rule.name == "vowel-wta":
        named = ("lr", "hidden_lr", "kappa", "beta", "gamma", "silence")
        return {name: getattr(rule, name) for name in named} | {"num_test_samples": rule.num_members}
    found = {"lr": rule.lr}
    if rule.name != "softlif":
        found["readout_scale"] = experiment.readout_scale
    if rule.name == "st":
        found |= {"latent_lr": rule.latent_lr, "scale": rule.scale}
    if rule.name == "bayes":
        found |= {"rho": rule.rho, "base_lr": rule.base_lr, "scale": rule.scale}
        found |= {"rule": {"init_scale": rule.init_scale}, "num_test_samples": rule.num_members}
    return found


def config(name):
    """What `compare` does with seed 0, as a configuration."""
    of, rule_name = SHIPPED[name]
    experiment = read_experiment(shipped()[of])
    rule = experiment.rule(rule_name)
    classes = CLASSES.get(name, "all")
    num_classes = 10 if classes == "all" else len(classes)
    data = {"name": name.split("-")[0], "batch_size": experiment.batch_size, "classes": classes}
    if rule_name == "vowel-wta":
        data["one_symbol"] = True
    if rule_name == "softlif":
        data |= {"num_steps": 1, "encoder": {"class_path": "snntorch_binary.data.DirectEncoder"}}
    net = network(name, experiment, rule, num_classes)
    module = {"class_path": f"snntorch_binary.lightning.{MODULES[rule_name]}"}
    module["init_args"] = {"net": net, "num_classes": num_classes, **hyper_parameters(experiment, rule)}
    dropout = {"class_path": "snntorch_binary.lightning.SeededSteps", "init_args": {"seed": 0}}
    return {
        "seed_everything": 0,
        "model": module,
        "data": data,
        "trainer": {
            "max_epochs": experiment.epochs,
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
                *([dropout] if rule_name == "softlif" else []),
            ],
        },
    }


def test_nothing_else_is_shipped():
    assert shipped_configs().keys() == SHIPPED.keys()
    assert {name.split("-")[0] for name in SHIPPED} <= set(names())


@pytest.mark.parametrize("name", SHIPPED)
def test_values_are_those_of_compare(name):
    assert yaml.safe_load(shipped_configs()[name].read_text()) == config(name)


if __name__ == "__main__":
    for name in SHIPPED:
        text = yaml.safe_dump(config(name), sort_keys=False, default_flow_style=None, width=120)
        shipped_configs()[name].write_text(text)
