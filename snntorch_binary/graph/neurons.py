"""Neurons over a whole sequence: the user's own module says the constants, one scan goes through all time steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.kernels.channels_last import dense
from snntorch_binary.kernels.scan import exponential_filter_and_last, leaky_scan_and_last
from snntorch_binary.kernels.surrogates import Surrogate
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.description import description_of
from snntorch_binary.nn.neurons.of_snntorch import (
    leaky_over_time,
    option_without_twin,
    surrogate_of,
    synaptic_over_time,
)

_RESETS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


def scan_over_time(
    neuron: Any,
    x: Tensor,
    initial: tuple[Tensor | None, ...],
    steps: int | None = None,
    any_order: bool = False,
    to_convolution: bool = False,
) -> Any:
    """Return spikes and states [T, B, ...] of neurons that take one time step a call.

    Args:
        neuron: neurons of which :func:`why_no_scan` says nothing.
        x: input currents [T, B, ...]; with ``steps`` [B, ...], the same at every one of them.
        initial: the states to start from, ``None`` or another shape than [B, ...] for those at rest.
        steps: number of steps.
        any_order: whether maps that lie channels-last in memory may stay so.
        to_convolution: whether spikes go to a binary convolution, which takes them channels-last.

    Raises:
        ValueError: the neurons have changed since, so that :func:`why_no_scan` says something by now.
    """
    return scan_and_last(neuron, x, initial, steps, any_order, to_convolution)[0]


def scan_and_last(
    neuron: Any,
    x: Tensor,
    initial: tuple[Tensor | None, ...],
    steps: int | None = None,
    any_order: bool = False,
    to_convolution: bool = False,
) -> tuple[Any, tuple[Tensor, ...]]:
    """Return the same, and the states to go on from, [B, ...]; none where :func:`goes_on_from_a_state` says no."""
    if steps is None and len(x) > 1 and x.stride(0) == 0:  # as a norm of what is the same at every step gives it
        x, steps = x[0], len(x)
    plain = not isinstance(neuron, Neuron) and snntorch_kind(neuron) is not None
    if steps is not None and plain and len(initial) == 1 and not neuron._forward_hooks:
        _check_unchanged(neuron, why_no_scan(neuron))
        maps = to_convolution and x.dim() == 4  # ordered once, in place of at every step
        x = x.contiguous(memory_format=torch.channels_last if maps else torch.contiguous_format)
        return _scan(neuron, x, initial, steps)
    if steps is not None:
        x = x.unsqueeze(0).expand(steps, *x.shape)
    x = dense(x) if any_order else x.contiguous()
    last: tuple[Tensor, ...] = ()
    if isinstance(neuron, Neuron):
        found, last = _scan_of_ours(neuron, x, initial)
    elif plain:
        _check_unchanged(neuron, why_no_scan(neuron))
        found, last = _scan(neuron, x, initial)
    else:
        ours = _ours_over_time(neuron, True)
        ours = _ours_over_time(neuron, False) if isinstance(ours, str) and not _learns(neuron, x) else ours
        _check_unchanged(neuron, ours if isinstance(ours, str) else None)
        found = ours(x)  # type: ignore[operator]  # a reason has been refused
    for key, hook in neuron._forward_hooks.items():  # such as of what counts operations
        hook(neuron, (x,), *([{}] if key in neuron._forward_hooks_with_kwargs else []), found)
    return found, last


def _learns(neuron: nn.Module, x: Tensor) -> bool:
    return torch.is_grad_enabled() and (x.requires_grad or any(each.requires_grad for each in neuron.parameters()))


def _check_unchanged(neuron: nn.Module, reason: str | None) -> None:
    """Refuse neurons that went through a scan when their network was fused and no longer do, for a reason."""
    if reason is not None:
        got = f"{type(neuron).__name__} neurons that have changed since ({reason}): fuse it again"
        raise ValueError(expected("net", "a network whose neurons are as they were when it was fused", got))


def _scan_of_ours(neuron: Neuron, x: Tensor, initial: tuple[Tensor | None, ...]) -> tuple[Any, tuple[Tensor, ...]]:
    twin: Any = neuron.over_time(output=True)
    given = None
    if any(state is not None for state in initial):
        given = tuple(torch.zeros(0) if state is None else state for state in initial)
    if twin.resumes:
        spikes, states, last = twin._resumed(twin._checked(x), given)
        return (spikes, *states), last
    twin.__dict__.update(_forward_hooks={}, _forward_pre_hooks={})
    return twin(x, *(given or ())), ()


def _scan(
    neuron: Any, x: Tensor, initial: tuple[Tensor | None, ...], steps: int | None = None
) -> tuple[Any, tuple[Tensor, ...]]:
    if x.dtype in (torch.float16, torch.bfloat16) and torch.is_autocast_enabled(x.device.type):
        x = x.float()  # as step by step, where states at rest are float32
    rest = torch.zeros_like(x[0] if steps is None else x)
    *synapse, mem = (rest if state is None or state.shape != rest.shape else state for state in initial)
    surrogate = surrogate_of(neuron.spike_grad)
    assert isinstance(surrogate, Surrogate)
    currents = x
    if synapse:
        currents, synapse[0] = exponential_filter_and_last(x, neuron.alpha.to(x.dtype).clamp(0, 1), synapse[0])
    beta, threshold = neuron.beta.to(x.dtype).clamp(0, 1), neuron.threshold.to(x.dtype)
    reset = _RESETS[neuron.state_function.__name__]
    spikes, mem, last_mem = leaky_scan_and_last(currents, mem, beta, threshold, reset, surrogate, steps)
    factor = neuron.graded_spikes_factor
    unknown = torch.compiler.is_compiling() or isinstance(factor, nn.Parameter) or factor.device.type != "cpu"
    if unknown or bool((factor != 1).any()):
        spikes = spikes * factor
    return (spikes, currents, mem) if synapse else (spikes, mem), (*synapse, last_mem)


def goes_on_from_a_state(neuron: nn.Module) -> bool:
    """Say whether :func:`scan_over_time` takes the states that it returned before, in place of those at rest."""
    return neuron.resumes if isinstance(neuron, Neuron) else snntorch_kind(neuron) is not None


def states_of(neuron: nn.Module) -> tuple[str, ...]:
    """Return the names of the states of neurons that :func:`scan_over_time` takes, as it returns them."""
    if isinstance(neuron, Neuron):
        return tuple(neuron.State._fields)
    if snntorch_kind(neuron) is None:
        return ()
    return ("syn", "mem") if type(neuron).__name__ == "Synaptic" else ("mem",)


def why_no_scan(neuron: nn.Module, learns: bool = True) -> str | None:
    """Say why neurons go step by step, or ``None`` where :func:`scan_over_time` takes them.

    Args:
        neuron: the neurons.
        learns: whether a scan has to have their gradients, too.
    """
    if isinstance(neuron, Neuron):
        if not neuron.one_step:
            return "they take a sequence"
        return None if type(neuron).__module__.startswith("snntorch_binary.") else "a class of the user's own"
    kind = snntorch_kind(neuron)
    if kind is None:
        ours = _ours_over_time(neuron, learns)
        return ours if isinstance(ours, str) else None
    option = option_without_twin(neuron)
    if option is not None:
        return f"no scan with {option}"
    if not getattr(neuron, "reset_delay", True):
        return "no scan with reset_delay=False"
    if kind == "Synaptic" and neuron.state_function.__name__ == "_base_zero":  # type: ignore[union-attr]  # of snnTorch's
        return "no scan of Synaptic neurons with a reset to zero"
    if not isinstance(surrogate_of(neuron.spike_grad), Surrogate):
        return "a surrogate gradient of its own"
    return None


def snntorch_kind(neuron: nn.Module) -> str | None:
    """Return ``"Leaky"`` or ``"Synaptic"`` for snnTorch's neurons, and for subclasses with the same methods."""
    for base in type(neuron).__mro__:
        if base.__module__.startswith("snntorch."):
            known = (
                base.__name__ in ("Leaky", "Synaptic") and base.__module__.rpartition(".")[2] == base.__name__.lower()
            )
            return base.__name__ if known else None
        if set(vars(base)) - {"__module__", "__init__", "__doc__", "__static_attributes__", "__firstlineno__"}:
            return None
    return None


def _ours_over_time(neuron: nn.Module, learns: bool) -> Neuron | str:
    """Return ours, time-first, for neurons of a library that say so themselves; or why they go step by step."""
    description = description_of(neuron)
    if description is None or description.in_inference is None or description.over_time is None:
        return f"no scan for {type(neuron).__name__} neurons"
    ours = (description.over_time if learns else description.in_inference)(neuron, True)
    assert isinstance(ours, (Neuron, str))
    return ours if isinstance(ours, str) else ours.over_time(output=True)


def twin_in_inference(neuron: Any) -> Neuron | None:
    """Return ours for neurons of another library that give the same answers, in the form that these have.

    For snnTorch's they share the parameters. There is none for neurons with options that ours do not have.
    """
    if snntorch_kind(neuron) is not None:
        if option_without_twin(neuron) is not None:
            return None
        over_time = leaky_over_time if snntorch_kind(neuron) == "Leaky" else synaptic_over_time
        twin: Any = over_time(neuron, bool(neuron.output))
        twin.one_step, twin.init_hidden = True, bool(neuron.init_hidden)
        return twin
    description = description_of(neuron)
    if isinstance(neuron, Neuron) or description is None or description.in_inference is None:
        return None
    found = description.in_inference(neuron, False)
    return found if isinstance(found, Neuron) else None
