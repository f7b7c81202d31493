"""Training on long sequences in little memory: recompute a part of the sequence at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from snntorch_binary._errors import expected
from snntorch_binary.nn.binary import BinaryLayer
from snntorch_binary.nn.neurons.description import is_neuron

__all__ = ["TimeChunks"]


class TimeChunks(nn.Module):
    """Run a time-first network a chunk of time steps at a time, and again chunk by chunk in the backward pass.

    The output is the same, but for a batch norm in training, whose statistics would be those of a chunk and which is
    refused. What a training step keeps for its backward pass is one chunk instead of the whole sequence,
    and the neurons' state between chunks, for the time of a second forward pass.

    Args:
        net: layers without memory, and neurons :class:`Leaky` and :class:`Synaptic` in their time-first form.
        steps: time steps in a chunk, at least 1.

    Shapes:
        those of the network: x [T, B, ...] to [T, B, ...], or a tuple where the last neuron has ``output``.

    Raises:
        ValueError: ``steps`` is out of range, x has no time step, or a batch norm is in training.
        TypeError: a layer of ``net`` has a memory that cannot be handed from chunk to chunk.
        RuntimeError: in the backward pass, other weights are in force than in the forward pass: call ``backward()``
            within the same :func:`snntorch_binary.sampled`, and before ``eval()``.

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
            memory = [part for part in layer.modules() if is_neuron(part) or hasattr(part, "reset_mem")]
            if memory and not _resumes(layer):
                what = "layers without memory and time-first Leaky or Synaptic neurons"
                raise TypeError(expected("net", what, f"a {type(layer).__name__}"))
        if not isinstance(steps, int) or steps < 1:
            raise ValueError(expected("steps", "an integer of at least 1", steps))
        self.net, self.steps = net, steps

    def forward(self, x: Tensor) -> Any:  # noqa: D102  # the class says it
        if x.shape[0] == 0:
            raise ValueError(expected("x", "of shape [T, B, ...] with T >= 1", tuple(x.shape)))
        if self.training and any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in self.net.modules()):
            raise ValueError(expected("net", "without batch norm in training", "a batch norm"))
        in_force = self._in_force()
        states: list[Any] = [None] * len(self.net)
        outputs = []
        for chunk in x.split(self.steps):
            if torch.is_grad_enabled():
                output, states = checkpoint(self._run, chunk, states, in_force, use_reentrant=False)
            else:
                output, states = self._run(chunk, states, in_force)
            outputs.append(output)
        if isinstance(outputs[0], Tensor):
            return torch.cat(outputs)
        return tuple(map(torch.cat, zip(*outputs, strict=True)))

    def _in_force(self) -> list[Any]:
        """Return what tells the weights now in force from others."""
        layers = [layer for layer in self.net.modules() if isinstance(layer, BinaryLayer)]
        return [(layer.draw.kind(layer.training), layer.draw.counter, layer.draw.forced) for layer in layers]

    def _run(self, x: Tensor, states: list[Any], in_force: list[Any]) -> tuple[Any, list[Any]]:
        """Return the output of one chunk, and the state after it."""
        if self._in_force() != in_force:
            raise RuntimeError(
                "Other weights are in force than when this output was computed; call backward() before that changes."
            )
        output: Any = x
        after: list[Any] = []
        for layer, state in zip(self.net, states, strict=True):
            if _resumes(layer):
                spikes, potentials, last = layer._resumed(layer._checked(output), state)  # type: ignore[operator]
                after.append(last)
                output = (spikes, *potentials) if layer.output and layer is self.net[-1] else spikes
            else:
                output = layer(output)
                after.append(None)
        return output, after

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        return f"steps={self.steps}"


def _resumes(layer: Any) -> bool:
    """Say whether a layer is neurons whose sequence can go on from the state that another ended in."""
    return getattr(layer, "resumes", False) and not layer.one_step
