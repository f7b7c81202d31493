"""Compiles every Triton kernel for a GPU that need not be there; prints a line for each: name and instructions."""

import re

import torch

import snntorch_binary as sb
from snntorch_binary import nn
from snntorch_binary.kernels import engine, use_engine

COMPUTES = re.compile(r"^\s*(?:@\S+ )?((?:fma|mad|mul|add|sub|div|sqrt|rcp|ex2|lg2|mma|wgmma)\.\S*f32\S*)", re.M)

instructions = {}


class Hopper:
    """What Triton asks about a device before it compiles."""

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


def compile_only(kernel, grid, arrays, *scalars, **constants):
    """Compile what would be launched, for tensors on the CPU; nothing is computed."""
    tensors = [torch.as_tensor(array) if array.shape[0] else None for array in arrays]
    compiled = kernel.warmup(*tensors, *scalars, grid=grid, enable_fp_fusion=False, **constants)
    assert compiled.asm["cubin"]
    instructions.setdefault(kernel.__name__, set()).update(COMPUTES.findall(compiled.asm["ptx"]))


def scan(net, *shape):
    """Both passes of a neuron, with gradients of spikes and potentials."""
    sum(output.sum() for output in net(torch.zeros(shape, requires_grad=True))).backward()


def update(rule, shape=(40, 30), prior=0.0, **arguments):
    """A draw, a product, and an update with the draw after it."""
    layer = nn.BinaryLinear(*shape, weight=rule)
    layer.prior_latent = torch.full_like(layer.latent, prior) if prior else layer.prior_latent
    layer(torch.zeros(300, shape[0]))  # rows enough for the product over all time steps
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), 0.1, **arguments)
    layer.refresh()
    layer.latent.grad = torch.zeros_like(layer.latent)
    optimizer.step()


def call_every_kernel():
    """Use every kernel in every form."""
    for reset in ("subtract", "zero", "none"):
        scan(nn.Leaky(0.9, learn_beta=True, learn_threshold=True, reset_mechanism=reset, output=True), 9, 3, 32)
    for surrogate in (nn.surrogate.Boxcar(), nn.surrogate.FastSigmoid(), nn.surrogate.Triangular()):
        scan(nn.Leaky(0.9, spike_grad=surrogate, output=True), 1, 1, 1)
    scan(nn.Synaptic(0.8, 0.9, learn_alpha=True, output=True), 9, 3, 7)
    scan(nn.SRM(output=True), 9, 3, 7)
    scan(nn.SRM(detach=True, output=True), 1, 1, 1)
    scan(torch.nn.Sequential(nn.SynapticTrace(), nn.Refractory(output=True)), 9, 3, 7)
    sb.kernels.noise.uniform(torch.Size([5]), 1, torch.device("cpu"))
    update(sb.Bernoulli(), rho=0.1, clip=1.0)
    update(sb.Bernoulli(), rho=0.0, momentum=0.9, shape=(1, 1))
    update(sb.Bernoulli(estimator="gumbel"), rho=0.1, betas=(0.9, 0.999), prior=0.5)
    update(sb.Bernoulli(estimator="gumbel"), rho=0.1, paper_exact=True)


def main():
    from triton.runtime import driver

    from snntorch_binary.kernels.triton import launch, product

    driver.set_active(Hopper())
    engine._device_of_triton = lambda: "cpu"
    launch.launch_on_grid = product.launch_on_grid = compile_only
    with use_engine("triton"):
        call_every_kernel()
    for name, used in instructions.items():
        print(name, *sorted(used))


if __name__ == "__main__":
    main()
