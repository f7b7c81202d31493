"""VOWEL's time step over a batch against one example at a time with dense five-dimensional weights."""

import pytest
import torch

from snntorch_binary.learning import VOWEL
from snntorch_binary.nn import RaisedCosine, WTANetwork

from .measure import one_thread, report

__all__ = ["one_thread"]

KAPPA, BETA, GAMMA, SILENCE, LR = 0.2, 0.95, 1.0, 0.8, 1e-6


WIDTH = 26


def symbols(num_steps, batch_size, window):
    """Symbols [T, B, pixels, 2] at one pixel in twenty, of each example within a window of so many pixels a side."""
    density = 0.05 * (WIDTH / window) ** 2
    active = torch.zeros(num_steps, batch_size, WIDTH, WIDTH, dtype=torch.bool)
    for b in range(batch_size):
        y, x = torch.randint(WIDTH - window + 1, (2,)).tolist()
        active[:, b, y : y + window, x : x + window] = torch.rand(num_steps, window, window) < density
    sign = torch.nn.functional.one_hot(torch.randint(2, active.shape), 2).float()
    return (active.unsqueeze(-1) * sign).flatten(2, 3)


class OneAtATime:
    """The published cost: weights [N, C, N_all, C, K] however few are connected, outer products by repeat."""

    def __init__(self, num_inputs, num_hidden, num_outputs, num_symbols, basis):
        self.num_hidden = num_hidden
        self.num_learning, self.num_all = num_hidden + num_outputs, num_inputs + num_hidden + num_outputs
        self.coefficients = basis.coefficients().float()
        shape = (self.num_learning, num_symbols, self.num_all, num_symbols, basis.num)
        self.weight = 0.05 * (2 * torch.rand(shape) - 1)
        self.mask = torch.ones(shape)
        for i in range(self.num_learning):
            self.mask[i, :, num_inputs + i] = 0
        self.mask[:num_hidden, :, num_inputs + num_hidden :] = 0
        self.bias = torch.zeros(self.num_learning, num_symbols)
        self.eligibility, self.direction = torch.zeros(shape), torch.zeros(shape)
        self.numerator, self.denominator = torch.zeros(shape), torch.zeros(shape)

    def learn(self, x, targets):
        """One example: x [T, N_in, C], targets [T, N_out, C]."""
        num_steps, _, num_symbols = x.shape
        num_basis, window = self.coefficients.shape
        history = torch.zeros(self.num_all, num_symbols, window)
        for t in range(num_steps):
            traces = history @ self.coefficients.T  # [N_all, C, K]
            repeated = traces.repeat(self.num_learning, num_symbols, 1, 1, 1)
            u = (self.weight * self.mask * repeated).sum((-1, -2, -3)) + self.bias
            shifted = torch.cat([torch.zeros_like(u[:, :1]), u], 1)
            probs = torch.softmax(shifted, 1)
            drawn = torch.nn.functional.one_hot(torch.multinomial(probs, 1)[:, 0], num_symbols + 1)[:, 1:].float()
            drawn[self.num_hidden :] = targets[t]
            silent = 1 - drawn.sum(1)
            likelihood = (drawn * torch.log(1e-7 + probs[:, 1:])).sum(1) + silent * torch.log(1e-7 + probs[:, 0])
            reference = drawn.sum(1) * torch.log(torch.tensor((1 - SILENCE) / num_symbols))
            reference += silent * torch.log(torch.tensor(SILENCE))
            h = self.num_hidden
            reward = likelihood[h:].sum() - GAMMA * (likelihood[:h] - reference[:h]).sum()
            score = drawn - probs[:, 1:]
            gradient = score[:, :, None, None, None].repeat(1, 1, self.num_all, num_symbols, num_basis) * repeated
            gradient = gradient * self.mask
            self.eligibility.mul_(KAPPA).add_(gradient, alpha=1 - KAPPA)
            hidden = self.eligibility[:h]
            self.numerator[:h].mul_(BETA).add_((1 - BETA) * reward * hidden.pow(2))
            self.denominator[:h].mul_(BETA).add_((1 - BETA) * hidden.pow(2))
            baseline = self.numerator[:h] / (self.denominator[:h] + 1e-7)
            self.direction[:h].mul_(KAPPA).add_((1 - KAPPA) * (reward - baseline) * hidden)
            self.weight[:h] += LR * self.direction[:h]
            self.weight[h:] += LR * self.eligibility[h:]
            self.bias += LR * score
            history = torch.cat([torch.cat([x[t], drawn]).unsqueeze(-1), history[..., :-1]], -1)


@pytest.mark.parametrize(("window", "least"), [(14, 20), (WIDTH, None)], ids=["one object", "everywhere"])
def test_time_step(benchmark, window, least):
    """The size of MNIST-DVS, 128 hidden circuits, 2 symbols; events that lie together, as a digit's do, or do not."""
    num_inputs, num_hidden, num_outputs, num_steps, batch_size = WIDTH**2, 128, 10, 20, 32
    basis = RaisedCosine(8, 10)
    net = WTANetwork(num_inputs, num_hidden, num_outputs, 2, basis=basis)
    rule, optimizer = VOWEL(net, KAPPA, BETA, GAMMA, SILENCE), torch.optim.SGD(net.parameters(), LR)
    plain = OneAtATime(num_inputs, num_hidden, num_outputs, 2, basis)
    x = symbols(num_steps, batch_size, window)
    targets = torch.zeros(num_steps, batch_size, num_outputs, 2)
    targets[:, :, 0, 0] = 1

    def ours():
        for _ in rule.gradients(x, targets):
            optimizer.step()

    def theirs():
        with torch.no_grad():
            plain.learn(x[:, 0], targets[:, 0])  # one example of the batch

    row, sides = f"VOWEL, 676-128-10, C = 2, {window}x{window}", {"ours": ours, "theirs": theirs}
    times = report(benchmark, row, None, "one at a time", repeats=3, rounds=1, **sides)
    ratio = times["theirs"] * batch_size / times["ours"]
    benchmark.extra_info["per_example_step"] = ratio
    print(f"\n  per example and time step: {times['ours'] / batch_size / num_steps * 1e3:.2f} ms against "
          f"{times['theirs'] / num_steps * 1e3:.2f} ms, {ratio:.1f}x (least {least})")  # fmt: skip
