"""A federation that takes less than a second, run without tables and pictures."""

import torch
import yaml
from rich.console import Console
from snntorch_binary.lightning.progress import ComparisonProgress

from snntorch_binary.federated.online_run import run_online
from snntorch_binary.federated.online_settings import read_online_settings
from snntorch_binary.federated.run import run_all
from snntorch_binary.federated.settings import read_settings

NET = {
    "class_path": "snntorch_binary.models.SpikingMLP",
    "init_args": {"input_size": 64, "hidden_sizes": [4], "num_classes": 10},
}


def method(module, aggregation):
    return {
        "model": {
            "class_path": f"snntorch_binary.lightning.{module}",
            "init_args": {"net": NET, "num_classes": 10},
        },
        "aggregation": {"class_path": f"snntorch_binary.federated.{aggregation}"},
    }


SMALL = {
    "data": {"name": "digits", "num_steps": 1, "limit_per_class": 8},
    "num_clients": 2,
    "clients_per_round": 2,
    "num_rounds": 3,
    "evaluate_every": 3,
    "seeds": [0],
    "methods": {"product": method("BayesBiSNN", "ProductOfExperts"), "bits": method("STBiSNN", "OneBit")},
}
ONLINE = {
    "online": True,
    "data": {"name": "digits", "classes": [0, 1], "num_steps": 2, "limit_per_class": 8},
    "num_local_steps": 8,
    "num_samples": 2,
    "seeds": [0],
    "methods": {"separate": {}, "turns": {"tau": 4, "rate": 0.25}},
}


def written(folder, values=SMALL, **changes):
    """Return a YAML file of a federation."""
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({**values, **changes}, sort_keys=False))
    return path


def run(path, out):
    """Run a federation of either kind; return its runs."""
    progress = ComparisonProgress(Console(quiet=True), 2, 3)
    if yaml.safe_load(path.read_text()).get("online"):
        return run_online(read_online_settings(path), out, progress)
    return run_all(read_settings(path), out, progress)


def same(runs, others):
    """Compare all that is in finished runs, but the seconds they took."""
    assert len(runs) == len(others)
    for one, other in zip(runs, others, strict=True):
        assert (one.method, one.seed) == (other.method, other.seed)
        assert one.probabilities.keys() == other.probabilities.keys()
        for name, tensor in one.probabilities.items():
            assert torch.equal(tensor, other.probabilities[name]), (one.method, name)
        assert torch.equal(one.labels, other.labels)
        for name in ("history", "scalars", "bytes"):
            assert getattr(one, name, None) == getattr(other, name, None)
    return True
