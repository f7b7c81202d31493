"""`binarize_`: binary weights for the Linear and Conv layers of a model that exists."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from snntorch_binary._errors import expected
from snntorch_binary.convert.foreign import taken_apart
from snntorch_binary.convert.report import ASKED, Conversion, ConversionReport
from snntorch_binary.nn.binary import BINARY_TWINS, BinaryLayer, check_rule
from snntorch_binary.nn.scale import Scale, check_scale, gain_like
from snntorch_binary.nn.subclasses import binary_class
from snntorch_binary.nn.view import describes_zeros
from snntorch_binary.weights import WeightRule, binary_layers

_PARAMETERS_OF_TORCH_LAYERS = {"weight", "bias"}

Position = Literal["all but first", "all but last", "all but first and last"]
"""Layers that become binary, by their place in the model."""

_log = logging.getLogger(__name__)


def binarize_(
    model: nn.Module,
    rule: WeightRule,
    filter_fn: Callable[[nn.Module, str], bool] | Position | None = None,
    *,
    scale: Scale | None = None,
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
        rule: :class:`Sign`, :class:`BalancedSign`, :class:`Bernoulli` or :class:`BalancedBernoulli`.
        filter_fn: ``filter_fn(module, name) -> bool`` says which layers are converted; all by default. The words ``"all
            but first"``, ``"all but last"`` and ``"all but first and last"``, in the order in which the model holds its
            layers, leave those real whose weights are few and matter most; the report says what that costs in bits.
        scale: as in :class:`snntorch_binary.nn.BinaryLinear`; ``None`` for that of the rule.

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
        (('0',), {'2': 'left real, as filter_fn says'})
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Linear(64, 64), torch.nn.Linear(64, 2))
        >>> report = sb.binarize_(net, sb.Sign(), "all but first and last")
        >>> report.converted, round(report.bits_per_weight, 2)
        (('1',), 5.19)
    """
    check_rule(rule)
    scale = check_scale(scale, rule)
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
        gains = [gain_like(module, module.weight) if scale == "channel" else None for module in chosen]  # type: ignore[arg-type]  # a Linear's or Conv's
        for module, gain in zip(chosen, gains, strict=True):
            convert_(module, rule, scale, gain)
    if report.left_real:
        left = "; ".join(f"{name} ({why})" for name, why in report.left_real.items())
        _log.warning("binarize_ leaves real: %s", left)
    return report


def _by_position(model: nn.Module, position: str) -> Callable[[nn.Module, str], bool]:
    """Return the filter that leaves the first or last layer real that could become binary."""
    if position not in get_args(Position):
        raise ValueError(expected("filter_fn", f"a function or one of {', '.join(get_args(Position))}", repr(position)))
    layers = [name for name, module in model.named_modules() if _reason_to_skip(module, name, None) is None]
    ends = {"first": layers[:1], "last": layers[-1:]}
    real = {name for end, names in ends.items() if end in position for name in names}
    return lambda module, name: name not in real


def _choose(
    model: nn.Module, rule: WeightRule, filter_fn: Callable[[nn.Module, str], bool] | Position | None
) -> tuple[list[nn.Module], ConversionReport]:
    """Return the modules to convert, and the report of what is converted and what not."""
    if isinstance(filter_fn, str):
        filter_fn = _by_position(model, filter_fn)
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
            what = f"binary by {rule!r}"
            rows.append(Conversion(name, type(module).__name__, True, what, _num_weights(module), rule.bits))
        elif reason:
            rows.append(Conversion(name, type(module).__name__, False, reason, _num_weights(module)))
    return chosen, ConversionReport(tuple(rows))


def _num_weights(module: nn.Module) -> int:
    made = [value for value in module._parameters.values() if value is not None and not is_lazy(value)]
    return sum(value.numel() for value in made if value.dim() > 1)


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
        return ASKED
    return None
