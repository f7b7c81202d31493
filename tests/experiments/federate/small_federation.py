"""A federation that takes less than a second, run without tables and pictures."""

import io

import torch
import yaml
from rich.console import Console

from snntorch_binary.experiments.federate.config import read_federation
from snntorch_binary.experiments.federate.runs import run_all
from snntorch_binary.experiments.fl_snn import read_online_federation, run_online
from snntorch_binary.experiments.progress import RunsProgress

NETWORK = {"class_path": "snntorch_binary.models.SpikingMLP", "init_args": {"hidden_sizes": [4]}}


def method(rule, aggregation):
    return {"rule": rule, "aggregation": f"snntorch_binary.federated.{aggregation}"}


SMALL = {
    "data": {"name": "digits", "num_steps": 1, "limit_per_class": 8},
    "network": NETWORK,
    "num_clients": 2,
    "clients_per_round": 2,
    "num_rounds": 3,
    "evaluate_every": 3,
    "seeds": [0],
    "methods": {"product": method("bayes", "ProductOfExperts"), "bits": method("st", "OneBit")},
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


def run(path, out, said=None):
    """Run a federation of either kind; return its runs. ``said`` gets the lines about files."""
    text = io.StringIO()
    progress = RunsProgress(Console(file=text, width=1_000), 2, 3)
    if yaml.safe_load(path.read_text()).get("online"):
        found = run_online(read_online_federation(path), out, progress)
    else:
        found = run_all(read_federation(path), out, progress)
    if said is not None:
        said += [line for line in text.getvalue().splitlines() if str(out) in line]
    return found


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
