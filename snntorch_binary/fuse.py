"""`fuse`: a network that goes step by step becomes one that takes all time steps at once, which is faster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.convert import reset
from snntorch_binary.kernels.surrogates import Surrogate
from snntorch_binary.nn.binary import BinaryLayer
from snntorch_binary.nn.neurons.description import NeuronDescription, description_of, is_neuron
from snntorch_binary.nn.neurons.known import takes_one_step
from snntorch_binary.nn.subclasses import leaves_forward
from snntorch_binary.nn.time_first import TimeFirst

# Exact types: a subclass may do anything else.
_ANY_LEADING_DIMENSIONS = (nn.Linear, nn.Identity, nn.Dropout, nn.ReLU, nn.Sigmoid, nn.Tanh)
_OF_EXAMPLES = (
    nn.Flatten,
    nn.Unflatten,
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.Dropout1d, nn.Dropout2d, nn.Upsample, nn.PixelShuffle),
)


class EachStep(nn.Module):
    """Run a module on one time step after another: [T, B, ...] to [T, B, ...].

    Neurons in it that keep their state themselves (``init_hidden=True``) start every sequence at rest.

    Args:
        module: takes one time step [B, ...]; of a tuple it returns, the first is passed on.
        all_outputs: return a tuple of sequences where the module returns a tuple.

    Raises:
        ValueError: there is no time step.
    """

    def __init__(self, module: nn.Module, all_outputs: bool = False) -> None:
        super().__init__()
        self.module, self.all_outputs = module, all_outputs

    def forward(self, x: Tensor) -> Any:  # noqa: D102
        if x.shape[0] == 0:
            raise ValueError(expected("x", "of shape [T, B, ...] with T >= 1", tuple(x.shape)))
        reset(self.module)
        outputs = [self.module(x_t) for x_t in x.unbind(0)]
        if self.all_outputs and isinstance(outputs[0], tuple):
            return tuple(map(torch.stack, zip(*outputs, strict=True)))
        return torch.stack([output[0] if isinstance(output, tuple) else output for output in outputs])


class Fused(nn.Sequential):
    """What :func:`fuse` returns: a network over whole sequences [T, B, ...], and a report of how it came about.

    Attributes:
        report: for each layer, by its name in the network before, what has become of it.
    """

    report: dict[str, str]

    def summary(self) -> str:
        """Return the report as lines of text."""
        width = max(map(len, self.report), default=0)
        return "\n".join(f"{name:<{width}}  {what}" for name, what in self.report.items())


def fuse(net: nn.Module | Iterable[nn.Module]) -> Fused:
    """Return the time-first form of a network that takes one time step at a time.

    Layers then see all time steps in one product, and a neuron is one scan over time. Given equal input currents the
    spikes are snnTorch's bit for bit; a product over all steps may round a sum in another order. The parameters are
    shared with the network as it was: train either.

    * ``snn.Leaky`` and ``snn.Synaptic`` become :class:`snntorch_binary.nn.Leaky` and ``Synaptic``; neurons of this
      package become their own time-first form.
    * Linear layers and binary layers stay; convolutions, pooling and norms are wrapped in ``TimeFirst``. A batch norm
      then takes its statistics over time and batch together; the report says so.
    * Whatever else there is goes step by step as before; the report says that, too.

    Args:
        net: an ``nn.Sequential``, or layers and neurons in their order (``nn.ModuleList``). Neurons have
            ``init_hidden=True`` or are of the kinds above.

    Returns:
        A network of [T, B, ...]. It returns what its last layer does: spikes [T, B, ...], or spikes and membrane
        potentials where the last neuron has ``output=True`` or hands out its state.

    Raises:
        TypeError: ``net`` is neither of the two.
        ValueError: a neuron needs its state handed to it, and is of a kind that has no time-first form; or it occurs
            twice, and its two places share a state.

    Example:
        >>> import snntorch as snn, torch, snntorch_binary as sb
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(64, 32), snn.Leaky(beta=0.9, init_hidden=True), nn.Linear(32, 10),
        ...                     snn.Leaky(beta=0.9, init_hidden=True, output=True))
        >>> spikes, potentials = sb.fuse(net)(torch.rand(25, 8, 64))
        >>> spikes.shape, potentials.shape
        (torch.Size([25, 8, 10]), torch.Size([25, 8, 10]))
    """
    if isinstance(net, nn.Module) and not is_chain(net):
        what = "an nn.Sequential, an nn.ModuleList, or layers in their order"
        raise TypeError(expected("net", what, f"a {type(net).__name__}, whose forward says more than its layers"))
    layers = list(flattened(net))
    for name, layer in layers:
        if hasattr(layer, "reset_mem") and sum(other is layer for _, other in layers) > 1:
            raise ValueError(expected("net", "neurons that occur once", f"{type(layer).__name__} {name!r} again"))
    fused, report = [], {}
    for index, (name, layer) in enumerate(layers):
        time_first, what = _time_first(layer, is_last=index == len(layers) - 1)
        fused.append(time_first)
        report[name] = what
    result = Fused(*fused)
    result.report = report
    return result


def takes_steps(net: nn.Module) -> bool:
    """Say whether a network is layers in their order with a neuron that takes one time step at a time."""
    return is_chain(net) and any(
        getattr(layer, "one_step", False) or (is_neuron(layer) and takes_one_step(layer)) for _, layer in flattened(net)
    )


def is_chain(module: nn.Module) -> bool:
    """Say whether a module does nothing but pass from one of its modules to the next."""
    return isinstance(module, nn.ModuleList) or (
        isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
    )


def flattened(net: nn.Module | Iterable[nn.Module], prefix: str = "") -> Iterable[tuple[str, nn.Module]]:
    """Yield the layers of a chain by name, in their order, those of chains inside it too."""
    # Not `named_children`, which leaves out a module's second occurrence.
    named = net._modules.items() if isinstance(net, nn.Module) else ((str(i), layer) for i, layer in enumerate(net))
    for name, layer in named:
        assert layer is not None
        if is_chain(layer):
            yield from flattened(layer, f"{prefix}{name}.")
        else:
            yield prefix + name, layer


def _time_first(layer: nn.Module, is_last: bool) -> tuple[nn.Module, str]:
    """Return the time-first form of a layer and what to say of it."""
    kind = type(layer).__name__
    own_forward = isinstance(layer, BinaryLayer) and not leaves_forward(type(layer))
    if (isinstance(layer, (BinaryLayer, TimeFirst)) and not own_forward) or type(layer) in _ANY_LEADING_DIMENSIONS:
        return layer, f"{kind}, as it is"
    description = description_of(layer)
    if description is not None and description.over_time is not None:
        if not description.takes_one_step(layer):
            return layer, f"{kind}, as it is"
        hidden = getattr(layer, "init_hidden", False)
        twin = description.over_time(layer, getattr(layer, "output", False) or (is_last and not hidden))
        if isinstance(twin, nn.Module):
            return twin, f"{kind}, {_how(twin, description)}"
        if not hidden:
            raise ValueError(expected("net", f"neurons with init_hidden=True where there is {twin}", kind))
        return EachStep(layer, is_last), f"{kind}, step by step: {twin}"
    if type(layer) in _OF_EXAMPLES:
        over_time = ", statistics over time and batch" if isinstance(layer, nn.modules.batchnorm._BatchNorm) else ""
        return TimeFirst(layer), f"{kind}, all steps as one batch{over_time}"
    return EachStep(layer, is_last), f"{kind}, step by step: unknown layer"


def _how(twin: nn.Module, description: NeuronDescription) -> str:
    """Say how a time-first neuron goes through time."""
    if not getattr(twin, "has_scan", False):
        return "one loop over time"
    spike = description.spike and getattr(twin, description.spike.name)
    slow = "" if spike is None or isinstance(spike, Surrogate) else ", its surrogate gradient step by step"
    return f"one scan{slow}"
