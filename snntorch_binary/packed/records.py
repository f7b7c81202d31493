"""Packed modules as plain values and tensors, and back: the kinds of modules that a file may hold."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.kernels.bits import from_words, to_words
from snntorch_binary.nn.leaky import Leaky
from snntorch_binary.nn.srm import SRM
from snntorch_binary.nn.surrogate import ArcTan, Boxcar
from snntorch_binary.nn.synaptic import Synaptic
from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.packed.ensemble import PackedEnsemble
from snntorch_binary.packed.geometry import Geometry
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.neurons import fires_at_threshold
from snntorch_binary.packed.record import PackedFileError, Record
from snntorch_binary.packed.shaping import PackedFlatten, PackedMaxPool

_MOST_OUTPUTS = 2**22
_RESETS = ("subtract", "zero", "none")

Tensors = dict[str, Tensor]


def write(module: nn.Module, path: str, tensors: Tensors) -> dict[str, Any]:
    """Return the plain values of a module and add its tensors, under names that begin with ``path``.

    Raises:
        TypeError: there is no record for such a module.
    """
    for name, (kind, to_record, _) in _KINDS.items():
        if type(module) is kind:
            return {"type": name, **to_record(module, path, tensors)}
    raise TypeError(f"A packed file cannot hold a {type(module).__name__} ({path or 'the network'}).")


def read(record: Record) -> nn.Module:
    """Return the module of a record.

    Raises:
        PackedFileError: the record does not describe one.
    """
    name = record.choice("type", tuple(_KINDS))
    try:
        return _KINDS[name][2](record)
    except PackedFileError:
        raise
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise PackedFileError(f"The module {record.path!r} cannot be made: {error}") from None


# ---- layers --------------------------------------------------------------------------------------


def _without_copies(value: Tensor) -> Tensor:
    """[K, C] with one row where the members agree, and one column where the channels do."""
    value = value[:1] if bool((value == value[:1]).all()) else value
    return (value[:, :1] if bool((value == value[:, :1]).all()) else value).contiguous()


def _layer_to_record(layer: PackedLayer, path: str, tensors: Tensors) -> dict[str, Any]:
    layout, geometry = layer.layout, layer.geometry
    bits = to_words(layer.positive.reshape(1, -1, 1)).reshape(-1).view(torch.uint8)
    tensors[f"{path}.weights"] = bits[: (layer.num_weights + 7) // 8].clone()
    tensors[f"{path}.scale"] = _without_copies(layer.scale)
    if layer.bias is not None:
        tensors[f"{path}.bias"] = _without_copies(layer.bias)
    if layer.norm_scale is not None and layer.norm_bias is not None:
        tensors[f"{path}.norm_scale"] = _without_copies(layer.norm_scale)
        tensors[f"{path}.norm_bias"] = _without_copies(layer.norm_bias)
    return {
        "members": layout.members,
        "in_channels": layer.in_channels,
        "out_channels": layer.out_channels,
        "groups": layer.groups,
        **_geometry_to_record(geometry),
        "shared": layout.shared,
        "ensemble": layer.ensemble,
        "packed_output": layer.packed_output,
        "bias": layer.bias is not None,
        "fused_bias": layer.fused_bias,
        "norm": layer.norm_scale is not None,
        "neuron": None if layer.neuron is None else write(layer.neuron, f"{path}.neuron", tensors),
    }


def _geometry_to_record(geometry: Geometry) -> dict[str, Any]:
    return {
        "kernel": list(geometry.kernel),
        "stride": list(geometry.stride),
        "dilation": list(geometry.dilation),
        "padding_before": [before for before, _ in geometry.padding],
        "padding_after": [after for _, after in geometry.padding],
    }


def _geometry_of(record: Record) -> Geometry:
    padding = zip(record.sizes("padding_before", 0), record.sizes("padding_after", 0), strict=True)
    kernel, stride, dilation = (record.sizes(name, 1) for name in ("kernel", "stride", "dilation"))
    return Geometry(kernel, stride, dilation, tuple(padding))


def _layer_of(record: Record) -> PackedLayer:
    weights = record.tensor("weights", torch.uint8)
    most = 8 * weights.numel()
    members, outputs = record.integer("members", 1, most), record.integer("out_channels", 1, most)
    groups = record.integer("groups", 1, outputs)
    channels, geometry = record.integer("in_channels", 1, most * groups), _geometry_of(record)
    if channels % groups or outputs % groups:
        raise record.error("groups", f"a divisor of {channels} and {outputs}")
    shape = (members, outputs, channels // groups, *geometry.kernel)
    size = math.prod(shape)
    # Only now, with sizes that the file itself bears out, is anything made of them.
    if weights.dim() != 1 or weights.numel() != (size + 7) // 8 or members * outputs > _MOST_OUTPUTS:
        raise PackedFileError(f"The weights of module {record.path!r} are not {size} bits.")
    ensemble, packed_output, neuron = record.flag("ensemble"), record.flag("packed_output"), record.values.get("neuron")
    if (members > 1 and not ensemble) or (packed_output and neuron is None):
        raise PackedFileError(f"The module {record.path!r} contradicts itself.")
    norm = None
    if record.flag("norm"):
        norm = tuple(_per_output(record, name, members, outputs) for name in ("norm_scale", "norm_bias"))
    words = nn.functional.pad(weights, (0, -weights.numel() % 8)).view(torch.int64)
    return PackedLayer(
        (from_words(words, size) != 0).view(shape),
        _per_output(record, "scale", members, outputs),
        _per_output(record, "bias", members, outputs) if record.flag("bias") else None,
        None if neuron is None else _neuron_of(record.child(neuron, "neuron")),
        geometry,
        groups=groups,
        shared=record.flag("shared"),
        ensemble=ensemble,
        packed_output=packed_output,
        fused_bias=record.flag("fused_bias"),
        norm=norm,  # type: ignore[arg-type]
    )


def _per_output(record: Record, name: str, members: int, outputs: int) -> Tensor:
    value = record.tensor(name, torch.float32)
    if value.dim() != 2 or value.shape[0] not in (1, members) or value.shape[1] not in (1, outputs):
        raise PackedFileError(f"The tensor '{record.path}.{name}' is not of shape [{members}, {outputs}].")
    return value.expand(members, outputs)


def _linear_to_record(layer: nn.Linear, path: str, tensors: Tensors) -> dict[str, Any]:
    tensors[f"{path}.weight"] = layer.weight.detach().clone()
    if layer.bias is not None:
        tensors[f"{path}.bias"] = layer.bias.detach().clone()
    return {"bias": layer.bias is not None}


def _linear_of(record: Record) -> nn.Linear:
    weight = record.tensor("weight", torch.float32)
    bias = record.tensor("bias", torch.float32) if record.flag("bias") else None
    if weight.dim() != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        raise PackedFileError(f"The module {record.path!r} has no weight of two dimensions with a bias to it.")
    layer = nn.Linear(1, 1, bias=bias is not None)
    layer.out_features, layer.in_features = weight.shape
    layer.weight = nn.Parameter(weight.clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.clone())
    return layer


# ---- neurons -------------------------------------------------------------------------------------


def _neuron_of(record: Record) -> nn.Module:
    record.choice("type", ("Leaky", "Synaptic", "SRM"))
    return read(record)


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


# ---- what holds and moves --------------------------------------------------------------------------


def _sequence_to_record(sequence: nn.Module, path: str, tensors: Tensors) -> dict[str, Any]:
    inside = f"{path}." if path else ""
    return {"modules": [[name, write(child, inside + name, tensors)] for name, child in sequence._modules.items()]}  # type: ignore[arg-type]


def _modules_of(record: Record) -> dict[str, nn.Module]:
    modules = record.values.get("modules")
    if not isinstance(modules, list):
        raise record.error("modules", "a list")
    found: OrderedDict[str, nn.Module] = OrderedDict()
    for entry in modules:
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str) or entry[0] in found:
            raise record.error("modules", "a list of pairs of a name and a module")
        found[entry[0]] = read(record.child(entry[1], entry[0]))
    return found


def _sequence_of(record: Record) -> nn.Sequential:
    modules = _modules_of(record)
    bits = False
    for module in modules.values():
        shaping = isinstance(module, (PackedFlatten, PackedMaxPool))
        if (bits and not (shaping or isinstance(module, PackedLayer))) or (shaping and not bits):
            raise record.error("modules", "a list in which bits go to modules that take them")
        bits = shaping or (isinstance(module, PackedLayer) and module.packed_output)
    if bits:
        raise record.error("modules", "a list that does not end in bits")
    return nn.Sequential(OrderedDict(modules))


def _time_first_to_record(module: TimeFirst, path: str, tensors: Tensors) -> dict[str, Any]:
    return {"module": write(module.module, f"{path}.module", tensors)}


def _time_first_of(record: Record) -> TimeFirst:
    return TimeFirst(read(record.child(record.values.get("module"), "module")))


def _flatten_of(record: Record) -> nn.Flatten:
    return nn.Flatten(record.integer("start_dim", -8, 8), record.integer("end_dim", -8, 8))


def _ensemble_to_record(ensemble: PackedEnsemble, path: str, tensors: Tensors) -> dict[str, Any]:
    if not isinstance(ensemble.readout, str):
        raise TypeError("A packed file cannot hold a readout that is a function.")
    inside = f"{path}.net" if path else "net"
    return {
        "num_members": ensemble.num_members,
        "readout": ensemble.readout,
        "readout_scale": ensemble.readout_scale,
        "step": ensemble.step,
        "seed": ensemble.seed,
        "together": isinstance(ensemble.net, nn.Sequential),
        "net": {"type": "Sequential", **_sequence_to_record(ensemble.net, inside, tensors)},
    }


def _ensemble_of(record: Record) -> PackedEnsemble:
    members = record.integer("num_members", 1, 2**20)
    inside = record.child(record.values.get("net"), "net")
    if record.flag("together"):
        net: nn.Sequential | nn.ModuleList = _sequence_of(inside)
        layers = [module for module in net.modules() if isinstance(module, PackedLayer)]
        fits = bool(layers) and all(layer.ensemble and layer.layout.members == members for layer in layers)
    else:
        net = nn.ModuleList(_modules_of(inside).values())
        fits = len(net) == members
    if not fits:
        raise record.error("num_members", "the number of members")
    scale = record.values.get("readout_scale")
    return PackedEnsemble(
        net,
        members,
        readout=record.choice("readout", ("rate", "membrane")),  # type: ignore[arg-type]
        readout_scale=None if scale is None else record.number("readout_scale"),
        step=record.flag("step"),
        seed=record.integer("seed", -(2**63), 2**64),
    )


_KINDS: dict[str, tuple[type[nn.Module], Callable[..., dict[str, Any]], Callable[[Record], nn.Module]]] = {
    "PackedLayer": (PackedLayer, _layer_to_record, _layer_of),
    "PackedMaxPool": (
        PackedMaxPool,
        lambda module, path, tensors: _geometry_to_record(module.geometry),
        lambda record: PackedMaxPool(_geometry_of(record)),
    ),
    "PackedFlatten": (PackedFlatten, lambda module, path, tensors: {}, lambda record: PackedFlatten()),
    "PackedEnsemble": (PackedEnsemble, _ensemble_to_record, _ensemble_of),
    "Sequential": (nn.Sequential, _sequence_to_record, _sequence_of),
    "TimeFirst": (TimeFirst, _time_first_to_record, _time_first_of),
    "Flatten": (
        nn.Flatten,
        lambda module, path, tensors: {"start_dim": module.start_dim, "end_dim": module.end_dim},
        _flatten_of,
    ),
    "Linear": (nn.Linear, _linear_to_record, _linear_of),
    "Leaky": (Leaky, _lif_to_record, _lif_of(Leaky)),
    "Synaptic": (Synaptic, _lif_to_record, _lif_of(Synaptic)),
    "SRM": (SRM, _srm_to_record, _srm_of),
}
"""All that a file can hold, by name: nothing is imported or run because a file says so."""
