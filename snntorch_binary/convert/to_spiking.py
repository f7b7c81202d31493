"""From a trained network of soft LIF rate neurons to the same network in spikes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.convert.reset import reset
from snntorch_binary.nn.neurons.soft_lif import SoftLIF
from snntorch_binary.nn.neurons.spiking_lif import SpikingLIF


class SpikingNetwork(nn.Module):
    """A network in spikes that is shown images, each for some time, and answers with its last outputs.

    :func:`snntorch_binary.to_spiking` makes it. In the time-first form, what comes before the first neurons is computed
    once an image.

    Attributes:
        net: the network, whose neurons are :class:`snntorch_binary.nn.SpikingLIF`.
        num_steps: time steps an image is shown.
        start: the time step whose output is the first that counts.
        carry: whether a call goes on from the state of the last one: example b of a batch is then shown after example b
            of the batch before. ``snntorch_binary.reset(network)`` returns to rest.

    Shape:
        images [1, B, ...], or [B, ...] for a network of single time steps -> outputs [num_steps - start, B, C].
    """

    def __init__(self, net: nn.Module, num_steps: int, start: int, carry: bool, step: bool) -> None:
        super().__init__()
        self.net, self.num_steps, self.start, self.carry, self.one_step = net, num_steps, start, carry, step

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:  # noqa: D102  # the class says it
        if not self.one_step and (x.dim() < 2 or len(x) != 1):
            raise ValueError(expected("x", "images of shape [1, B, ...] (time-first)", list(x.shape)))
        if not self.carry:
            reset(self.net)
        with _each_called_once(self.net) if self.carry or self.one_step else nullcontext():
            outputs = self.net(x)
        if self.one_step:
            outputs = torch.stack([outputs, *(self.net(x) for _ in range(self.num_steps - 1))])
        return outputs[self.start :]

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        return f"num_steps={self.num_steps}, start={self.start}, carry={self.carry}, step={self.one_step}"


@contextmanager
def _each_called_once(net: nn.Module) -> Iterator[None]:
    """Refuse a network that calls the same neurons in several places, where they keep a state."""
    called: set[nn.Module] = set()

    def note(neurons: nn.Module, _: Any) -> None:
        if neurons in called:
            raise ValueError("One SoftLIF is called in several places; neurons with a state need one for each of them.")
        called.add(neurons)

    with ExitStack() as hooks:
        for module in net.modules():
            if isinstance(module, SpikingLIF):
                hooks.enter_context(module.register_forward_pre_hook(note))
        yield


def to_spiking(
    net: nn.Module,
    *,
    tau_syn: float = 0.005,
    presentation: float = 0.2,
    scoring: float = 0.1,
    dt: float = 0.001,
    carry: bool = False,
    step: bool = False,
) -> SpikingNetwork:
    """Return a copy of a network in evaluation mode whose soft LIF rate neurons are LIF neurons in spikes.

    Weights and biases, binary ones too, stay as they are. Each :class:`snntorch_binary.nn.SoftLIF` becomes a
    :class:`snntorch_binary.nn.SpikingLIF` with the same constants and one alpha synapse at its output, the form of the
    thesis (the published code filters twice in a layer). Dropout is its expectation. An image is a constant input
    current; the class is the argmax of the mean output from ``scoring`` to ``presentation``.

    Source: Hunsberger and Eliasmith, arXiv 1510.08829 and 1611.05141, with the times for CIFAR-10 of the latter.

    Args:
        net: a trained network: time-first, taking images as sequences of one step [1, B, ...]; with ``step`` any
            network that takes [B, ...].
        tau_syn: time constant of the synapses in seconds, >= 0; 0 is none.
        presentation: how long an image is shown, in seconds.
        scoring: when the outputs begin to count, in seconds, less than ``presentation``.
        dt: time step in seconds, at most the refractory period.
        carry: carry the state over from call to call, as published, instead of starting each at rest, from where all
            neurons fire in step: for short presentations without synapses.
        step: build a network of neurons that keep their state and take one time step at a time, as in snnTorch. With
            it, or with ``carry``, a ``forward`` that calls one SoftLIF in several places is refused when it runs.

    Raises:
        ValueError: a time is out of its range, or the network has no SoftLIF neurons.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(torch.nn.Linear(16, 32), sb.nn.SoftLIF(), torch.nn.Linear(32, 3))
        >>> images = torch.rand(4, 16)
        >>> spiking = sb.to_spiking(net)
        >>> outputs = spiking(images[None])
        >>> outputs.shape
        torch.Size([100, 4, 3])
        >>> bool((outputs.mean(0) - net(images)).abs().max() < 0.5)
        True
    """
    if not 0 < dt < math.inf:
        raise ValueError(expected("dt", "a positive float (seconds)", dt))
    if not dt / 2 < presentation < math.inf:
        raise ValueError(expected("presentation", f"a float (seconds) of at least a time step of {dt}", presentation))
    if not 0 <= scoring < presentation:
        raise ValueError(expected("scoring", f"in [0, presentation = {presentation}) (seconds)", scoring))
    num_steps = round(presentation / dt)
    start = min(round(scoring / dt), num_steps - 1)
    # Layers may share one rate neuron, which has no state; each of them has spiking neurons of its own.
    soft = {name: module for name, module in net.named_modules(remove_duplicate=False) if isinstance(module, SoftLIF)}
    if not soft:
        raise ValueError(expected("net", "a network with SoftLIF neurons", type(net).__name__))
    spiking = nn.ModuleDict({"net": copy_model(net)}).eval()
    for name, module in soft.items():
        of = module.constants
        neuron = SpikingLIF(
            of.amplitude,
            of.tau_ref,
            of.tau_rc,
            of.gain,
            tau_syn,
            dt,
            carry=carry,
            hold=None if step else num_steps,
            init_hidden=step,
        )
        spiking.set_submodule(f"net.{name}" if name else "net", neuron.train(False))
    return SpikingNetwork(spiking["net"], num_steps, start, carry, step).eval()
