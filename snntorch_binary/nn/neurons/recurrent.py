"""Neurons that also get what they fired a step ago, through weights."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.kernels.recurrent import How, recurrent_leaky_scan
from snntorch_binary.kernels.surrogates import Surrogate
from snntorch_binary.nn.binary import BinaryLinear
from snntorch_binary.nn.hooks import is_watched
from snntorch_binary.nn.neurons import lif
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.description import NeuronDescription
from snntorch_binary.nn.neurons.leaky import Leaky

__all__ = ["Recurrent"]


def linear_parts(layer: nn.Module) -> tuple[Tensor, Any, Tensor | None] | None:
    """Return weights, their scale (``None`` of real ones) and bias of a linear layer; ``None`` of any other.

    It has to be torch's own or the binary one of this package, and nobody may look on when it is called.
    """
    if is_watched(layer):
        return None
    if type(layer) is BinaryLinear:
        return layer.in_force(), layer._scale(), layer.bias
    return (layer.weight, None, layer.bias) if type(layer) is nn.Linear else None


class Recurrent(Neuron):
    r"""Recurrent neurons: ``snntorch.RLeaky`` and ``RSynaptic`` for any of this package's layers.

    The input current of the neuron is :math:`x_t + f(s_{t-1})`, with its own spikes :math:`s_{t-1}` (none before the
    start) and the recurrent layer f. Time-first goes step by step, for a step needs the one before; a
    :class:`Leaky` with a linear layer does it in compiled kernels, with the same spikes.

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

    description = NeuronDescription(recurrence=lambda neurons: (neurons.neuron, neurons.recurrent))

    def __init__(
        self,
        neuron: Neuron,
        layer: nn.Module,
        *,
        step: bool = False,
        init_hidden: bool = False,
        output: bool = False,
    ) -> None:
        if getattr(neuron, "RecurrentState", None) is None:
            raise TypeError(expected("neuron", "a Leaky or a Synaptic of this package", type(neuron).__name__))
        super().__init__(step=step, init_hidden=init_hidden, output=output)
        self.neuron, self.recurrent = neuron, layer

    @property
    def State(self) -> Any:
        """The kind of state: that of the neuron, and its spikes."""
        return self.neuron.RecurrentState

    def _sequence(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        neuron: Any = self.neuron
        layer = linear_parts(self.recurrent)
        known = type(neuron) is Leaky and lif.why_no_kernel(neuron) is None and isinstance(neuron.spike_grad, Surrogate)
        if known and layer is not None and len(x) > 0:
            rest = self._at_hand(x[0], None)
            how = How(neuron.reset_mechanism, neuron.spike_grad, joined=True)
            constants = (neuron.beta.clamp(0, 1), neuron.threshold)
            found = recurrent_leaky_scan(x, (rest.spikes, rest.mem), layer, constants, how)
            if found is not None:
                return found
        return super()._sequence(x)

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One time step, whatever the form: spikes and state of x [B, ...] and the state (None: at rest)."""
        before = self._at_hand(x, state)
        current = x + self.recurrent(before.spikes)
        spikes, after = self.neuron.step(current, self.neuron.State(*before[1:]))
        return spikes, self.State(spikes, *after)
