"""How a binary network learns: flips of signs, sureness of posteriors, gradients that are cut off, idle neurons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary._text import table
from snntorch_binary.inference.arguments import Inputs, arguments_of, check_input
from snntorch_binary.inference.evaluated import evaluated
from snntorch_binary.inference.find_form import form_of
from snntorch_binary.inference.kept_state import state_put_back
from snntorch_binary.inference.run import run_as
from snntorch_binary.nn.neurons.known import takes_one_step
from snntorch_binary.weights import WeightRule, require_binary_layers
from snntorch_binary.weights.sign import Sign


@dataclass(frozen=True)
class LayerReport:
    """How one binary layer learns. Shares are in [0, 1]; ``None`` is what cannot be said of it.

    Attributes:
        name: of the layer in the network.
        flipped: share of the weights whose sign (of a posterior: most probable sign) is another one than in the report
            before.
        entropy: of the posterior, in bits a weight: 1 is a coin, 0 is sure.
        outside: share of latents outside [-1, 1], where the clipped straight-through estimator passes no gradient.
        blocked: share of the gradient, by its size, that falls on those; seen between ``backward()`` and ``step()``.
    """

    name: str
    flipped: float | None = None
    entropy: float | None = None
    outside: float | None = None
    blocked: float | None = None


@dataclass(frozen=True)
class NeuronReport:
    """What the neurons of one module did for one batch. Shares are in [0, 1].

    Attributes:
        name: of the module in the network.
        rate: spikes per neuron and time step.
        silent: share of the neurons that never spiked, for any example.
        saturated: share of those that spiked at every step of every example.
    """

    name: str
    rate: float
    silent: float
    saturated: float


@dataclass(frozen=True)
class LearningReport:
    """What :func:`learning_report` found; ``print`` shows it as two tables and what to do about it.

    Attributes:
        layers: the binary layers.
        neurons: the neurons, where an input was given.
        signs: bool, which weights were positive, by the layer's name.
    """

    layers: tuple[LayerReport, ...]
    neurons: tuple[NeuronReport, ...] = ()
    signs: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def advice(self) -> tuple[str, ...]:
        """What is out of the ordinary, a sentence each, with what to try."""
        found = []
        for layer in self.layers:
            if layer.flipped == 0:
                found.append(f"{layer.name}: no weight has changed its sign: raise the learning rate of its latents.")
            if _above(layer.flipped, 0.2):
                what = f"{layer.name}: {_share(layer.flipped)} of the weights have changed their sign"
                found.append(f"{what}: lower the learning rate of its latents, or let it fall while training.")
            if _above(layer.blocked, 0.5):
                what = f"{layer.name}: {_share(layer.blocked)} of the gradient falls on latents outside [-1, 1]"
                found.append(f"{what}, which do not move: lower the learning rate, or take Sign('identity').")
            if _above(layer.entropy, 0.9):
                what = f"{layer.name}: the posterior is nearly a coin for each weight"
                found.append(f"{what}: train longer, raise lr, or lower rho.")
        for neurons in self.neurons:
            if neurons.silent > 0.5:
                what = f"{neurons.name}: {_share(neurons.silent)} of the neurons are silent"
                found.append(f"{what}: raise the scale of the layer before, or lower the threshold.")
            if neurons.saturated > 0.1:
                what = f"{neurons.name}: {_share(neurons.saturated)} of the neurons spike at every step"
                found.append(f"{what}: lower the scale of the layer before, or raise the threshold.")
        return tuple(found)

    def __str__(self) -> str:
        layers = [
            (each.name, _share(each.flipped), _number(each.entropy), _share(each.outside), _share(each.blocked))
            for each in self.layers
        ]
        parts = [table(("layer", "flipped", "bits a weight", "outside ±1", "gradient there"), layers)]
        if self.neurons:
            neurons = [
                (each.name, _number(each.rate), _share(each.silent), _share(each.saturated)) for each in self.neurons
            ]
            parts.append(table(("neurons", "rate", "silent", "at every step"), neurons))
        return "\n\n".join([*parts, *(["\n".join(self.advice)] if self.advice else [])])


def learning_report(
    net: nn.Module,
    x: Inputs | None = None,
    since: LearningReport | None = None,
    step: bool | None = None,
) -> LearningReport:
    """Report how a network with binary layers learns; it is left as it was.

    Args:
        net: the network.
        x: a batch of its inputs, or a tuple of the network's arguments; for it neurons are counted, in evaluation mode.
            ``None`` leaves them out.
        since: an earlier report, since which flips are counted.
        step: whether the network takes one time step a call; found out by default, see :func:`snntorch_binary.predict`.

    Raises:
        TypeError: ``since`` is no report, or ``x`` is nothing that :func:`snntorch_binary.predict` takes.
        ValueError: there are no binary layers, or the earlier report is of other ones.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> from snntorch_binary.metrics import learning_report
        >>> net = torch.nn.Sequential(sb.nn.BinaryLinear(4, 3), sb.nn.Leaky(beta=0.9))
        >>> before = learning_report(net)
        >>> with torch.no_grad():
        ...     _ = net[0].latent[0].neg_()
        >>> print(learning_report(net, since=before))
        layer  flipped  bits a weight  outside ±1  gradient there
        -----  -------  -------------  ----------  --------------
        0      33.3 %   -              0.0 %       -
        <BLANKLINE>
        0: 33.3 % of the weights have changed their sign: lower the learning rate of its latents, or let it fall...
    """
    layers = require_binary_layers(net)
    if since is not None and not isinstance(since, LearningReport):
        raise TypeError(expected("since", "a report of this network", type(since).__name__))
    signs = {name or "network": layer.rule.real_weight(layer.latent.detach()) >= 0 for name, layer in layers.items()}
    if since is not None and {name: sign.shape for name, sign in since.signs.items()} != {
        name: sign.shape for name, sign in signs.items()
    }:
        raise ValueError(expected("since", "a report of this network", f"one of {', '.join(since.signs)}"))
    blocked = blocked_gradients(net)
    rows = []
    for (name, sign), layer in zip(signs.items(), layers.values(), strict=True):
        latent = layer.latent.detach()
        rows.append(
            LayerReport(
                name,
                None if since is None else _mean(sign != since.signs[name].to(sign.device)),
                _entropy(layer.rule.natural_parameter(latent)),
                _mean(latent.abs() > 1) if _is_clipped(layer.rule) else None,
                blocked.get(name),
            )
        )
    neurons = () if x is None else _neurons(net, x, step)
    return LearningReport(tuple(rows), neurons, {name: sign.cpu() for name, sign in signs.items()})


def blocked_gradients(net: nn.Module) -> dict[str, float]:
    """Return the share of the gradient outside the clip by layer, of those that have had a backward pass."""
    found = {}
    for name, layer in require_binary_layers(net).items():
        held = layer.draw.held
        if not _is_clipped(layer.rule) or layer.latent.grad is None or held is None or held.gradient is None:
            continue
        size = held.gradient.abs()
        if bool(size.any()):
            found[name or "network"] = float(size[layer.latent.detach().abs() > 1].sum() / size.sum())
    return found


def _is_clipped(rule: WeightRule) -> bool:
    return isinstance(rule, Sign) and rule.straight_through == "clipped"


def _entropy(natural: Tensor | None) -> float | None:
    """Return the mean entropy of Bernoulli weights with these natural parameters, in bits."""
    if natural is None:
        return None
    probability = torch.sigmoid(2 * natural.double())
    entropy = torch.special.entr(probability) + torch.special.entr(torch.sigmoid(-2 * natural.double()))
    return float(entropy.mean()) / math.log(2)


def _neurons(net: nn.Module, x: Inputs, step: bool | None) -> tuple[NeuronReport, ...]:
    check_input(x)
    form = form_of(net, x, step, None if step is None else 0)  # found out by other runs, which are not counted
    counted: dict[str, list[Any]] = {}
    device = arguments_of(x)[0].device
    devices = [device.index] if device.type == "cuda" else []
    with ExitStack() as hooks:
        for name, module in net.named_modules():
            if takes_one_step(module) is not None and not any(
                takes_one_step(child) is not None for child in module.modules() if child is not module
            ):
                count = _counting(counted.setdefault(name or "network", []))
                hooks.enter_context(module.register_forward_hook(count))
        with evaluated(net), state_put_back(net), torch.no_grad(), torch.random.fork_rng(devices):
            run_as(form, net, x)
    return tuple(_report(name, calls) for name, calls in counted.items() if calls and None not in calls)


def _counting(calls: list[Any]) -> Any:
    def count(module: nn.Module, inputs: Any, output: Any) -> None:
        spikes = output[0] if isinstance(output, (tuple, list)) else output
        if not isinstance(spikes, Tensor) or not bool(((spikes == 0) | (spikes == 1)).all()):
            calls.append(None)  # what it gives is not spikes
            return
        dims = (0,) if takes_one_step(module) else (0, 1)
        calls.append((spikes.mean(dims), spikes.amax(dims) > 0, spikes.amin(dims) > 0))

    return count


def _report(name: str, calls: list[tuple[Tensor, Tensor, Tensor]]) -> NeuronReport:
    # A module that stands for several layers is called in several shapes, each with neurons of its own.
    shapes: dict[torch.Size, list[tuple[Tensor, Tensor, Tensor]]] = {}
    for call in calls:
        shapes.setdefault(call[0].shape, []).append(call)
    found = []
    for same in shapes.values():
        rates, ever, always = (torch.stack(parts) for parts in zip(*same, strict=True))
        found.append((rates.mean(0).flatten(), ~ever.any(0).flatten(), always.all(0).flatten()))
    rate, silent, saturated = (_mean(torch.cat(parts)) for parts in zip(*found, strict=True))
    return NeuronReport(name, rate, silent, saturated)


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def _above(value: float | None, most: float) -> bool:
    return value is not None and value > most


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
