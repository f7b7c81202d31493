"""Neurons over a whole sequence: the user's own module says the constants, one scan goes through all time steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.nn._neuron import Neuron
from snntorch_binary.nn._scan import exponential_filter, leaky_scan
from snntorch_binary.nn.leaky import Leaky
from snntorch_binary.nn.surrogate import ArcTan, FastSigmoid, Surrogate
from snntorch_binary.nn.synaptic import Synaptic

_RESETS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


def scan_over_time(neuron: Any, x: Tensor, initial: tuple[Tensor | None, ...], steps: int | None = None) -> Any:
    """Return spikes and states [T, B, ...] of neurons that take one time step a call.

    Args:
        neuron: neurons of which :func:`why_no_scan` says nothing.
        x: input currents [T, B, ...]; with ``steps`` [B, ...], the same at every one of them.
        initial: the states to start from, ``None`` or another shape than [B, ...] for those at rest.
        steps: number of steps.
    """
    if steps is not None:
        x = x.unsqueeze(0).expand(steps, *x.shape)
    x = x.contiguous()
    found = _scan_of_ours(neuron, x, initial) if isinstance(neuron, Neuron) else _scan(neuron, x, initial)
    for key, hook in neuron._forward_hooks.items():  # such as of what counts operations
        hook(neuron, (x,), *([{}] if key in neuron._forward_hooks_with_kwargs else []), found)
    return found


def _scan_of_ours(neuron: Neuron, x: Tensor, initial: tuple[Tensor | None, ...]) -> Any:
    twin = over_time(neuron, output=True)
    twin.__dict__.update(_forward_hooks={}, _forward_pre_hooks={})
    if all(state is None for state in initial):
        return twin(x)
    return twin(x, *(torch.zeros(0) if state is None else state for state in initial))


def _scan(neuron: Any, x: Tensor, initial: tuple[Tensor | None, ...]) -> Any:
    rest = torch.zeros_like(x[0])
    *synapse, mem = (rest if state is None or state.shape != rest.shape else state for state in initial)
    surrogate = surrogate_of(neuron.spike_grad)
    assert isinstance(surrogate, Surrogate)
    currents = x
    if synapse:
        currents = exponential_filter(x, neuron.alpha.to(x.dtype).clamp(0, 1), synapse[0])
    beta, threshold = neuron.beta.to(x.dtype).clamp(0, 1), neuron.threshold.to(x.dtype)
    reset = _RESETS[neuron.state_function.__name__]
    spikes, mem = leaky_scan(currents, mem, beta, threshold, reset, surrogate)
    factor = neuron.graded_spikes_factor
    if isinstance(factor, nn.Parameter) or factor.device.type != "cpu" or bool((factor != 1).any()):
        spikes = spikes * factor
    return (spikes, currents, mem) if synapse else (spikes, mem)


def states_of(neuron: nn.Module) -> tuple[str, ...]:
    """Return the names of the states of neurons that :func:`scan_over_time` takes, as it returns them."""
    if isinstance(neuron, Neuron):
        return tuple(neuron.State._fields)
    return ("syn", "mem") if type(neuron).__name__ == "Synaptic" else ("mem",)


def why_no_scan(neuron: nn.Module) -> str | None:
    """Say why neurons go step by step, or ``None`` where :func:`scan_over_time` takes them."""
    if isinstance(neuron, Neuron):
        if not neuron.one_step:
            return "they take a sequence"
        return None if type(neuron).__module__.startswith("snntorch_binary.") else "a class of the user's own"
    kind = snntorch_kind(neuron)
    if kind is None:
        return f"no scan for {type(neuron).__name__} neurons"
    for option in ("inhibition", "state_quant", "surrogate_disable"):
        if getattr(neuron, option, False):
            return f"no scan with {option}"
    if not getattr(neuron, "reset_delay", True):
        return "no scan with reset_delay=False"
    if kind == "Synaptic" and neuron.state_function.__name__ == "_base_zero":  # type: ignore[union-attr]
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


def over_time(neuron: Neuron, output: bool) -> Neuron:
    """Return the time-first form of a neuron of this package, with its parameters."""
    twin = copy.copy(neuron)
    twin.__dict__.update(_parameters=dict(neuron._parameters), _buffers=dict(neuron._buffers))
    twin.one_step, twin.init_hidden, twin.output, twin._kept = False, False, output, None
    return twin


def has_twin(neuron: nn.Module) -> bool:
    """Say whether :func:`twin_of` knows neurons: snnTorch's ``Leaky`` and ``Synaptic``, without some options."""
    options = ("inhibition", "state_quant", "surrogate_disable")
    return snntorch_kind(neuron) is not None and not any(getattr(neuron, option, False) for option in options)


def twin_of(neuron: Any, **form: bool) -> Leaky | Synaptic:
    """Return ours for snnTorch's ``Leaky`` or ``Synaptic``, with its parameters.

    Args:
        neuron: the neurons.
        **form: ``output``, ``step`` and ``init_hidden`` of ours.
    """
    options: dict[str, Any] = {
        "threshold": neuron.threshold,
        "spike_grad": surrogate_of(neuron.spike_grad),
        "reset_mechanism": neuron.reset_mechanism,
        "reset_delay": getattr(neuron, "reset_delay", True),
        **form,
    }
    twin: Leaky | Synaptic
    if not hasattr(neuron, "alpha"):
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


@lru_cache(maxsize=256)
def surrogate_of(spike_grad: Callable[[Tensor], Tensor] | None) -> Callable[[Tensor], Tensor] | None:
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
