"""Both LightningModules on two and four processes (gloo, CPU) against one."""

import os
import socket
from pathlib import Path

import commands
import distributed
import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy
from training import make_trainer

from snntorch_binary.lightning import STBiSNN
from snntorch_binary.lightning.processes import check_processes
from snntorch_binary.models import SpikingMLP

pytestmark = pytest.mark.ddp


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One process on batches of 8."""
    folder = tmp_path_factory.mktemp("one")
    distributed.run(folder, 1)
    return torch.load(folder / "rank0.pt", weights_only=True)


@pytest.fixture(
    scope="module", params=[2, pytest.param(4, marks=pytest.mark.repeated)], ids=["two processes", "four processes"]
)
def ranks(request, tmp_path_factory):
    """Processes that share the batches of 8, and start from different seeds."""
    folder = tmp_path_factory.mktemp("several")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(request.param)}
    program = [Path(__file__).with_name("distributed.py"), folder, request.param]
    running = [
        commands.Command(program, env={**os.environ, **address, "NODE_RANK": "0", "LOCAL_RANK": str(rank)})
        for rank in range(request.param)
    ]
    try:
        for process in running:
            assert process.wait(300) == 0, process.said()
    finally:
        for process in running:
            process.kill()
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(request.param)]


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["st", "bayes, shared noise"])
def test_they_are_one_process_on_the_joined_batch(rule, alone, ranks):
    one = alone[rule]
    for rank in (result[rule] for result in ranks):
        assert rank["state"].keys() == one["state"].keys()
        for name, value in one["state"].items():
            torch.testing.assert_close(
                rank["state"][name], value, rtol=1e-9, atol=1e-9, msg=lambda text, n=name: f"{n}: {text}"
            )
        assert torch.equal(one["weight"], rank["weight"])
        assert rank["rho"] == one["rho"] == (None if rule == "st" else 1 / 24)


@pytest.mark.slow
def test_replicas_with_noise_of_their_own_stay_identical(alone, ranks):
    first, *others = (result["bayes"] for result in ranks)
    for other in others:
        assert first["state"].keys() == other["state"].keys()
        for name in first["state"]:
            assert torch.equal(first["state"][name], other["state"][name]), name
        assert not torch.equal(first["weight"], other["weight"])  # though each draws for itself
    assert not torch.allclose(first["state"]["1.weight"], alone["bayes"]["state"]["1.weight"])


@pytest.mark.slow
def test_processes_with_different_networks(ranks):
    for rank in ranks:
        assert rank["different networks"] == (
            "Expected argument `net` to be the same network in every process, but got '1.weight' that is "
            f"of shape (16, 12) in rank 0 and of shape (17, 12) in rank {len(ranks) - 1}."
        )


def test_sharded_parameters_are_refused():
    module = STBiSNN(SpikingMLP(12, [16], 3), 3)
    trainer = make_trainer(1)
    trainer.strategy.__class__ = FSDPStrategy  # which itself asks for a GPU
    with pytest.raises(ValueError, match=r"`strategy` to be 'ddp' or one device, .* but got FSDPStrategy"):
        check_processes(trainer, module.net)
