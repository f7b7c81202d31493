"""Two processes (gloo, CPU) against one."""

import commands
import pytest
import torch
import torch.multiprocessing
from ddp_worker import batches, make_net, run, train

if not torch.distributed.is_available():
    pytest.skip("torch was built without distributed", allow_module_level=True)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Results of both processes, by rank and shared_noise."""
    folder = tmp_path_factory.mktemp("ddp")
    method = commands.context().get_start_method()
    torch.multiprocessing.start_processes(run, args=(2, str(folder)), nprocs=2, start_method=method)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.slow
def test_shared_noise_equals_one_process_on_the_joined_batch(ranks):
    net = make_net(True)
    alone = train(net, net, batches())
    for rank in ranks:
        assert torch.equal(rank[True]["draws"], alone["draws"])
        for parameter, expected in zip(rank[True]["parameters"], alone["parameters"], strict=True):
            torch.testing.assert_close(parameter, expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_independent_noise_differs_and_the_replicas_stay_identical(ranks):
    first, second = (rank[False] for rank in ranks)
    for draw, other in zip(first["draws"], second["draws"], strict=True):
        assert not torch.equal(draw, other)
    for parameter, other in zip(first["parameters"], second["parameters"], strict=True):
        assert torch.equal(parameter, other)
