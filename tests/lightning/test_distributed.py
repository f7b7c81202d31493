import subprocess
import sys
from pathlib import Path

import distributed
import pytest
import torch


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """One process on batches of 8, and two on batches of 4, which start from different seeds."""
    alone, together = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    distributed.run(alone, 1)
    program = Path(__file__).with_name("distributed.py")
    subprocess.run([sys.executable, str(program), str(together), "2"], check=True, capture_output=True, timeout=300)
    paths = (alone / "rank0.pt", together / "rank0.pt", together / "rank1.pt")
    return [torch.load(path, weights_only=True) for path in paths]


def assert_close(first, second):
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(
            first[name], second[name], rtol=1e-9, atol=1e-9, msg=lambda text, n=name: f"{n}: {text}"
        )


def test_two_processes_with_shared_noise_are_one_on_the_joined_batch(results):
    one, *two = (result[True] for result in results)
    for rank in two:
        assert_close(one["state"], rank["state"])
        assert torch.equal(one["weight"], rank["weight"])
        assert rank["rho"] == one["rho"] == 1 / 24


def test_replicas_with_noise_of_their_own_stay_identical(results):
    one, first, second = (result[False] for result in results)
    assert first["state"].keys() == second["state"].keys()
    for name in first["state"]:
        assert torch.equal(first["state"][name], second["state"][name]), name
    assert not torch.equal(first["weight"], second["weight"])  # though each draws for itself
    assert not torch.allclose(first["state"]["1.latent"], one["state"]["1.latent"])
