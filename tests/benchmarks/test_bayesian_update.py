"""The Bayesian update and the draw after it, alone and in the online rule, against their plain published form."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import snntorch_binary as sb
from snntorch_binary.learning import LocalNetwork, online_gradients

from .measure import one_thread, report, spikes

__all__ = ["one_thread"]

LR, RHO = 0.1, 5e-4


def relaxed(latent):
    uniform = torch.rand_like(latent)
    return torch.tanh(latent + 0.5 * torch.log(uniform / (1 - uniform)))


def updated(latent, weight, grad):
    """The published update, out of place."""
    factor = (1 - weight * weight + 1e-10) / (1 - torch.tanh(latent) ** 2 + 1e-10)
    return (1 - LR * RHO) * latent - LR * grad * factor


@pytest.mark.parametrize("estimator", ["hard", "gumbel"])
@pytest.mark.parametrize("betas", [None, (0.9, 0.999)], ids=["plain", "betas"])
def test_update_and_draw(benchmark, estimator, betas):
    layers = nn.ModuleList([sb.nn.BinaryLinear(4000, 2500, False, weight=sb.Bernoulli(estimator=estimator))])
    optimizer = sb.optim.BayesBiSNN(layers.parameters(), LR, RHO, betas=betas)
    for layer in layers:
        layer.latent.grad = 1e-4 * torch.randn_like(layer.latent)
    latents = [layer.latent.detach().clone() for layer in layers]
    grads = [layer.latent.grad for layer in layers]
    weights = [relaxed(latent) for latent in latents]

    def plain():
        for i in range(len(latents)):
            latents[i] = updated(latents[i], weights[i], grads[i])
            weights[i] = relaxed(latents[i])

    copies = [torch.empty_like(latent) for latent in latents]

    def bandwidth():
        for latent, grad, weight, copy in zip(latents, grads, weights, copies, strict=True):
            torch.add(latent, grad, out=copy)
            weight.add_(1e-9)

    def ours():
        for layer in layers:
            layer.refresh()  # as a forward pass does, which looks whether somebody else has written to a latent
        optimizer.step()

    row = f"update + draw, 10 M weights, {estimator}, {'betas' if betas else 'plain'}"
    sides = {"theirs": plain, "ours": ours, "read_3_write_2": bandwidth}
    report(benchmark, row, 18, "plain eager", repeats=5, rounds=5, **sides)


class Published(nn.Module):
    """The published pattern: a second network holds the draw, which is made anew at every time step; autograd."""

    def __init__(self, sizes):
        super().__init__()
        pairs = list(pairwise(sizes))
        self.latent = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairs)
        self.binary = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairs)
        with torch.no_grad():
            for layer in self.latent:
                layer.weight.copy_(10.0 * torch.randn_like(layer.weight).sign())
        self.readouts = [torch.randn(1, b).sign() for _, b in pairs]
        self.decays = [float(torch.exp(torch.tensor(-1 / tau))) for tau in (10.0, 6.0, 2.0)]

    def learn(self, x, targets, burn_in=10):
        alpha, beta, gamma = self.decays
        states = [None] * len(self.latent)
        for t, s in enumerate(x):
            self.binary.load_state_dict(
                {f"{i}.weight": relaxed(layer.weight.data) for i, layer in enumerate(self.latent)}
            )
            loss = 0.0
            for i, layer in enumerate(self.binary):
                if states[i] is None:
                    zeros = torch.zeros(len(s), layer.out_features)
                    states[i] = (torch.zeros_like(s), torch.zeros_like(s), zeros, zeros)
                p, q, r, before = states[i]
                p, q, r = alpha * p + q, beta * q + s, gamma * r + before
                u = layer(p) / layer.in_features**0.5 - r
                s = Boxcar.apply(u)
                states[i] = (p.detach(), q.detach(), r.detach(), s.detach())
                loss = loss + F.binary_cross_entropy_with_logits((s @ self.readouts[i].T).squeeze(1) / 16, targets)
                s = s.detach()
            if t < burn_in:
                continue
            self.binary.zero_grad()
            loss.backward()
            with torch.no_grad():
                for latent, binary in zip(self.latent, self.binary, strict=True):
                    latent.weight.copy_(updated(latent.weight, binary.weight, binary.weight.grad))


class Boxcar(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u):
        ctx.save_for_backward(u)
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx, grad):
        (u,) = ctx.saved_tensors
        return grad * ((u > -0.5) & (u <= 0.5)).to(u.dtype)


def test_online_rule(benchmark):
    sizes = (20, 256, 256)
    rule = sb.Bernoulli(estimator="gumbel", init_scale=10.0)
    blocks = [
        nn.Sequential(sb.nn.SynapticTrace(), sb.nn.BinaryLinear(a, b, bias=False, weight=rule), sb.nn.Refractory())
        for a, b in pairwise(sizes)
    ]
    net = LocalNetwork(blocks, 1, (20,), burn_in=10)
    optimizer = sb.optim.BayesBiSNN(net.parameters(), LR, RHO, paper_exact=True)
    published = Published(sizes)
    x, targets = spikes(100, 40, 20, density=0.2), torch.randint(2, (40,)).float()

    def ours():
        for _ in online_gradients(net, x, targets, "binary-cross-entropy"):
            optimizer.step()
            optimizer.zero_grad()

    row = "two-moons online Bayes, a batch of 100 steps"
    sides = {"theirs": lambda: published.learn(x, targets), "ours": ours}
    report(benchmark, row, 6, "published pattern", repeats=5, rounds=5, **sides)
