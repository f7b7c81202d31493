"""Neurons as a file holds them: their kind, their constants, and whether they fire at the threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from snntorch_binary.nn.neurons.leaky import Leaky
from snntorch_binary.nn.neurons.refractory import Refractory
from snntorch_binary.nn.neurons.srm import SRM
from snntorch_binary.nn.neurons.synaptic import Synaptic
from snntorch_binary.nn.neurons.synaptic_trace import SynapticTrace
from snntorch_binary.nn.surrogate import ArcTan, Boxcar
from snntorch_binary.packed.file.entry import Entry, Kinds, Tensors
from snntorch_binary.packed.neurons import fires_at_threshold

_RESETS = ("subtract", "zero", "none")


def _lif_to_entry(neuron: Leaky | Synaptic, path: str, tensors: Tensors) -> dict[str, Any]:
    at_threshold = fires_at_threshold(neuron)
    if at_threshold is None:
        raise TypeError(f"A packed file cannot hold the spike_grad of {path}: it is no step at the threshold.")
    for name in _LIF_TENSORS[type(neuron)]:
        tensors[f"{path}.{name}"] = getattr(neuron, name).detach().to(torch.float32).clone()
    return {
        "fires_at_threshold": at_threshold,
        "reset_mechanism": neuron.reset_mechanism,
        "reset_delay": neuron.reset_delay,
        **_form_to_entry(neuron),
    }


_LIF_TENSORS: dict[type[nn.Module], tuple[str, ...]] = {
    Leaky: ("beta", "threshold", "graded_spikes_factor"),
    Synaptic: ("alpha", "beta", "threshold"),
}


def _form_to_entry(neuron: Any) -> dict[str, Any]:
    return {"step": neuron.one_step, "init_hidden": neuron.init_hidden, "output": neuron.output}


def _form_of(entry: Entry) -> dict[str, bool]:
    return {name: entry.flag(name) for name in ("step", "init_hidden", "output")}


def _lif_of(kind: type[Leaky] | type[Synaptic]) -> Callable[[Entry], nn.Module]:
    def of(entry: Entry) -> nn.Module:
        constants: dict[str, Any] = {name: entry.tensor(name, torch.float32).clone() for name in _LIF_TENSORS[kind]}
        return kind(
            **constants,
            spike_grad=ArcTan(2.0, fires_at_threshold=entry.flag("fires_at_threshold")),
            reset_mechanism=entry.choice("reset_mechanism", _RESETS),
            reset_delay=entry.flag("reset_delay"),
            **_form_of(entry),
        )

    return of


def _srm_to_entry(neuron: SRM, path: str, tensors: Tensors) -> dict[str, Any]:
    names = ("tau_mem", "tau_syn", "tau_ref", "threshold")
    return {
        **{name: float(getattr(neuron, name)) for name in names},
        "fires_at_threshold": neuron.surrogate.fires_at_threshold,
        **_form_to_entry(neuron),
    }


def _srm_of(entry: Entry) -> SRM:
    return SRM(
        entry.number("tau_mem"),
        entry.number("tau_syn"),
        entry.number("tau_ref"),
        entry.number("threshold"),
        Boxcar(fires_at_threshold=entry.flag("fires_at_threshold")),
        **_form_of(entry),
    )


def _refractory_to_entry(neuron: Refractory, path: str, tensors: Tensors) -> dict[str, Any]:
    return {
        "tau_ref": float(neuron.tau_ref),
        "threshold": neuron.threshold,
        "fires_at_threshold": neuron.surrogate.fires_at_threshold,
        **_form_to_entry(neuron),
    }


def _refractory_of(entry: Entry) -> Refractory:
    surrogate = Boxcar(fires_at_threshold=entry.flag("fires_at_threshold"))
    return Refractory(entry.number("tau_ref"), entry.number("threshold"), surrogate, **_form_of(entry))


def _trace_to_entry(trace: SynapticTrace, path: str, tensors: Tensors) -> dict[str, Any]:
    return {
        "tau_mem": float(trace.tau_mem),
        "tau_syn": float(trace.tau_syn),
        "normalize": trace.normalize,
        "step": trace.one_step,
        "init_hidden": trace.init_hidden,
    }


def _trace_of(entry: Entry) -> SynapticTrace:
    flags = {name: entry.flag(name) for name in ("normalize", "step", "init_hidden")}
    return SynapticTrace(entry.number("tau_mem"), entry.number("tau_syn"), **flags)


FUSED: Kinds = {
    "Leaky": (Leaky, _lif_to_entry, _lif_of(Leaky)),
    "Synaptic": (Synaptic, _lif_to_entry, _lif_of(Synaptic)),
    "SRM": (SRM, _srm_to_entry, _srm_of),
}
"""Neurons that a packed layer can hold."""

NEURONS: Kinds = {
    **FUSED,
    "Refractory": (Refractory, _refractory_to_entry, _refractory_of),
    "SynapticTrace": (SynapticTrace, _trace_to_entry, _trace_of),
}
