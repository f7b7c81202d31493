"""The exact answer for a tiny network: all 2^n settings of its binary weights, enumerated.

The network is written out twice: as modules, and as plain sums over all settings at once.
"""

import itertools

import torch
from torch import nn

import snntorch_binary as sb

STEPS, DECAY, THRESHOLD = 3, 0.7, 0.5


def spike(membrane):
    """A soft spike: its exact derivative exists, so that enumeration can check gradients."""
    return torch.sigmoid(4 * (membrane - THRESHOLD))


class TinyNet(nn.Module):
    """2-2-3 with 10 binary weights; leaky neurons with reset by subtraction, [B, 2] to [T, B, 3]."""

    def __init__(self, rule):
        super().__init__()
        self.fc1 = sb.nn.BinaryLinear(2, 2, weight=rule)
        self.fc2 = sb.nn.BinaryLinear(2, 3, weight=rule)
        self.double()
        with torch.no_grad():
            for layer in (self.fc1, self.fc2):
                layer.latent.copy_(torch.randn(layer.latent.shape, dtype=torch.float64) * 0.8)
                layer.bias.copy_(torch.randn(layer.bias.shape, dtype=torch.float64) * 0.3)
        sb.resample_(self)

    def forward(self, x):
        mem1, mem2, out = 0.0, 0.0, []
        for _ in range(STEPS):
            mem1 = DECAY * mem1 + self.fc1(x)
            spikes1 = spike(mem1)
            mem1 = mem1 - spikes1 * THRESHOLD
            mem2 = DECAY * mem2 + self.fc2(spikes1)
            spikes2 = spike(mem2)
            mem2 = mem2 - spikes2 * THRESHOLD
            out.append(spikes2)
        return torch.stack(out)


def settings(count):
    """All ±1 vectors, [2^n, n]."""
    return torch.tensor(list(itertools.product([-1.0, 1.0], repeat=count)), dtype=torch.float64)


def probabilities(weights, natural):
    """P(w) = Π σ(2 w_j w_rj) of each setting, [2^n]."""
    return torch.sigmoid(2 * weights * natural).prod(-1)


def latents(net):
    return torch.cat([net.fc1.latent.flatten(), net.fc2.latent.flatten()]).detach()


def latent_gradients(layers):
    """The gradients of the layers' latents in one vector; they are cleared."""
    gradient = torch.cat([layer.latent.grad.flatten() for layer in layers])
    for layer in layers:
        layer.latent.grad = None
    return gradient


def outputs(net, weights, x):
    """What every network computes, [2^n, T, B, 3], from weights [2^n, 10]."""
    bias1, bias2 = net.fc1.bias.detach(), net.fc2.bias.detach()
    w1 = weights[:, :4].reshape(-1, 2, 2) / 2**0.5
    w2 = weights[:, 4:].reshape(-1, 3, 2) / 2**0.5
    current1 = torch.einsum("noi,bi->nbo", w1, x) + bias1
    mem1 = torch.zeros_like(current1)
    mem2 = torch.zeros(len(weights), len(x), 3, dtype=x.dtype)
    out = []
    for _ in range(STEPS):
        mem1 = DECAY * mem1 + current1
        spikes1 = spike(mem1)
        mem1 = mem1 - spikes1 * THRESHOLD
        mem2 = DECAY * mem2 + torch.einsum("noi,nbi->nbo", w2, spikes1) + bias2
        spikes2 = spike(mem2)
        mem2 = mem2 - spikes2 * THRESHOLD
        out.append(spikes2)
    return torch.stack(out, 1)


def assert_mean_is(samples, exact, sigmas=4.5):
    """The mean of samples [K, ...] agrees with the exact value within its Monte-Carlo standard error."""
    error = samples.std(0) / len(samples) ** 0.5
    distance = (samples.mean(0) - exact).abs()
    assert (distance <= sigmas * error + 1e-12).all(), (distance / error).max()
    # The test has power: the error is small against what is measured.
    assert error.mean() < 0.1 * exact.abs().mean() + 1e-12
