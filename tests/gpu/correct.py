"""Each kernel, and the path without kernels, on a device against plain torch on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

import snntorch_binary as sb
from snntorch_binary.kernels import use_engine
from snntorch_binary.kernels.noise import uniform
from snntorch_binary.kernels.product import matrix_product
from snntorch_binary.nn import surrogate


class Check(NamedTuple):
    """What is computed, and how far it may be from plain torch on the CPU.

    Attributes:
        name: what it is called.
        run: returns, on a device, what has to be equal and what may differ by a rounding.
        relative: of the largest value, how far the latter may be apart.
    """

    name: str
    run: Callable[[torch.device], tuple[list[Tensor], list[Tensor]]]
    relative: float = 1e-6


def neuron_check(name: str, make: Callable[[], nn.Module], scale: float = 1.0) -> Check:
    """Return the check of a neuron: spikes equal, potentials and gradients to a rounding."""

    def run(device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
        generator = torch.Generator().manual_seed(1)
        x = (scale * torch.randn(20, 4, 130, generator=generator)).to(device).requires_grad_()
        weights = [torch.randn(20, 4, 130, generator=generator).to(device) for _ in range(2)]
        neuron = make().to(device)
        outputs = neuron(x)
        spikes, potentials = outputs[0], outputs[-1]
        loss = (spikes * weights[0]).sum() + (potentials * weights[1]).sum()
        gradients = torch.autograd.grad(loss, [x, *neuron.parameters()])
        return [spikes], [potentials, *gradients]

    return Check(name, run, 1e-5)


def noise(device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
    """Return numbers of several lengths."""
    return [uniform(torch.Size([size]), 2**62 + 5, device) for size in (1, 63, 1025, 300_001)], []


def product(device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
    """Return sums of spikes, which are whole numbers, and a product of real numbers."""
    generator = torch.Generator().manual_seed(2)
    x = (torch.rand(70, 3, 501, generator=generator) < 0.3).float()
    weight = torch.where(torch.rand(130, 501, generator=generator) < 0.5, -1.0, 1.0)
    real = torch.randn(70, 501, generator=generator)
    return [matrix_product(x.to(device), weight.to(device))], [matrix_product(real.to(device), weight.to(device))]


def layer_of(rule: sb.Bernoulli, device: torch.device) -> sb.nn.BinaryLinear:
    """Return a layer with latents of many sizes, and a new draw."""
    torch.manual_seed(3)
    layer = sb.nn.BinaryLinear(41, 35, weight=rule)
    with torch.no_grad():
        layer.latent.mul_(torch.linspace(0.01, 2.0, 41))
    layer.to(device)
    sb.resample_(layer)
    return layer


def draw_check(rule: sb.Bernoulli) -> Check:
    """Return the check of what is drawn; hard weights are equal."""

    def run(device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
        drawn = layer_of(rule, device).in_force().detach()
        return ([drawn.sign()], []) if rule.estimator == "hard" else ([], [drawn])

    return Check(f"draw, {rule!r}", run, 1e-5)


def update_check(name: str, rho: float, **step: object) -> Check:
    """Return the check of four steps of the natural gradient."""

    def run(device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
        layer = layer_of(sb.Bernoulli(), device)
        optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=0.1, rho=rho, **step)  # type: ignore[arg-type]  # by name
        generator = torch.Generator().manual_seed(5)
        for _ in range(4):
            layer.latent.grad = (0.01 * torch.randn(layer.latent.shape, generator=generator)).to(device)
            optimizer.step()
        return [], [layer.latent.detach()]

    return Check(f"update, {name}", run, 1e-5)


def training(device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
    """Return gradients of a small convolutional network with binary weights."""
    torch.manual_seed(4)
    net = nn.Sequential(
        sb.nn.BinaryConv2d(2, 6, 3, padding=1), sb.nn.Leaky(0.9), nn.Flatten(2), sb.nn.BinaryLinear(6 * 64, 10)
    ).to(device)
    x = (torch.rand(5, 3, 2, 8, 8, generator=torch.Generator().manual_seed(6)) < 0.3).float().to(device)
    output = net(x)
    output.square().mean().backward()
    return [net[:2](x)], [output, *(parameter.grad for parameter in net.parameters() if parameter.grad is not None)]


CHECKS = (
    *(
        neuron_check(
            f"Leaky, reset {reset}", lambda reset=reset: sb.nn.Leaky(0.9, 0.7, reset_mechanism=reset, output=True)
        )
        for reset in ("subtract", "zero", "none")
    ),
    neuron_check("Leaky, learns", lambda: sb.nn.Leaky(0.9, learn_beta=True, learn_threshold=True, output=True)),
    *(
        neuron_check(
            f"Leaky, {gradient!r}", lambda gradient=gradient: sb.nn.Leaky(0.9, spike_grad=gradient, output=True)
        )
        for gradient in (surrogate.Boxcar(), surrogate.FastSigmoid(25.0), surrogate.Triangular(1.7, 0.8))
    ),
    neuron_check("SoftReset", lambda: sb.nn.SoftReset(0.8, 0.7, output=True), 2.0),
    neuron_check("Synaptic", lambda: sb.nn.Synaptic(0.8, 0.9, 0.7, output=True)),
    neuron_check("SRM", lambda: sb.nn.SRM(4.0, 2.0, 3.0, threshold=0.5, output=True)),
    neuron_check(
        "traces and refractory neurons",
        lambda: nn.Sequential(sb.nn.SynapticTrace(4.0, 2.0), sb.nn.Refractory(3.0, 0.3, output=True)),
    ),
    Check("noise", noise),
    Check("product", product, 1e-5),
    *(draw_check(rule) for rule in (sb.Bernoulli(), sb.Bernoulli(estimator="gumbel", tau=0.3))),
    update_check("Adam-normalised", 0.0, betas=(0.9, 0.999)),
    update_check("plain, with a prior", 0.05, betas=None),
    update_check("momentum", 0.0, betas=None, momentum=0.9),
    Check("training of a convolutional network", training, 1e-5),
)


def compare(check: Check, engine: str, device: torch.device) -> str:
    """Return what a check found: nothing where all is right."""
    with use_engine("torch"):
        equal, close = check.run(torch.device("cpu"))
    with use_engine(engine):  # type: ignore[arg-type]  # one of its names
        found_equal, found_close = check.run(device)
    for one, other in zip(equal, found_equal, strict=True):
        differ = int((one != other.cpu()).sum())
        if differ:
            return f"{differ} of {one.numel()} values differ"
    for one, other in zip(close, found_close, strict=True):
        apart = float((one.detach() - other.detach().cpu()).abs().max() / one.detach().abs().max().clamp_min(1e-12))
        if not apart <= check.relative:
            return f"apart by {apart:.1e} of the largest value, {check.relative:.0e} allowed"
    return ""


def failures(engines: list[str], device: torch.device) -> Iterator[tuple[str, str, str]]:
    """Carry out all checks; yield engine, name and what is wrong, or nothing, of each."""
    for engine in engines:
        for check in CHECKS:
            try:
                wrong = compare(check, engine, device)
            except Exception as error:  # of a compiler, of a driver: one is said, the others go on
                wrong = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            yield engine, check.name, wrong
