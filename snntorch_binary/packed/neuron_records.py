"""Neurons as a file holds them: their kind, their constants, and whether they fire at the threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from snntorch_binary.kernels.surrogates import ArcTan, Boxcar
from snntorch_binary.nn.leaky import Leaky
from snntorch_binary.nn.refractory import Refractory
from snntorch_binary.nn.srm import SRM
from snntorch_binary.nn.synaptic import Synaptic
from snntorch_binary.nn.synaptic_trace import SynapticTrace
from snntorch_binary.packed.neurons import fires_at_threshold
from snntorch_binary.packed.record import Kinds, Record, Tensors

_RESETS = ("subtract", "zero", "none")


def _lif_to_record(neuron: Leaky | Synaptic, path: str, tensors: Tensors) -> dict[str, Any]:
    at_threshold = fires_at_threshold(neuron)
    if at_threshold is None:
        raise TypeError(f"A packed file cannot hold the spike_grad of {path}: it is no step at the threshold.")
    for name in _LIF_TENSORS[type(neuron)]:
        tensors[f"{path}.{name}"] = getattr(neuron, name).detach().to(torch.float32).clone()
    return {
        "fires_at_threshold": at_threshold,
        "reset_mechanism": neuron.reset_mechanism,
        "reset_delay": neuron.reset_delay,
        **_form_to_record(neuron),
    }


_LIF_TENSORS: dict[type[nn.Module], tuple[str, ...]] = {
    Leaky: ("beta", "threshold", "graded_spikes_factor"),
    Synaptic: ("alpha", "beta", "threshold"),
}


def _form_to_record(neuron: Any) -> dict[str, Any]:
    return {"step": neuron.one_step, "init_hidden": neuron.init_hidden, "output": neuron.output}


def _form_of(record: Record) -> dict[str, bool]:
    return {name: record.flag(name) for name in ("step", "init_hidden", "output")}


def _lif_of(kind: type[Leaky] | type[Synaptic]) -> Callable[[Record], nn.Module]:
    def of(record: Record) -> nn.Module:
        constants: dict[str, Any] = {name: record.tensor(name, torch.float32).clone() for name in _LIF_TENSORS[kind]}
        return kind(
            **constants,
            spike_grad=ArcTan(2.0, fires_at_threshold=record.flag("fires_at_threshold")),
            reset_mechanism=record.choice("reset_mechanism", _RESETS),
            reset_delay=record.flag("reset_delay"),
            **_form_of(record),
        )

    return of


def _srm_to_record(neuron: SRM, path: str, tensors: Tensors) -> dict[str, Any]:
    names = ("tau_mem", "tau_syn", "tau_ref", "threshold")
    return {
        **{name: float(getattr(neuron, name)) for name in names},
        "fires_at_threshold": neuron.surrogate.fires_at_threshold,
        **_form_to_record(neuron),
    }


def _srm_of(record: Record) -> SRM:
    return SRM(
        record.number("tau_mem"),
        record.number("tau_syn"),
        record.number("tau_ref"),
        record.number("threshold"),
        Boxcar(fires_at_threshold=record.flag("fires_at_threshold")),
        **_form_of(record),
    )


def _refractory_to_record(neuron: Refractory, path: str, tensors: Tensors) -> dict[str, Any]:
    return {
        "tau_ref": float(neuron.tau_ref),
        "threshold": neuron.threshold,
        "fires_at_threshold": neuron.surrogate.fires_at_threshold,
        **_form_to_record(neuron),
    }


def _refractory_of(record: Record) -> Refractory:
    surrogate = Boxcar(fires_at_threshold=record.flag("fires_at_threshold"))
    return Refractory(record.number("tau_ref"), record.number("threshold"), surrogate, **_form_of(record))


def _trace_to_record(trace: SynapticTrace, path: str, tensors: Tensors) -> dict[str, Any]:
    return {
        "tau_mem": float(trace.tau_mem),
        "tau_syn": float(trace.tau_syn),
        "normalize": trace.normalize,
        "step": trace.one_step,
        "init_hidden": trace.init_hidden,
    }


def _trace_of(record: Record) -> SynapticTrace:
    flags = {name: record.flag(name) for name in ("normalize", "step", "init_hidden")}
    return SynapticTrace(record.number("tau_mem"), record.number("tau_syn"), **flags)


FUSED: Kinds = {
    "Leaky": (Leaky, _lif_to_record, _lif_of(Leaky)),
    "Synaptic": (Synaptic, _lif_to_record, _lif_of(Synaptic)),
    "SRM": (SRM, _srm_to_record, _srm_of),
}
"""Neurons that a packed layer can hold."""

NEURONS: Kinds = {
    **FUSED,
    "Refractory": (Refractory, _refractory_to_record, _refractory_of),
    "SynapticTrace": (SynapticTrace, _trace_to_record, _trace_of),
}
