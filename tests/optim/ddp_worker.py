"""What each process of the distributed test runs; importable, for `spawn` sends its name only."""

import os

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import snntorch_binary as sb

STEPS = 3


def make_net(shared_noise):
    torch.manual_seed(11)
    rule = sb.Bernoulli(init_scale=0.5, shared_noise=shared_noise)
    return nn.Sequential(
        sb.nn.BinaryLinear(6, 12, weight=rule, scale="channel"),
        nn.Tanh(),
        sb.nn.BinaryLinear(12, 3, weight=rule),
    )


def batches():
    generator = torch.Generator().manual_seed(12)
    return torch.randn(STEPS, 8, 6, generator=generator)


def train(net, model, xs):
    """Train and return the weights drawn at each step and the final parameters."""
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=0.01, base_lr=0.01, betas=None)
    draws = []
    for x in xs:
        model(x).square().mean().backward()
        draws.append(net[0].in_force().detach().clone())
        optimizer.step()
        optimizer.zero_grad()
    return {"draws": torch.stack(draws), "parameters": [p.detach().clone() for p in net.parameters()]}


def run(rank, world_size, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=world_size)
    results = {}
    for shared_noise in (True, False):
        net = make_net(shared_noise)
        model = DistributedDataParallel(net)
        results[shared_noise] = train(net, model, batches().chunk(world_size, dim=1)[rank])
    torch.save(results, f"{folder}/rank{rank}.pt")
    os._exit(0)  # the end of a group can wait for a thread that waits for Python (torch 2.13)
