"""Bias and standard deviation of every gradient estimator on the oracle's network of 10 binary weights.

``python tests/estimator_table.py`` prints them; :func:`estimator_table` returns them.
"""

import itertools

import torch
from oracle import TinyNet, latents, outputs, probabilities, settings

import snntorch_binary as sb


def loss_of(output, target):
    """A non-linear loss of spikes [..., T, B, C] with targets [B, C], one number per network."""
    return (output.mean(-3) - target).square().sum((-2, -1))


class Problem:
    """A spiking network with a loss, whose expected loss E_q[L] and its gradient are known exactly."""

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        self.net = TinyNet(sb.Bernoulli(estimator="disarm"))
        self.x = torch.randn(3, 2, dtype=torch.float64)
        self.target = torch.rand(3, 3, dtype=torch.float64)
        self.natural = latents(self.net)
        self.losses = self.loss(settings(10))
        natural = self.natural.clone().requires_grad_()
        (self.gradient,) = torch.autograd.grad((probabilities(settings(10), natural) * self.losses).sum(), natural)

    def loss(self, weights):
        """The loss of each network, [K], from its weights [K, 10]."""
        return loss_of(outputs(self.net, weights, self.x), self.target)

    def loss_at(self, weights):
        """The same for ±1 weights, looked up."""
        powers = 2 ** torch.arange(9, -1, -1)
        return self.losses[((weights > 0) * powers).sum(-1)]


def of_weights(problem, rule, kind, uniform):
    """The gradient by dL/dw · dw/dw_r at each noise, [K, 10]."""
    weights, slopes = rule.weight_and_derivative(problem.natural.expand_as(uniform), kind, uniform)
    weights.requires_grad_()
    (gradient,) = torch.autograd.grad(problem.loss(weights).sum(), weights)
    return gradient * slopes


def hard_moments(problem):
    """Exact mean and variance of the hard estimator, over all 2^10 draws."""
    weights = settings(10)
    samples = of_weights(problem, sb.Bernoulli(estimator="hard"), "binary", (weights + 1) / 2)
    return moments(samples, probabilities(weights, problem.natural))


def disarm_moments(problem):
    """Exact mean and variance of DisARM, over all 3^10 pairs: each weight is (-, +), twice its mode, or (+, -)."""
    kinds = torch.tensor(list(itertools.product([0, 1, 2], repeat=10)))
    mode, size = problem.natural.sign(), problem.natural.abs()
    first, second = (torch.where(kinds == 1, mode, side * (kinds - 1.0)) for side in (1.0, -1.0))
    differ = torch.sigmoid(-2 * size)
    each = torch.where(kinds == 1, 1 - 2 * differ, differ)
    difference = problem.loss_at(first) - problem.loss_at(second)
    return moments(difference[:, None] * (first - second) / 2 * torch.sigmoid(2 * size), each.prod(-1))


def gumbel_moments(problem, tau, draws):
    """Mean and variance of the relaxed estimator, over many draws."""
    uniform = torch.rand(draws, 10, dtype=torch.float64)
    samples = of_weights(problem, sb.Bernoulli(tau=tau, estimator="gumbel"), "relaxed", uniform)
    return moments(samples, torch.full((draws,), 1 / draws, dtype=torch.float64))


def moments(samples, probability):
    mean = probability @ samples
    return mean, probability @ (samples - mean).square()


def estimator_table(temperatures=(2.0, 1.0, 0.5, 0.2, 0.1), draws=200_000, seed=0):
    """Rows of estimator, tau, bias (of the weight where it is greatest), its standard error, and standard deviation.

    The standard deviation is the root mean square over the weights. Each row has the greatest exact gradient too, as
    what to compare with. All is exact, the standard error zero, but for gumbel.
    """
    problem = Problem(seed)
    measured = [("hard", None, hard_moments(problem)), ("disarm", None, disarm_moments(problem))]
    measured += [("gumbel", tau, gumbel_moments(problem, tau, draws)) for tau in temperatures]
    rows = []
    for estimator, tau, (mean, variance) in measured:
        bias, weight = (mean - problem.gradient).abs().max(0)
        rows.append(
            {
                "estimator": estimator,
                "tau": tau,
                "bias": float(bias),
                "standard_error": float((variance[weight] / draws).sqrt()) if estimator == "gumbel" else 0.0,
                "standard_deviation": float(variance.mean().sqrt()),
                "gradient": float(problem.gradient.abs().max()),
            }
        )
    return rows


if __name__ == "__main__":
    for row in estimator_table():
        numbers = "  ".join(f"{row[name]:.4f}" for name in ("bias", "standard_error", "standard_deviation"))
        print(f"{row['estimator']:8} {row['tau'] or '':4} {numbers}")
