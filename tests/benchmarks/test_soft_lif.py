"""SoftLIF against a ReLU of the same size, and neurons in spikes against a loop over time of plain torch."""

import pytest
import torch

import snntorch_binary as sb
from snntorch_binary.kernels import use_engine

from .measure import one_thread, report

__all__ = ["one_thread"]


@pytest.mark.parametrize("noise", [0.0, 10.0])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "forward_backward"])
def test_soft_lif(benchmark, noise, backward):
    x, grad = torch.randn(100, 12_544), torch.randn(100, 12_544)
    soft, naive = sb.nn.SoftLIF(noise=noise), sb.nn.SoftLIF(noise=noise)

    def through(function):
        def run():
            if not backward:
                return function(x)
            leaf = x.detach().requires_grad_()
            return torch.autograd.grad(function(leaf), leaf, grad)

        return run

    def in_torch(x):
        with use_engine("torch"):
            return naive(x)

    row = f"SoftLIF, 1.25 M neurons, noise {noise:g}, {'forward + backward' if backward else 'forward'}"
    sides = {"theirs": through(torch.relu), "twin": through(in_torch), "ours": through(soft)}
    report(benchmark, row, 0, "ReLU", **sides)


def test_neurons_in_spikes(benchmark):
    x = torch.randn(1, 10, 12_544)
    compiled, plain = (sb.nn.SpikingLIF(tau_syn=0.002, hold=50) for _ in range(2))

    def in_torch():
        with use_engine("torch"):
            plain(x)

    row = "SpikingLIF, 50 steps, 125,000 neurons"
    report(benchmark, row, 0, "plain torch", repeats=5, rounds=5, theirs=in_torch, ours=lambda: compiled(x))
