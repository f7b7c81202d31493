"""Packed layers, neurons, norms and pooling as nodes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.export.c.errors import CExportError, no_form
from snntorch_binary.export.c.program import Const, Delay, Pool, Weighted, Window
from snntorch_binary.export.c.value import Places, Value, apply
from snntorch_binary.nn.neurons.description import NeuronDescription, description_of
from snntorch_binary.packed.float_layers import geometry_of, norm_of
from snntorch_binary.packed.geometry import Geometry
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.rounding import addcmul_is_fused


def packed_layer(layer: PackedLayer, x: Value, member: int, density: float = 0.0) -> Value:
    """Return what a packed layer gives, with the neurons behind it.

    Args:
        layer: the layer.
        x: its input.
        member: which member, if it computes several.
        density: share of its inputs that spike.
    """
    member = member if layer.layout.members > 1 else 0
    geometry, positive = layer.geometry, layer.positive[member]
    dims = 1 + geometry.spatial
    if x.index.dim() < dims or x.shape[-dims] != layer.in_channels:
        raise CExportError(f"Layer {layer.name!r} gets an input of shape {[*x.shape]}, which it cannot take.")
    places = Places([x])
    (source,) = places.operands
    assert not isinstance(source, Const)
    source = places.builder.real(source) if source.kind == "sum" else source
    if source.kind == "bit" and not geometry.spatial and places.size != layer.in_channels:
        raise no_form(f"layer {layer.name!r} over more than one row of features", "flatten them before")
    after = geometry.output_size(tuple(x.shape[1 - dims :])) if geometry.spatial else ()
    window = Window(geometry, tuple(x.shape[1 - dims :]), after) if geometry.spatial else None
    outputs = len(positive)
    size = outputs * int(torch.tensor(after).prod()) if after else outputs
    kind: Any = "sum" if source.kind == "bit" else "real"
    taps = positive.flatten(2) if geometry.spatial else positive[..., None]
    dense = kind == "sum" and window is None and counts_words(source.size, outputs, density)
    node = places.builder.add(Weighted(size, kind, source, taps, layer.groups, window, dense))
    current = _scaled(layer, places.behind(node, dims, (outputs, *after)), member)
    if layer.neuron is None:
        return current
    return neurons(layer.neuron, current)[0]


def counts_words(inputs: int, outputs: int, density: float) -> bool:
    """Say whether bits of whole words are counted at less cost than one spike after the other.

    On a Cortex-M4 a spike costs 9 instructions for 32 outputs, and 30 for a part of 32; a word of 32 inputs costs 14
    for each output.
    """
    by_spikes = inputs * density * (30 if outputs < 32 else 9 * -(-outputs // 32))
    return by_spikes > 14 * outputs * -(-inputs // 32)


def _scaled(layer: PackedLayer, sums: Value, member: int) -> Any:
    """Return scale · sums + bias, and what a batch norm makes of it, rounded as the packed layer does it."""

    def per_channel(value: Tensor) -> Tensor:
        return value[member].view(-1, *(1,) * layer.geometry.spatial)

    scale = per_channel(layer.scale)
    if layer.biases is None:
        current = apply("mul", sums, scale)
    elif layer.fused_bias and addcmul_is_fused():
        current = apply("fma", sums, scale, per_channel(layer.biases))
    else:
        current = apply("add", apply("mul", sums, scale), per_channel(layer.biases))
    if layer.norm_scale is None or layer.norm_bias is None:
        return current
    return _affine(current, per_channel(layer.norm_scale), per_channel(layer.norm_bias))


def _affine(x: Value, scale: Tensor, bias: Tensor) -> Any:
    if addcmul_is_fused():
        return apply("fma", x, scale, bias)
    return apply("add", apply("mul", x, scale), bias)


def norm(layer: Any, x: Value, channels: int) -> Any:
    """Return what a batch norm gives, of channels in a dimension: 1 of a batch, 2 of a sequence."""
    if layer.running_mean is None:
        raise no_form("a batch norm with statistics of the batch", "use track_running_stats=True")
    scale, bias = norm_of(layer)
    dims = x.index.dim() - channels - 1
    return _affine(x, scale.view(-1, *(1,) * dims), bias.view(-1, *(1,) * dims))


def pool(geometry: Geometry, x: Value) -> Value:
    """Return the maximum over windows of the last dimensions."""
    before = tuple(x.shape[x.index.dim() - geometry.spatial :])
    after = geometry.output_size(before)
    places = Places([x])
    (source,) = places.operands
    assert not isinstance(source, Const)
    channels = x.shape[x.index.dim() - geometry.spatial - 1]
    size = channels * int(torch.tensor(after).prod())
    source = places.builder.real(source) if source.kind == "sum" else source
    node = places.builder.add(Pool(size, source.kind, source, Window(geometry, before, after)))
    return places.behind(node, geometry.spatial + 1, (channels, *after))


def max_pool(module: nn.Module, x: Value) -> Value:
    """Return what a max pooling of torch gives."""
    geometry = geometry_of(module)
    if geometry is None or not geometry.can_pool:
        raise no_form("a max pooling with ceil_mode or indices", "use ceil_mode=False, return_indices=False")
    return pool(geometry, x)


# ---- neurons -------------------------------------------------------------------------------------


def neurons(neuron: Any, x: Value, initial: tuple[Any, ...] | None = None) -> tuple[Any, tuple[Value, ...], Any]:
    """Return spikes, states and membrane potential of neurons over a sequence [T, B, ...], from their own update.

    Args:
        neuron: of this package; its description says the update.
        x: input currents.
        initial: the states to start from; ``None`` for those at rest.
    """
    description = description_of(neuron)
    if description is not None and description.recurrence is not None:
        return _recurrent(neuron, description, x)
    now = x.at_first_step()
    states = [_start(now, each) for each in initial or (None,) * len(_fields(neuron))]
    delays = [delay(now, state) for state in states]
    spikes, after = updated(neuron, now, tuple(value for value, _ in delays))
    potential = neuron._potential(now, after) if hasattr(neuron, "_potential") and "mem" in _fields(neuron) else None
    if potential is None and "refractory" in _fields(neuron):
        potential = neuron._potential(now, after)
    for (_, kept), state in zip(delays, after, strict=True):
        keep(kept, state)
    sequence = tuple(state.at_all_steps() for state in after)
    return spikes.at_all_steps(), sequence, None if potential is None else potential.at_all_steps()


def updated(neuron: Any, x: Any, states: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return spikes and states of one time step."""
    description = description_of(neuron)
    if description is None or description.update is None:
        raise no_form(f"{type(neuron).__name__} neurons", "use Leaky, Synaptic, SRM or Recurrent of this package")
    return description.update(x, neuron.State(*states), _Of(neuron, description))


def _recurrent(neuron: Any, description: NeuronDescription, x: Value) -> tuple[Any, tuple[Value, ...], Any]:
    assert description.recurrence is not None
    inner, layer = description.recurrence(neuron)
    if not isinstance(layer, PackedLayer) or getattr(inner, "State", None) is None:
        raise no_form("recurrent weights that are real numbers", "binarize the recurrent layer")
    now = x.at_first_step()
    spikes_before, kept_spikes = delay(now, None, "bit")
    delays = [delay(now, None) for _ in inner.State._fields]
    current = apply("add", now, packed_layer(layer, spikes_before, 0))
    spikes, after = updated(inner, current, tuple(value for value, _ in delays))
    for (_, kept), state in zip(delays, after, strict=True):
        keep(kept, state)
    if not keep(kept_spikes, spikes):
        raise no_form("recurrent neurons with graded spikes", "use graded_spikes_factor=1")
    sequence = tuple(state.at_all_steps() for state in after)
    return spikes.at_all_steps(), sequence, inner._potential(now, after).at_all_steps()


class _Of:
    """The constants of neurons, whose spike function makes nodes."""

    def __init__(self, neuron: Any, description: NeuronDescription) -> None:
        self._neuron, self._description = neuron, description

    def __getattr__(self, name: str) -> Any:
        spike = self._description.spike
        if spike is None or name != spike.name:
            return getattr(self._neuron, name)
        at_threshold = self._description.fires_at_threshold(self._neuron)
        if at_threshold is None:
            raise no_form(f"the {spike.name} of {type(self._neuron).__name__} neurons", "use a step at the threshold")
        return lambda u: fired(u, at_threshold)


def fired(u: Any, at_threshold: bool) -> Any:
    """Return spikes where a number is above zero, or also at it."""
    if isinstance(u, Tensor):  # of a state before the first step
        return (u >= 0 if at_threshold else u > 0).to(u.dtype)
    places = Places([u])
    return places.value(u.builder.step(places.operands[0], at_threshold, places.size))


def _fields(neuron: Any) -> tuple[str, ...]:
    state = getattr(neuron, "State", None)
    if state is None:
        raise no_form(f"{type(neuron).__name__} neurons", "use Leaky, Synaptic, SRM or Recurrent of this package")
    return tuple(state._fields)


def _start(x: Value, state: Any) -> Any:
    """Return the state to start from; an empty one is at rest."""
    if not isinstance(state, Tensor) or not state.dim() or state.shape == x.shape:
        return state
    if not state.numel():
        return None
    try:
        return state.expand(x.shape)
    except RuntimeError:
        raise no_form(f"a state of shape {[*state.shape]}", f"begin with one of shape {[*x.shape]}") from None


def delay(like: Value, initial: Any, kind: Any = None) -> tuple[Value, Delay]:
    """Return what something of this shape was one time step before, which :func:`keep` says, and its node."""
    if initial is not None and not isinstance(initial, (Tensor, int, float)):
        raise no_form("a state that begins with what the network computes", "let it begin with constants")
    places = Places([like], elements=False)
    start = Const(torch.zeros(1)) if initial is None else places.constants(initial)
    node = Delay(places.size, kind or "real", start)
    like.builder.add(node)
    return places.value(node), node


def keep(node: Delay, value: Any) -> bool:
    """Say what a delay is at the next time step; return whether that is of the kind that was taken for granted."""
    if isinstance(value, CExportError):
        raise value
    if not isinstance(value, Value):
        raise no_form("a state that stays as it is", "leave it out of the network")
    places = Places([value])
    (found,) = places.operands
    assert not isinstance(found, Const)
    if places.size != node.size:
        raise no_form("a state that changes its shape", "begin with one of the shape that it has later")
    node.next, assumed = found, node.kind
    are_bits = found.kind == "bit" and set(node.initial.values.tolist()) <= {0.0, 1.0}
    node.kind = "bit" if are_bits else "real"
    return node.kind == assumed
