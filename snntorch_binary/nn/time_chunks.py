"""Training on long sequences in little memory: recompute a part of the sequence at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from snntorch_binary._errors import expected
from snntorch_binary.nn._lif import LIF
from snntorch_binary.nn._neuron import Neuron

__all__ = ["TimeChunks"]


class TimeChunks(nn.Module):
    """Run a time-first network a chunk of time steps at a time, and again chunk by chunk in the backward pass.

    The output is the same. What a training step keeps for its backward pass is one chunk instead of the whole sequence,
    and the neurons' state between chunks, for the time of a second forward pass.

    Args:
        net: layers without memory, and neurons :class:`Leaky` and :class:`Synaptic` in their time-first form.
        steps: time steps in a chunk, at least 1.

    Shapes:
        those of the network: x [T, B, ...] to [T, B, ...], or a tuple where the last neuron has ``output``.

    Raises:
        ValueError: ``steps`` is out of range.
        TypeError: a layer of ``net`` has a memory that cannot be handed from chunk to chunk.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(sb.nn.BinaryLinear(20, 8), sb.nn.Leaky(beta=0.9))
        >>> sb.nn.TimeChunks(net, steps=50)(torch.ones(400, 2, 20)).shape
        torch.Size([400, 2, 8])
    """

    def __init__(self, net: nn.Sequential, steps: int) -> None:
        super().__init__()
        if not isinstance(net, nn.Sequential):
            raise TypeError(expected("net", "an nn.Sequential", type(net).__name__))
        for layer in net:
            memory = [part for part in layer.modules() if isinstance(part, Neuron) or hasattr(part, "reset_mem")]
            if memory and not (isinstance(layer, LIF) and not layer.one_step):
                what = "layers without memory and time-first Leaky or Synaptic neurons"
                raise TypeError(expected("net", what, f"a {type(layer).__name__}"))
        if not isinstance(steps, int) or steps < 1:
            raise ValueError(expected("steps", "an integer of at least 1", steps))
        self.net, self.steps = net, steps

    def forward(self, x: Tensor) -> Any:  # noqa: D102
        states: list[Any] = [None] * len(self.net)
        outputs = []
        for chunk in x.split(self.steps):
            if torch.is_grad_enabled():
                output, states = checkpoint(self._run, chunk, states, use_reentrant=False)
            else:
                output, states = self._run(chunk, states)
            outputs.append(output)
        if isinstance(outputs[0], Tensor):
            return torch.cat(outputs)
        return tuple(map(torch.cat, zip(*outputs, strict=True)))

    def _run(self, x: Tensor, states: list[Any]) -> tuple[Any, list[Any]]:
        """Return the output of one chunk, and the state after it."""
        output: Any = x
        after: list[Any] = []
        for layer, state in zip(self.net, states, strict=True):
            if isinstance(layer, LIF):
                spikes, potentials = layer._sequence(layer._checked(output), state)  # type: ignore[operator]
                after.append(tuple(potential[-1] for potential in potentials))
                output = (spikes, *potentials) if layer.output and layer is self.net[-1] else spikes
            else:
                output = layer(output)
                after.append(None)
        return output, after

    def extra_repr(self) -> str:  # noqa: D102
        return f"steps={self.steps}"
