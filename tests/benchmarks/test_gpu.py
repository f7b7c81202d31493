"""The Triton engine against plain torch, on a GPU; skipped where there is none."""

import importlib.util
import time
from itertools import pairwise

import pytest
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.kernels import use_engine
from snntorch_binary.kernels.noise import uniform
from snntorch_binary.kernels.product import matrix_product

from .measure import BATCH, STEPS, one_thread, report, spikes

__all__ = ["one_thread"]
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed"),
]


def compare(benchmark, row, call):
    """Report a call by either engine, from its start to the end of what it has put on the device."""

    def by(engine):
        def run():
            with use_engine(engine):
                call()
            torch.cuda.synchronize()

        return run

    row = f"{torch.cuda.get_device_name()}: {row}"
    report(benchmark, row, None, "plain torch", clock=time.perf_counter, theirs=by("torch"), ours=by("triton"))


@pytest.mark.parametrize("neurons", [256, 4096])
@pytest.mark.parametrize("kind", ["leaky", "synaptic", "srm"])
def test_scan(benchmark, kind, neurons):
    neuron = {"leaky": sb.nn.Leaky(0.9), "synaptic": sb.nn.Synaptic(0.8, 0.9), "srm": sb.nn.SRM()}[kind].cuda()
    x = torch.randn(STEPS, BATCH, neurons, device="cuda", requires_grad=True)
    grad = torch.randn_like(x)
    row = f"{kind}, both passes, T={STEPS}, B={BATCH}, {neurons} neurons"
    compare(benchmark, row, lambda: torch.autograd.grad(neuron(x), x, grad))


@pytest.mark.parametrize("estimator", ["hard", "gumbel"])
@pytest.mark.parametrize("betas", [None, (0.9, 0.999)], ids=["plain", "betas"])
def test_update_and_draw(benchmark, estimator, betas):
    layer = sb.nn.BinaryLinear(4000, 2500, False, weight=sb.Bernoulli(estimator=estimator)).cuda()
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), 0.1, 5e-4, betas=betas)
    layer.latent.grad = 1e-4 * torch.randn_like(layer.latent)

    def update():
        optimizer.step()
        layer.refresh()

    compare(benchmark, f"update + draw, 10 M weights, {estimator}, {'betas' if betas else 'plain'}", update)


def test_noise(benchmark):
    shape, device = torch.Size([10_000_000]), torch.device("cuda")
    compare(benchmark, "noise, 10 M numbers", lambda: uniform(shape, 5, device))


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(6400, 784, 256), (6400, 2312, 512), (6400, 4096, 4096)])
def test_product(benchmark, rows, inputs, outputs):
    x = spikes(rows, inputs).cuda()
    weight = torch.randn(outputs, inputs, device="cuda").sign()
    compare(benchmark, f"product, {rows} x {inputs} x {outputs}", lambda: matrix_product(x, weight))


@pytest.mark.parametrize("sizes", [(784, 256, 256, 10), (2312, 512, 10)], ids=str)
def test_training_step(benchmark, sizes):
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [sb.nn.BinaryLinear(inputs, outputs, weight=sb.Bernoulli()), sb.nn.Leaky(0.9)]
    net = nn.Sequential(*layers).cuda()
    optimizer = sb.optim.BayesBiSNN(net.parameters(), 1e-6, 0.0, base_lr=0.0, betas=None)
    x, targets = spikes(STEPS, BATCH, sizes[0]).cuda(), torch.randint(10, (BATCH,), device="cuda")

    def step():
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x).mean(0), targets).backward()
        optimizer.step()

    compare(benchmark, f"training step {'-'.join(map(str, sizes))}, T={STEPS}, B={BATCH}", step)
