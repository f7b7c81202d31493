"""VOWEL: a local, online, variational rule for winner-take-all networks, without backpropagation."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.kernels.vowel import Averages, Eligibility, accumulate, baseline_of
from snntorch_binary.learning.circuits import hand_over, learning_signal, parameters_of
from snntorch_binary.nn.wta.circuits import CircuitStep, WTACircuits
from snntorch_binary.nn.wta.network import WTANetwork, WTAStep

_AVERAGES = ("reward_squares", "squares", "direction")


class VOWEL(nn.Module):
    r"""The gradient of a variational bound at every time step, from local quantities and one broadcast reward.

    Outputs are clamped to their targets, hidden circuits are sampled from the network itself. With the score
    :math:`D = s - p` of a circuit, traces x before a weight, and means ⟨·⟩ over the batch:

    .. math::
        e &\leftarrow \kappa e + (1 - \kappa)\, D x^T \\
        \ell_t &= \sum_{i \in out} \ln p(s_i) - \gamma \sum_{i \in hidden} \ln \frac{p(s_i)}{r(s_i)} \\
        \text{outputs:}\quad g &= \langle e \rangle, \qquad
        \text{hidden:}\quad g \leftarrow \kappa g + (1 - \kappa) \langle (\ell_t - B)\, e \rangle

    where r says silence with probability ``silence`` and each symbol with an equal share of the rest, and B is, for
    each parameter, the baseline of least variance, E[ℓ e²] / E[e²], from running means with decay β over time steps.
    :math:`-g` becomes the parameters' ``.grad``, so any torch optimizer makes the step: ``SGD`` for the published rule,
    :class:`snntorch_binary.optim.BayesBiSNN` where W has a Bernoulli posterior (the natural gradient). For binary W the
    gradient goes on to the latent through the weight rule's derivative.

    Two things differ from the published code. There a sample is part of its own baseline, which with one example and
    β = 0.05 takes away nearly all that it says; here B is the one of before the sequence, so it has no bias for any κ.
    And there e and g of hidden circuits are by mistake one tensor.

    Eligibility starts at zero in every batch of sequences; B and g go on. The state_dict holds their averages.

    Args:
        net: the network. It is not a part of this module's parameters or state.
        kappa: decay κ of eligibility and of hidden gradients per time step, in [0, 1).
        beta: decay β of the baseline's averages per time step, in [0, 1).
        gamma: weight γ of the regulariser, at least 0.
        silence: probability of silence in the reference r, in (0, 1).
        baseline: subtract B; without, the estimate is the same in the mean and varies more.

    Raises:
        ValueError: an argument is out of its range, or outputs of the network feed hidden circuits.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> from snntorch_binary.learning import VOWEL
        >>> net = sb.nn.WTANetwork(num_inputs=16, num_hidden=4, num_outputs=2, num_symbols=2)
        >>> rule, optimizer = VOWEL(net), torch.optim.SGD(net.parameters(), lr=0.1)
        >>> x, targets = torch.zeros(10, 8, 16, 2), torch.zeros(10, 8, 2, 2)
        >>> targets[:, :, 0, 0] = 1
        >>> for reward in rule.gradients(x, targets):
        ...     optimizer.step()

    References:
        Jang, Skatchkovsky, Simeone, *VOWEL*, arXiv 2004.09416.
    """

    def __init__(
        self,
        net: WTANetwork,
        kappa: float = 0.2,
        beta: float = 0.95,
        gamma: float = 1.0,
        silence: float = 0.8,
        baseline: bool = True,
    ) -> None:
        super().__init__()
        for name, value in (("kappa", kappa), ("beta", beta)):
            if not 0 <= value < 1:
                raise ValueError(expected(name, "a float in [0, 1)", value))
        if not 0 <= gamma < math.inf:
            raise ValueError(expected("gamma", "a float of at least 0", gamma))
        if not 0 < silence < 1:
            raise ValueError(expected("silence", "a probability between 0 and 1, both excluded", silence))
        if net.outputs_feed_hidden:
            what = "without connections from outputs to hidden circuits, which would see the target"
            raise ValueError(expected("mask", what, f"{net.outputs_feed_hidden} of them"))
        self.kappa, self.beta, self.gamma, self.silence, self.baseline = kappa, beta, gamma, silence, baseline
        self._net = (net,)  # in a tuple, so that it is no submodule
        hidden = {} if net.hidden is None else parameters_of(net.hidden)
        for name, parameter in hidden.items():
            for average in _AVERAGES:
                self.register_buffer(f"{name}_{average}", torch.zeros_like(parameter.detach().flatten()))
        self._eligibility: Eligibility | None = None

    @property
    def net(self) -> WTANetwork:
        """The network that learns."""
        return self._net[0]

    def reward(self, step: WTAStep) -> Tensor:
        """Return the learning signal ℓ_t of each example, [B]."""
        return learning_signal(step, self.gamma, self.silence)

    def gradients(self, x: Tensor, targets: Tensor, seed: int | None = None) -> Iterator[Tensor]:
        """Go through a batch of sequences and put the gradient of each time step into the parameters' ``.grad``.

        Step the optimizer at every turn. What was in ``.grad`` is overwritten.

        Args:
            x: input symbols [T, B, N_in, C].
            targets: output symbols [T, B, N_out, C].
            seed: as in :meth:`snntorch_binary.nn.WTANetwork.steps`.

        Yields:
            The learning signal ℓ_t of each example, [B].

        Raises:
            TypeError: x or the targets are no floating-point tensor.
            ValueError: a shape or a value is wrong, two symbols come at once, or there is no example.
        """
        steps = self.net.steps(x, targets, seed)
        if x.shape[1] == 0:
            raise ValueError(expected("x", "of at least one example", "none"))
        return self._gradients(steps, x.shape[1])

    def _gradients(self, steps: Iterator[WTAStep], batch_size: int) -> Iterator[Tensor]:
        group = self.net.hidden
        with torch.no_grad():  # never around the yield, which hands control to the caller
            outputs = _Visible(self.net.outputs, self.kappa)
            hidden = None if group is None else _Hidden(self, group, batch_size)
        while True:
            with torch.no_grad():
                step = next(steps, None)
                if step is None:
                    return
                reward = self.reward(step)
                outputs.learn(step.outputs)
                if hidden is not None and step.hidden is not None:
                    hidden.learn(step.hidden, reward)
            yield reward

    def averages(self, name: str) -> Averages:
        """Return what is kept of a hidden parameter, ``"weight"``, ``"bias"`` or ``"feedback"``."""
        kept = (getattr(self, f"{name}_{average}") for average in _AVERAGES)
        reward_squares, squares, direction = kept
        found = Averages(reward_squares, squares, torch.zeros_like(squares), direction)
        if self.baseline:
            found.baseline.copy_(baseline_of(found))
        return found

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        return f"kappa={self.kappa}, beta={self.beta}, gamma={self.gamma}, silence={self.silence}"


class _Visible:
    """Output circuits: their gradient is linear in the eligibility, so that the batch's mean is all there is."""

    def __init__(self, group: WTACircuits, kappa: float) -> None:
        self.group, self.kappa = group, kappa
        self.eligibility = {name: torch.zeros_like(value) for name, value in parameters_of(group).items()}

    def learn(self, step: CircuitStep) -> None:
        new = (1 - self.kappa) / len(step.symbols)
        score = step.score
        flat = score.flatten(1)
        e = self.eligibility
        torch.addmm(e["weight"], flat.T, step.traces, beta=self.kappa, alpha=new, out=e["weight"])
        e["bias"].mul_(self.kappa).add_(flat.sum(0), alpha=new)
        if step.own is not None:
            e["feedback"].mul_(self.kappa).add_(torch.einsum("bnc,bnck->nck", score, step.own), alpha=new)
        hand_over(self.group, e)


class _Hidden:
    """Hidden circuits: one eligibility an example, as each has its own reward."""

    def __init__(self, rule: VOWEL, group: WTACircuits, batch_size: int) -> None:
        self.rule, self.group = rule, group
        self.averages = {name: rule.averages(name) for name in parameters_of(group)}
        weight = parameters_of(group)["weight"]
        rows, columns = weight.shape
        self.weight = Eligibility(rows, batch_size, columns, weight, rule._eligibility)
        rule._eligibility = self.weight
        self.small = {
            name: value.new_zeros(batch_size, value.numel())
            for name, value in parameters_of(group).items()
            if name != "weight"
        }

    def learn(self, step: CircuitStep, reward: Tensor) -> None:
        kappa, beta = self.rule.kappa, self.rule.beta
        score = step.score
        gradients = {"bias": score}
        if step.own is not None:
            gradients["feedback"] = score.unsqueeze(-1) * step.own
        for name, gradient in gradients.items():
            self.small[name].mul_(kappa).add_(gradient.flatten(1), alpha=1 - kappa)
            accumulate(self.small[name], reward, self.averages[name], kappa, beta)
        self.weight.step(score.flatten(1), step.traces, reward, self.averages["weight"], kappa, beta)
        hand_over(self.group, {name: averages.direction for name, averages in self.averages.items()})
