"""The shipped configurations of FedSNN: what they say, and a round of the full network on a handful of images."""

import pytest
import torch
from rich.console import Console

pytest.importorskip("flwr", reason="Flower is not installed")

from snntorch_binary.data import DirectEncoder, SignedRateEncoder
from snntorch_binary.experiments.config import shipped
from snntorch_binary.experiments.examples import training_examples
from snntorch_binary.experiments.federate.config import SHIPPED, read_federation
from snntorch_binary.experiments.federate.federation import make_method
from snntorch_binary.experiments.federate.runs import run_all
from snntorch_binary.experiments.federate.sides import make_sides
from snntorch_binary.experiments.named import make_network
from snntorch_binary.experiments.progress import RunsProgress
from snntorch_binary.federated import IID, Dirichlet
from snntorch_binary.federated.fedsnn import FedSNN
from snntorch_binary.models import VGG9, SpikingVGG9

NAMES = [name for name in shipped(SHIPPED) if name.startswith("fedsnn-")]


@pytest.fixture
def folder(tmp_path):
    """A CIFAR-10 of 40 training and 10 test images."""
    home = tmp_path / "cifar-10-batches-bin"
    home.mkdir()
    for name, size in (("data_batch_1.bin", 40), ("test_batch.bin", 10)):
        table = torch.randint(0, 256, (size, 3073), dtype=torch.uint8)
        table[:, 0] = torch.arange(size) % 10
        (home / name).write_bytes(table.numpy().tobytes())
    return tmp_path


def test_all_are_there():
    assert [f"fedsnn-cifar10-{name}" for name in ("dirichlet", "full", "iid", "noise", "stragglers")] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_they_say_what_their_names_say(name):
    federation = read_federation(name)
    assert (federation.num_clients, federation.clients_per_round, federation.uniform) == (10, 2, True)
    assert list(federation.methods) == ["snn", "ann"]
    uneven = name.endswith(("-dirichlet", "-full"))
    assert federation.make_partition() == (Dirichlet(0.5) if uneven else IID())
    assert federation.stragglers == (0.5 if name.endswith("stragglers") else 0.0)
    assert federation.gradient_noise == (0.5 if name.endswith("noise") else 0.0)
    full = name.endswith("full")
    for method, network in (("snn", SpikingVGG9), ("ann", VGG9)):
        experiment = federation.experiment(method)
        rule = experiment.rules[0]
        net = make_network(experiment.network_of(rule), {"num_classes": 10, "num_steps": experiment.data.num_steps})
        module = rule.module(net, 10)
        assert isinstance(module, FedSNN)
        width, steps = (1.0, 20) if full else (0.25, 5)
        twin = SpikingVGG9(10, steps, width) if network is SpikingVGG9 else VGG9(10, width)
        assert type(module.net) is network
        shapes = {key: value.shape for key, value in twin.state_dict().items()}
        assert {key: value.shape for key, value in module.net.state_dict().items()} == shapes
        assert (module.lr, module.momentum) == (0.1, 0.95 if full else 0.9)


def test_both_networks_get_the_same_images_each_in_its_code(folder):
    federation = read_federation("fedsnn-cifar10-dirichlet", data_dir=str(folder), num_clients=2)
    spiking, direct = (federation.load(method, 3) for method in ("snn", "ann"))
    partition = federation.make_partition()
    parts, same_parts = (partition(training_examples(data).labels, 2, 3) for data in (spiking, direct))
    assert [part.tolist() for part in parts] == [part.tolist() for part in same_parts]
    assert torch.equal(spiking.splits.train.inputs, direct.splits.train.inputs)
    assert (spiking.num_steps, spiking.splits.train.encoder) == (5, SignedRateEncoder())
    assert (direct.num_steps, direct.splits.train.encoder) == (1, DirectEncoder())


def test_a_method_has_no_other_data():
    with pytest.raises(ValueError, match=r"`methods\.a\.data` to be arguments that"):
        make_method("a", {"rule": "fedsnn", "data": {"name": "mnist"}})


def test_a_round_of_the_small_networks(folder, tmp_path):
    federation = read_federation("fedsnn-cifar10-iid", data_dir=str(folder), num_clients=2, num_rounds=1, seeds=(0,))
    runs = run_all(federation, tmp_path / "out", RunsProgress(Console(quiet=True), 2, 1))
    assert [run.method for run in runs] == ["snn", "ann"]
    for run in runs:
        assert run.probabilities["single"].shape == (10, 10)
        assert len(run.history[0]["used"]) == 2
        assert run.history[0]["left_out"] == {}
    # 1.5 MB: the weights and, of the spiking network, five times the scales and statistics.
    weights = 4 * sum(value.numel() for value in SpikingVGG9(10, 5, 0.25).state_dict().values())
    assert weights < runs[0].history[0]["bytes_up"] < 1.05 * weights


def test_a_round_of_the_full_network(folder, tmp_path):
    changes = {"partition": "snntorch_binary.federated.IID", "num_rounds": 1, "local_epochs": 1}
    federation = read_federation(
        "fedsnn-cifar10-full", data_dir=str(folder), methods=["snn"], seeds=(0,), limit_per_class=2, **changes
    )
    (run,) = run_all(federation, tmp_path / "out", RunsProgress(Console(quiet=True), 1, 1))
    assert run.probabilities["single"].shape == (10, 10)
    state = torch.load(run.folder / "last.ckpt", weights_only=True)["state_dict"]
    state = {name.removeprefix("net."): value for name, value in state.items()}
    start = make_sides(federation, "snn", 0).module.net.state_dict()
    assert sum(value.numel() for name, value in state.items() if "running" not in name) == 5_938_880 + 43_520
    assert all(not torch.equal(value, start[name]) for name, value in state.items())
