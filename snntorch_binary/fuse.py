"""`fuse`: a network that goes step by step becomes one that takes all time steps at once, which is faster."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.convert import reset
from snntorch_binary.nn.binary import BinaryLayer
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.leaky import Leaky
from snntorch_binary.nn.neurons.synaptic import Synaptic
from snntorch_binary.nn.subclasses import leaves_forward
from snntorch_binary.nn.surrogate import ArcTan, FastSigmoid, Surrogate
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
        getattr(layer, "one_step", type(layer).__module__.startswith("snntorch.") and hasattr(layer, "reset_mem"))
        for _, layer in flattened(net)
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
    if isinstance(layer, Neuron):
        if not layer.one_step:
            return layer, f"{kind}, as it is"
        return _over_time(layer, layer.output or (is_last and not layer.init_hidden)), f"{kind}, one scan"
    if type(layer).__module__.startswith("snntorch."):
        reason = _why_not(layer)
        if reason is None:
            twin = _twin(layer, layer.output or (is_last and not layer.init_hidden))  # type: ignore[arg-type]
            slow = "" if isinstance(twin.spike_grad, Surrogate) else ", its surrogate gradient step by step"
            return twin, f"{kind}, one scan{slow}"
        if not getattr(layer, "init_hidden", False):
            raise ValueError(expected("net", f"neurons with init_hidden=True where there is {reason}", kind))
        return EachStep(layer, is_last), f"{kind}, step by step: {reason}"
    if type(layer) in _OF_EXAMPLES:
        over_time = ", statistics over time and batch" if isinstance(layer, nn.modules.batchnorm._BatchNorm) else ""
        return TimeFirst(layer), f"{kind}, all steps as one batch{over_time}"
    return EachStep(layer, is_last), f"{kind}, step by step: unknown layer"


def _over_time(neuron: Neuron, output: bool) -> Neuron:
    """Return the time-first form of a neuron of this package, with its parameters."""
    twin = copy.copy(neuron)
    twin.__dict__.update(_parameters=dict(neuron._parameters), _buffers=dict(neuron._buffers))
    twin.one_step, twin.init_hidden, twin.output, twin._kept = False, False, output, None
    return twin


def _why_not(neuron: nn.Module) -> str | None:
    """Say why a neuron of snnTorch has no time-first form here, or ``None`` where it has one."""
    if type(neuron).__name__ not in ("Leaky", "Synaptic"):
        return f"no time-first form of {type(neuron).__name__} neurons"
    for option in ("inhibition", "state_quant", "surrogate_disable"):
        if getattr(neuron, option, False):
            return f"no time-first form with {option}"
    return None


def _twin(neuron: Any, output: bool) -> Leaky | Synaptic:
    options: dict[str, Any] = {
        "threshold": neuron.threshold,
        "spike_grad": _surrogate(neuron.spike_grad),
        "reset_mechanism": neuron.reset_mechanism,
        "reset_delay": getattr(neuron, "reset_delay", True),
        "output": output,
    }
    twin: Leaky | Synaptic
    if type(neuron).__name__ == "Leaky":
        twin = Leaky(neuron.beta, graded_spikes_factor=neuron.graded_spikes_factor, **options)
    else:
        twin = Synaptic(neuron.alpha, neuron.beta, **options)
    for name in ("alpha", "beta", "threshold", "graded_spikes_factor"):
        value = getattr(neuron, name, None)
        if isinstance(value, nn.Parameter) and hasattr(twin, name):
            twin._buffers.pop(name, None)
            twin.register_parameter(name, value)
    twin._graded = twin._graded or isinstance(twin.graded_spikes_factor, nn.Parameter)
    return twin.train(neuron.training)


def _surrogate(spike_grad: Callable[[Tensor], Tensor] | None) -> Callable[[Tensor], Tensor] | None:
    """Return ours for snnTorch's arc tangent and fast sigmoid, whose functions do not say what they are."""
    parts = getattr(spike_grad, "__closure__", None) or ()
    numbers = [part.cell_contents for part in parts if isinstance(part.cell_contents, (int, float))]
    if spike_grad is None or isinstance(spike_grad, Surrogate) or len(numbers) != 1 or not numbers[0] > 0:
        return spike_grad
    for ours in (ArcTan(float(numbers[0])), FastSigmoid(float(numbers[0]))):
        if _alike(spike_grad, ours):
            return ours
    return spike_grad


def _alike(first: Callable[[Tensor], Tensor], second: Callable[[Tensor], Tensor]) -> bool:
    """Say whether two surrogates have the same spikes and gradients on a range of membrane potentials."""
    answers = []
    for function in (first, second):
        u = torch.linspace(-4, 4, 401).requires_grad_()
        with torch.enable_grad():
            spikes = function(u)
            (gradient,) = torch.autograd.grad(spikes.sum(), u)
        answers.append((spikes.detach(), gradient))
    return all(torch.allclose(one, other, rtol=1e-5, atol=1e-7) for one, other in zip(*answers, strict=True))
