"""The online rule of probabilistic spiking networks (GLMs), for one stream that never ends."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.learning.circuits import hand_over, learning_signal, parameters_of
from snntorch_binary.nn.wta.circuits import CircuitStep
from snntorch_binary.nn.wta.network import WTANetwork, WTAStep


class OnlineGLM(nn.Module):
    r"""One update every few time steps, from eligibility and a scalar learning signal that both run on for ever.

    With :math:`g_s` the gradient of :math:`\ln p(s_i)` for a circuit's parameters at time step s, and :math:`q_s` the
    learning signal of VOWEL, a local step t of ``window`` time steps makes

    .. math::
        e_t &= \kappa e_{t-1} + (1 - \kappa) \sum_{s} g_s, \qquad
        \ell_t = \kappa \ell_{t-1} + (1 - \kappa) \sum_{s} q_s \\
        \text{outputs:}\quad & \text{ascend } e_t, \qquad \text{hidden:}\quad \text{ascend } \ell_t e_t

    from :math:`e_1 = \sum g_s` and :math:`\ell_1 = \sum q_s`; neither is reset where an example ends. As in
    :class:`VOWEL`, the direction goes into the parameters' ``.grad``, with the sign of a descent. Unlike there, the
    network sees one sequence at a time and there is no baseline: this is the rule of FL-SNN, whose state, all of it in
    the state_dict, has to survive between the rounds of a federation.

    Args:
        net: the network. It is not a part of this module's parameters or state.
        kappa: smoothing κ per local step, in [0, 1).
        gamma: weight of the regulariser of hidden circuits, at least 0.
        silence: probability of silence in its reference, in (0, 1).
        window: time steps in a local step, at least 1.

    Attributes:
        magnitudes: :math:`\sum_s \sum_{ij} |g^w_{ijk}|` for each basis function k, [K_a], since it was last set to 0.

    Raises:
        ValueError: an argument is out of its range, or outputs of the network feed hidden circuits.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> from snntorch_binary.learning import OnlineGLM
        >>> net = sb.nn.WTANetwork(num_inputs=16, num_hidden=4, num_outputs=2)
        >>> rule, optimizer = OnlineGLM(net), torch.optim.SGD(net.parameters(), lr=0.05)
        >>> memory, x, target = net.memory(1, torch.zeros(())), torch.ones(1, 16, 1), torch.tensor([[[1.0], [0.0]]])
        >>> for t in range(10):
        ...     step = net.look(memory, target, seed=0, t=t)
        ...     if rule.learn(step):
        ...         optimizer.step()
        ...     net.remember(memory, x, step)

    References:
        Skatchkovsky, Jang, Simeone, *Federated neuromorphic learning of spiking neural networks*, arXiv 1910.09594.
    """

    magnitudes: Tensor
    reward: Tensor
    learning_signal: Tensor

    def __init__(
        self, net: WTANetwork, kappa: float = 0.05, gamma: float = 1.0, silence: float = 0.7, window: int = 1
    ) -> None:
        super().__init__()
        if not 0 <= kappa < 1:
            raise ValueError(expected("kappa", "a float in [0, 1)", kappa))
        if not 0 <= gamma < math.inf:
            raise ValueError(expected("gamma", "a float of at least 0", gamma))
        if not 0 < silence < 1:
            raise ValueError(expected("silence", "a probability between 0 and 1, both excluded", silence))
        if not isinstance(window, int) or window < 1:
            raise ValueError(expected("window", "an integer of at least 1", window))
        if net.outputs_feed_hidden:
            what = "without connections from outputs to hidden circuits, which would see the target"
            raise ValueError(expected("mask", what, f"{net.outputs_feed_hidden} of them"))
        self.kappa, self.gamma, self.silence, self.window = kappa, gamma, silence, window
        self._net = (net,)  # in a tuple, so that it is no submodule
        like = net.outputs.linear.bias.detach()
        self.register_buffer("magnitudes", like.new_zeros(net.basis.num))
        self.register_buffer("reward", like.new_zeros(()))
        self.register_buffer("learning_signal", like.new_zeros(()))
        for group, circuits in net.circuits().items():
            for name, parameter in parameters_of(circuits).items():
                for kept in ("gradient", "eligibility"):
                    self.register_buffer(f"{group}_{name}_{kept}", torch.zeros_like(parameter.detach()))
        self.num_steps = 0

    @torch.no_grad()
    def learn(self, step: WTAStep) -> bool:
        """Take in a time step of one sequence; where it ends a local step, put the direction into ``.grad``.

        Returns:
            Whether it does.

        Raises:
            ValueError: there is more than one sequence.
        """
        if len(step.outputs.symbols) != 1:
            raise ValueError(expected("step", "of one sequence", len(step.outputs.symbols)))
        net = self._net[0]
        self.num_steps += 1
        self.reward.add_(learning_signal(step, self.gamma, self.silence)[0])
        for name, circuits in net.circuits().items():
            gradients = _gradients(step.outputs if name == "outputs" else step.hidden)
            circuits.masked_(gradients["weight"])
            self.magnitudes.add_(gradients["weight"].abs().sum(0).unflatten(0, (-1, net.basis.num)).sum(0))
            for key, gradient in gradients.items():
                getattr(self, f"{name}_{key}_gradient").add_(gradient)
        if self.num_steps % self.window:
            return False
        # The first local step has nothing before it to be smoothed with.
        kappa = 0.0 if self.num_steps == self.window else self.kappa
        self.learning_signal.mul_(kappa).add_(self.reward, alpha=1 - kappa)
        self.reward.zero_()
        for name, circuits in net.circuits().items():
            directions = {key: self._smoothed(f"{name}_{key}", kappa) for key in parameters_of(circuits)}
            if name == "hidden":
                directions = {key: self.learning_signal * eligibility for key, eligibility in directions.items()}
            hand_over(circuits, directions)
        return True

    def _smoothed(self, name: str, kappa: float) -> Tensor:
        """Take the gradients of a local step into the eligibility of a parameter, and return that."""
        gradient: Tensor = getattr(self, f"{name}_gradient")
        eligibility: Tensor = getattr(self, f"{name}_eligibility")
        eligibility.mul_(kappa).add_(gradient, alpha=1 - kappa)
        gradient.zero_()
        return eligibility

    def get_extra_state(self) -> Tensor:
        """Return the number of time steps so far, int64."""
        return torch.tensor(self.num_steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Take up the count of time steps where a checkpoint left it."""
        self.num_steps = int(state)

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        return f"kappa={self.kappa}, gamma={self.gamma}, silence={self.silence}, window={self.window}"


def _gradients(step: CircuitStep | None) -> dict[str, Tensor]:
    """Return the gradients of the log-likelihood of one sequence."""
    assert step is not None
    score = step.score
    gradients = {"weight": score.flatten(1).T @ step.traces, "bias": score.flatten()}
    return gradients if step.own is None else {**gradients, "feedback": (score.unsqueeze(-1) * step.own)[0]}
