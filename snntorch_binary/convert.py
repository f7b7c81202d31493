"""Models that exist: `binarize_`, `unbinarize_`, `freeze` and `reset`."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary._text import table
from snntorch_binary.nn.binary import (
    BINARY_TWINS,
    DEFAULT_SCALE,
    BinaryLayer,
    Scale,
    check_rule,
    check_scale,
    gain_like,
)
from snntorch_binary.nn.neurons.known import to_rest
from snntorch_binary.nn.subclasses import binary_class, plain_class
from snntorch_binary.nn.view import describes_zeros
from snntorch_binary.rooms import taken_apart
from snntorch_binary.weights import WeightRule, binary_layers, require_binary_layers, sampled
from snntorch_binary.weights.registry import unregister
from snntorch_binary.weights.rule import KINDS, Kind

Model = TypeVar("Model", bound=nn.Module)

_PARAMETERS_OF_TORCH_LAYERS = {"weight", "bias"}
_ASKED = "filter_fn said no"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conversion:
    """One row of a :class:`ConversionReport`: a module that holds weights, and what became of it."""

    name: str
    module: str
    converted: bool
    reason: str


@dataclass(frozen=True)
class ConversionReport:
    """What :func:`binarize_` converted and what not, and why; ``print(report)`` shows it as a table."""

    rows: tuple[Conversion, ...]

    @property
    def converted(self) -> tuple[str, ...]:
        """Names of the modules that are binary now."""
        return tuple(row.name for row in self.rows if row.converted)

    @property
    def skipped(self) -> dict[str, str]:
        """Names of the modules that hold weights and stayed as they were, with the reason."""
        return {row.name: row.reason for row in self.rows if not row.converted}

    @property
    def left_real(self) -> dict[str, str]:
        """Of :attr:`skipped`, those that nobody asked to leave as they were."""
        return {name: reason for name, reason in self.skipped.items() if reason != _ASKED}

    def __str__(self) -> str:
        cells = [(row.name or "(the model)", row.module, row.reason) for row in self.rows]
        return table(("name", "module", "what happened"), cells)


def binarize_(
    model: nn.Module,
    rule: WeightRule,
    filter_fn: Callable[[nn.Module, str], bool] | None = None,
    *,
    scale: Scale = DEFAULT_SCALE,
) -> ConversionReport:
    """Give every Linear and Conv layer of a model binary weights, in place.

    Names, hooks, biases, devices and the weight Parameters themselves stay: a converted layer's ``latent`` is the
    Parameter its ``weight`` was, so that weight tying and optimizers made before still hold. Learning starts from the
    existing weights as the rule says (:class:`Sign`: the weight; :class:`Bernoulli`: its sign times ``init_scale``).
    With ``scale="channel"`` the gain of each output starts where scale · (±1) has the mean magnitude of its weights.

    Args:
        model: any module; nested containers and the layers inside neurons too. Of snnTorch's neurons these are
            ``recurrent`` of RLeaky and RSynaptic, ``conv`` of SConv2dLSTM, ``linear`` of LinearLeaky and the ``to_*``
            of AssociativeLeaky; the RNN of LeakyParallel and the LSTMCell of SLSTM stay real. The raw weights of
            Norse's cells become layers, ``cell.synapses["input_weights"]`` and ``["recurrent_weights"]``.
        rule: :class:`Sign` or :class:`Bernoulli`.
        filter_fn: ``filter_fn(module, name) -> bool`` says which layers are converted; all by default.
        scale: as in :class:`snntorch_binary.nn.BinaryLinear`.

    Returns:
        A report of what was converted and what not, and why. What stays real although nobody asked for it is logged,
        too.

    Warns:
        UserWarning: weights of a layer are exactly zero (pruned), which binary weights cannot be.

    Raises:
        TypeError: ``rule`` is not a weight rule.
        ValueError: there is nothing to convert, or the model has binary layers already.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 2))
        >>> report = sb.binarize_(net, sb.Bernoulli(), lambda module, name: name != "2")
        >>> report.converted, report.skipped
        (('0',), {'2': 'filter_fn said no'})
    """
    check_rule(rule)
    check_scale(scale)
    binary = list(binary_layers(model))
    if binary:
        raise ValueError(
            expected("model", "a model without binary layers", f"one where {binary[0] or 'it'!r} is binary")
        )
    with taken_apart(model):
        chosen, report = _choose(model, rule, filter_fn)
        if not chosen:
            raise ValueError(
                expected("model", "a model with a Linear or Conv layer to convert", type(model).__name__)
                + (f"\n{report}" if report.rows else "")
            )
        for module in chosen:
            free = getattr(module, "zeros_are_masked", False) or not rule.takes_signs
            zeros = None if free else describes_zeros(module.weight.detach())  # type: ignore[operator]  # a Linear's or Conv's
            if zeros is not None:
                warnings.warn(f"{type(module).__name__}: {zeros}: they start as +1.", UserWarning, stacklevel=2)
        # Before any layer changes: tied layers share what the gain is computed from.
        gains = [gain_like(module.weight) if scale == "channel" else None for module in chosen]  # type: ignore[arg-type]  # a Linear's or Conv's
        for module, gain in zip(chosen, gains, strict=True):
            convert_(module, rule, scale, gain)
    if report.left_real:
        left = "; ".join(f"{name} ({why})" for name, why in report.left_real.items())
        _log.warning("binarize_ leaves real: %s", left)
    return report


def _choose(
    model: nn.Module, rule: WeightRule, filter_fn: Callable[[nn.Module, str], bool] | None
) -> tuple[list[nn.Module], ConversionReport]:
    """Return the modules to convert, and the report of what is converted and what not."""
    modules = dict(model.named_modules())
    reasons = {name: _reason_to_skip(module, name, filter_fn) for name, module in modules.items()}
    real = {id(module) for name, module in modules.items() if reasons[name] is not None}
    users = _users_of_parameters(model)
    rows: list[Conversion] = []
    chosen: list[nn.Module] = []
    for name, module in modules.items():
        reason = reasons[name]
        strangers = [user for user in users.get(id(module._parameters.get("weight")), []) if id(user) in real]
        if reason is None and strangers:
            reason = f"its weight is shared with {type(strangers[0]).__name__}, which stays real"
        if reason is None:
            chosen.append(module)
            rows.append(Conversion(name, type(module).__name__, True, f"binary by {rule!r}"))
        elif reason:
            rows.append(Conversion(name, type(module).__name__, False, reason))
    return chosen, ConversionReport(tuple(rows))


def convert_(module: nn.Module, rule: WeightRule, scale: Scale, gain: Tensor | None = None) -> None:
    """Make one of torch's layers binary, in place."""
    # The class changes and the object stays, as torch's own lazy modules do it: hooks and references survive.
    binary = binary_class(type(module))
    assert binary is not None
    module.__class__ = binary
    assert isinstance(module, BinaryLayer)
    module._become_binary(rule, scale)
    if module.gain is not None and gain is not None:
        with torch.no_grad():
            module.gain.copy_(gain)


def _users_of_parameters(model: nn.Module) -> dict[int, list[nn.Module]]:
    users: dict[int, list[nn.Module]] = {}
    for module in model.modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                users.setdefault(id(parameter), []).append(module)
    return users


def _reason_to_skip(module: nn.Module, name: str, filter_fn: Callable[[nn.Module, str], bool] | None) -> str | None:
    """Return ``None`` to convert, a reason not to, or an empty one for a module without weight matrices."""
    if isinstance(module, nn.modules.lazy.LazyModuleMixin) and module.has_uninitialized_params():
        return "not initialised yet: run the model once before"
    matrices = [key for key, value in module._parameters.items() if value is not None and value.dim() >= 2]
    if binary_class(type(module)) is None:
        if not matrices:
            return "parametrized" if hasattr(module, "parametrizations") else ""
        if isinstance(module, tuple(BINARY_TWINS)):
            return f"a subclass of {type(module).__mro__[1].__name__} may use its weight in another way"
        return f"{type(module).__name__} has no binary form: {', '.join(matrices)} stays real"
    if set(module._parameters) != _PARAMETERS_OF_TORCH_LAYERS or not isinstance(module.weight, nn.Parameter):
        return "its weight is computed by weight_norm or pruning"
    if not module.weight.is_floating_point():
        return f"its weight is of type {module.weight.dtype}"
    if filter_fn is not None and not filter_fn(module, name):
        return _ASKED
    return None


def unbinarize_(model: nn.Module) -> nn.Module:
    """Turn every binary layer of a model back into torch's own, with a trainable real weight, in place.

    For :class:`Sign` the weight is the latent, so that ``binarize_`` and ``unbinarize_`` without training between them
    change nothing; for :class:`Bernoulli` it is the posterior mean, scale · tanh(w_r).

    Args:
        model: a model with binary layers.

    Returns:
        The same model.

    Raises:
        ValueError: the model has no binary layer.
        TypeError: one of its binary layers is of a class of your own, whose plain form is unknown.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Linear(4, 2); before = net.weight.clone()
        >>> _ = sb.binarize_(net, sb.Sign()); _ = sb.unbinarize_(net)
        >>> type(net).__name__, bool((net.weight == before).all())
        ('Linear', True)
    """
    layers = require_binary_layers(model)
    for layer in layers.values():
        _plain_class(layer)
    new = {}
    with sampled(model, "mean"), torch.no_grad():
        for layer in layers.values():
            latent = layer.latent
            new[id(latent)] = _plain(layer.weight) if layer.rule.has_posterior else latent.clone()
    with taken_apart(model):
        for layer in layers.values():
            latent = layer.latent
            _become_plain(layer)
            layer.weight.data.copy_(new[id(latent)])
    return model


def freeze(model: Model, kind: Kind = "mode", generator: torch.Generator | None = None) -> Model:
    """Return a copy of a model in plain torch modules whose weights are fixed at scale · (±1).

    The copy needs nothing of this package: it can be traced, exported, or handed to another library. The scale is part
    of the weight, so a sum may be rounded differently than in the binary layer, which scales after the product. Plain
    convolutions do not take [T, B, C, ...]: put :class:`snntorch_binary.nn.TimeFirst` around those that get it.

    Args:
        model: a model with binary layers; it is left as it was.
        kind: ``"mode"`` (most probable weights), ``"binary"`` (one posterior draw), ``"mean"`` or ``"relaxed"``.
        generator: where the draw of ``"binary"`` and ``"relaxed"`` comes from.

    Returns:
        The frozen copy, whose former binary weights do not require gradients.

    Raises:
        ValueError: the kind is unknown, or the model has no binary layer.
        TypeError: one of its binary layers is of a class of your own, whose plain form is unknown.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = sb.nn.BinaryLinear(4, 2, weight=sb.Bernoulli())
        >>> frozen = sb.freeze(net)
        >>> type(frozen).__name__, frozen.weight.abs().unique().tolist()
        ('Linear', [0.5])
    """
    if kind not in KINDS:
        raise ValueError(expected("kind", f"one of {list(KINDS)}", repr(kind)))
    for own in require_binary_layers(model).values():
        _plain_class(own)
    frozen = copy_model(model)
    with sampled(frozen, kind, generator), torch.no_grad():
        weights = {name: _plain(layer.weight) for name, layer in binary_layers(frozen).items()}
    with taken_apart(frozen):
        for name, weight in weights.items():
            layer: Any = frozen.get_submodule(name)
            _become_plain(layer)
            layer.weight = nn.Parameter(weight, requires_grad=False)
    return frozen


def _plain(weight: Tensor) -> Tensor:
    return weight.detach().as_subclass(Tensor).clone()


def _plain_class(layer: Any) -> type[nn.Module]:
    """Return torch's class of a binary layer."""
    plain = plain_class(type(layer))
    if plain is None:
        own = ", ".join(binary.__name__ for binary in BINARY_TWINS.values())
        raise TypeError(expected("model", f"one whose binary layers are {own}", f"a {type(layer).__name__}"))
    return plain


def _become_plain(layer: Any) -> None:
    """Make a binary layer torch's own again; its ``weight`` is the Parameter its latent was."""
    latent, bias = layer.latent, layer.bias
    unregister(layer)
    plain = _plain_class(layer)
    for name in ("gain", "weight", "bias"):
        layer._parameters.pop(name, None)
    layer._buffers.pop("prior_latent", None)
    layer._non_persistent_buffers_set.discard("prior_latent")
    for name in ("draw", "scale"):
        del layer.__dict__[name]
    layer.__class__ = plain
    layer.register_parameter("weight", latent)
    layer.register_parameter("bias", bias)


def copy_model(model: Model) -> Model:
    """Return a deep copy; membrane potentials that are part of an autograd graph are copied detached."""
    memo: dict[int, object] = {}
    for module in model.modules():
        for value in [*module._buffers.values(), *module.__dict__.values()]:
            _detach_graph_tensors(value, memo)
    return copy.deepcopy(model, memo)


def _detach_graph_tensors(value: object, memo: dict[int, object]) -> None:
    """Let a deep copy, which refuses tensors inside a graph, find detached copies of them, in lists and dicts too."""
    if isinstance(value, Tensor):
        if not value.is_leaf and id(value) not in memo:
            memo[id(value)] = value.detach().clone()
    elif isinstance(value, (list, tuple, set)):
        for part in value:
            _detach_graph_tensors(part, memo)
    elif isinstance(value, dict):
        for part in value.values():
            _detach_graph_tensors(part, memo)


def reset(model: nn.Module) -> None:
    """Start a new sequence: reset the state of every stateful neuron of this model, and of no other.

    ``snntorch.utils.reset`` looks at direct children only, misses copies and subclasses, and resets all networks of the
    process; this walks the model's own modules and calls their ``reset_mem()``, ``reset_states()``, ``reset_state()``
    or, of SpikingJelly's neurons, ``reset()``.

    Args:
        model: any module with neurons of snnTorch, of this package or of another library, at any depth.

    Example:
        >>> import snntorch as snn, torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(torch.nn.Sequential(snn.Leaky(beta=0.9, init_hidden=True)))
        >>> _ = net(torch.full((1, 2), 0.4)); sb.reset(net)
        >>> net[0][0].mem.tolist()
        [[0.0, 0.0]]
    """
    for module in model.modules():
        reset_state = to_rest(module)
        if reset_state is not None:
            reset_state()
