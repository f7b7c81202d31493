"""Neurons that also get what they fired a step ago, through weights."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.leaky import Leaky
from snntorch_binary.nn.neurons.synaptic import Synaptic

__all__ = ["Recurrent", "RecurrentLeakyState", "RecurrentSynapticState"]


class RecurrentLeakyState(NamedTuple):
    """The state of recurrent Leaky neurons after a time step: spikes and membrane potential [B, ...]."""

    spikes: Tensor
    mem: Tensor


class RecurrentSynapticState(NamedTuple):
    """The state of recurrent Synaptic neurons after a time step: spikes, current and potential [B, ...]."""

    spikes: Tensor
    syn: Tensor
    mem: Tensor


class Recurrent(Neuron):
    r"""Recurrent neurons: ``snntorch.RLeaky`` and ``RSynaptic`` for any of this package's layers.

    The input current of the neuron is :math:`x_t + f(s_{t-1})`, with its own spikes :math:`s_{t-1}` (none before the
    start) and the recurrent layer f. Time-first goes step by step, for a step needs the one before.

    Args:
        neuron: a :class:`Leaky` or a :class:`Synaptic`; its own form is of no account.
        layer: from spikes to currents of the same shape, for one time step: a ``BinaryLinear``, a convolution.
        step: build the one-step form.
        init_hidden: build the one-step form that keeps its state itself (implies ``step``).
        output: also return the membrane potential.

    Shapes:
        - time-first: x [T, B, ...] to spikes [T, B, ...]; with ``output`` (spikes, mem)
        - ``step``: x [B, ...] and the state (``None``: at rest) to (spikes, state)
        - ``init_hidden``: x [B, ...] to spikes [B, ...]; with ``output`` (spikes, mem)

    Raises:
        TypeError: the neuron is of another kind, or a state is passed where none is taken.
        ValueError: x has too few dimensions or not the shape of the state.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> layer = sb.nn.BinaryLinear(3, 3, bias=False)
        >>> neurons = sb.nn.Recurrent(sb.nn.Leaky(beta=0.9, reset_mechanism="zero"), layer)
        >>> neurons(torch.ones(5, 2, 3)).shape
        torch.Size([5, 2, 3])
    """

    def __init__(
        self,
        neuron: Leaky | Synaptic,
        layer: nn.Module,
        *,
        step: bool = False,
        init_hidden: bool = False,
        output: bool = False,
    ) -> None:
        if not isinstance(neuron, (Leaky, Synaptic)):
            raise TypeError(expected("neuron", "a Leaky or a Synaptic of this package", type(neuron).__name__))
        super().__init__(step=step, init_hidden=init_hidden, output=output)
        self.neuron, self.recurrent = neuron, layer

    @property
    def State(self) -> Any:
        """The kind of state: that of the neuron, and its spikes."""
        return RecurrentSynapticState if isinstance(self.neuron, Synaptic) else RecurrentLeakyState

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One time step, whatever the form: spikes and state of x [B, ...] and the state (None: at rest)."""
        before = self._at_hand(x, state)
        current = x + self.recurrent(before.spikes)
        neuron: Any = self.neuron
        spikes, after = neuron.step(current, neuron.State(*before[1:]))
        return spikes, self.State(spikes, *after)

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """Spikes, and what else the form of this module returns (see the class)."""
        x = self._checked(x)
        if self.one_step:
            spikes, state = self._advance(x, state)
            returned = (spikes,) if self.init_hidden else (spikes, state)
        elif state is not None:
            raise TypeError(expected("state", "None in the time-first form, which starts at rest", "a state"))
        else:
            spikes, state = self._loop(x, None)
            returned = (spikes,)
        if self.output:
            return *returned, state.mem
        return returned if len(returned) > 1 else spikes
