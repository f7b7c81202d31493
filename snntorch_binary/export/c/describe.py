"""`describe`: the program of a packed network, or the one program of all members of a packed ensemble."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected, in_one_line
from snntorch_binary.export.c.builder import Builder
from snntorch_binary.export.c.errors import CExportError, no_form
from snntorch_binary.export.c.members import are_alike, together
from snntorch_binary.export.c.network import Reader, Skipped, input_value, value_of
from snntorch_binary.export.c.operations import ReadOut, is_last_step
from snntorch_binary.export.c.pooling import pooled_first
from snntorch_binary.export.c.program import Delay, Node, Program, Reading
from snntorch_binary.export.c.value import MOST_EXAMPLES, MOST_STEPS, Value, node_of
from snntorch_binary.inference.readout import are_spikes
from snntorch_binary.inference.structure import tensors_in_order
from snntorch_binary.nn.time_first import TimeFirst
from snntorch_binary.packed.ensemble import PackedEnsemble
from snntorch_binary.packed.graph import PackedGraph, with_fixed
from snntorch_binary.packed.layer import PackedLayer
from snntorch_binary.packed.spikes import SpikeBits


def describe(
    packed: nn.Module,
    sample: Tensor | None = None,
    *,
    time_dim: int | None = 0,
    readout: str = "auto",
    readout_scale: float | None = None,
) -> Program:
    """Return the program of a packed network or ensemble.

    Args:
        packed: what :func:`snntorch_binary.pack` returned.
        sample: an input as it takes it; not needed by layers in their order of which the first is a linear one.
        time_dim: dimension of time in it, 0 or 1; ``None`` where it is shown at every time step.
        readout: of a network that is no ensemble.
        readout_scale: of a network that is no ensemble.

    Raises:
        CExportError: something of it has no form in C.
        TypeError: it is no packed network, or the sample no tensor.
    """
    if not isinstance(packed, nn.Module) or not any(isinstance(part, PackedLayer) for part in packed.modules()):
        raise TypeError(expected("packed", "what snntorch_binary.pack returned", type(packed).__name__))
    if isinstance(packed, PackedEnsemble):
        readout, readout_scale = packed.readout, packed.readout_scale  # type: ignore[assignment]  # no function
        if not isinstance(readout, str):
            raise CExportError("C cannot express a readout that is a function: use 'auto', 'rate' or 'membrane'.")
        if packed.step:
            raise CExportError("C cannot express packed members with a loop of their own: pack them with a sample.")
    if readout not in ("auto", "rate", "membrane"):
        raise ValueError(expected("readout", "'auto', 'rate' or 'membrane'", repr(readout)))
    nets = _members(packed)
    _check_sample(sample, time_dim)
    densities = {} if sample is None else _densities(packed, sample)
    shown = sample
    are_bits, sample = _sample(nets[0], sample, time_dim)
    steps = None if time_dim is None else sample.shape[time_dim]

    def program_of(member: int, uses_constants: bool) -> Program:
        builder = Builder(steps, sample.shape[1 if time_dim == 0 else 0], uses_constants)
        x = input_value(builder, sample, time_dim, are_bits)
        output = Reader(member, densities).module(nets[member], x)
        were_spikes = partial(_were_spikes, nets[member], shown)
        builder.program.reading = _reading(output, readout, readout_scale, were_spikes)
        builder.program.own_steps = builder.steps if time_dim is None else None
        return _alive(builder.program)

    programs = [program_of(member, True) for member in range(len(nets))]
    if not are_alike(programs):
        programs = [program_of(member, False) for member in range(len(nets))]
    program = together(programs)
    pooled_first(program)
    return program


def _densities(packed: nn.Module, sample: Tensor) -> dict[PackedLayer, float]:
    """Return which share of the inputs of layers spikes, of those of the first member for all."""
    found: dict[PackedLayer, float] = {}

    def look(layer: Any, args: tuple[Any, ...]) -> None:
        x = args[0]
        if not layer.real_input and layer not in found:
            found[layer] = x.density() if isinstance(x, SpikeBits) else float((x != 0).float().mean())

    layers = [module for module in packed.modules() if isinstance(module, PackedLayer)]
    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        _answer(packed, sample)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ValueError(
            f"{expected('sample', 'an input as the network takes it', [*sample.shape])} ({in_one_line(error)})"
        ) from None
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _answer(packed: nn.Module, x: Tensor) -> Any:
    """Return what a packed network answers to an input, its other arguments as when it was packed."""
    first = packed.net[0] if isinstance(packed, PackedEnsemble) else packed
    args = with_fixed(first, [x]) if isinstance(first, PackedGraph) else (x,)
    return packed(args) if isinstance(packed, PackedEnsemble) else packed(*args)


def _members(packed: nn.Module) -> list[nn.Module]:
    if not isinstance(packed, PackedEnsemble):
        layers = [module for module in packed.modules() if isinstance(module, PackedLayer)]
        several = max(layer.layout.members for layer in layers)
        return [packed] * several
    if isinstance(packed.net, nn.ModuleList):
        return list(packed.net)
    return [packed.net] * packed.num_members


def _check_sample(sample: Any, time_dim: Any) -> None:
    if sample is None:
        return
    if not isinstance(sample, Tensor) or not sample.is_floating_point():
        kind = sample.dtype if isinstance(sample, Tensor) else type(sample).__name__
        raise TypeError(expected("sample", "a tensor of real numbers, as the network takes it", kind))
    if time_dim not in (0, 1, None):
        raise ValueError(expected("time_dim", "0, 1 or None", time_dim))
    if sample.dim() < (2 if time_dim is None else 3) or 0 in sample.shape:
        raise ValueError(expected("sample", "of shape [T, B, ...] with nothing empty", [*sample.shape]))


def _sample(net: nn.Module, sample: Tensor | None, time_dim: int | None) -> tuple[bool, Tensor]:
    """Return whether inputs are spikes, and an input that is small where it may be."""
    layers = [module for module in net.modules() if isinstance(module, PackedLayer)]
    if sample is None:
        first = layers[0]
        if isinstance(net, PackedGraph) or first.geometry.spatial:
            what = "an input as the network takes it, which says the sizes between its layers"
            raise ValueError(expected("sample", what, None))
        return not first.real_input, torch.zeros(2, 1, first.in_channels)
    are_bits = bool(((sample == 0) | (sample == 1)).all()) and not _shown_numbers(net)
    if isinstance(net, nn.Sequential):  # which does to all steps and examples the same
        return are_bits, sample[:2, :1]
    if time_dim is not None and sample.shape[time_dim] >= MOST_STEPS:
        raise ValueError(expected("sample", f"of fewer than {MOST_STEPS} time steps", sample.shape[time_dim]))
    examples = 1 if time_dim == 0 else 0
    return are_bits, sample.narrow(examples, 0, min(sample.shape[examples], MOST_EXAMPLES - 1))


def _shown_numbers(net: nn.Module) -> bool:
    """Say whether the first layer of a sequence was packed for real numbers."""
    if not isinstance(net, nn.Sequential):
        return False
    for module in net.modules():
        if isinstance(module, PackedLayer):
            return module.real_input
        if module is not net and not isinstance(module, (TimeFirst, nn.Flatten, nn.Identity, nn.MaxPool2d)):
            return False
    return False


def _were_spikes(net: nn.Module, x: Tensor | None) -> bool:
    """Say whether what a network returns first was nothing but spikes, for which it is read by counts in Python."""
    return isinstance(net, PackedGraph) and x is not None and are_spikes(tensors_in_order(_answer(net, x))[0])


def _reading(output: Any, readout: str, scale: float | None, were_spikes: Callable[[], bool]) -> Reading:
    """Return how outputs are read, as :func:`snntorch_binary.inference.logits` does it."""
    skipped = 0
    if isinstance(output, Skipped):
        skipped, output = output.steps, output.value
    parts = [output] if isinstance(output, (Value, ReadOut)) else _in_order(output)
    if not parts:
        raise CExportError("C cannot express an output in which nothing depends on the input.")
    read = value_of(parts[-1 if readout == "membrane" else 0])
    if isinstance(read, ReadOut):
        return read.reading if scale is None else read.times(scale).reading
    assert isinstance(read, Value)
    if read.index.dim() == 2 and is_last_step(read):
        return Reading(node_of(read), "last", 1.0 if scale is None else scale)
    if read.index.dim() != 3:
        what = f"an output of shape {[*read.shape]}, which is neither [T, B, C] nor [B, C] of all time steps"
        raise CExportError(f"C cannot express {what}.")
    left_out = next((found for dim in range(3) if (found := read.steps_left_out(dim)) is not None), None)
    if left_out is None:
        what = "outputs of some time steps that are not all behind a burn-in"
        raise no_form(what, "return those of all steps")
    skipped, node = skipped + left_out, node_of(read)
    if node.kind == "bit" and readout == "membrane":
        what = "'rate', as the last output of the network is spikes"
        raise ValueError(expected("readout", what, repr(readout)))
    if node.kind == "bit":
        return Reading(node, "mean", scale, skipped)
    if readout == "auto" and scale is None and were_spikes():
        what = "'rate', or `readout_scale` a number, for outputs that were spikes and may be other numbers"
        raise ValueError(expected("readout", what, repr(readout)))
    return Reading(node, "mean", (None if readout == "rate" else 1.0) if scale is None else scale, skipped)


def _in_order(output: Any) -> list[Any]:
    found: list[Any] = []
    if isinstance(output, (tuple, list)):
        for each in output:
            found += _in_order(each)
        return found
    return [output] if isinstance(output, (Value, ReadOut, CExportError)) else tensors_in_order(output)


def _alive(program: Program) -> Program:
    """Return a program without nodes that its reading does not depend on."""
    alive: set[Node] = set()
    waiting: list[Node] = [program.reading.node, program.input]
    while waiting:
        node = waiting.pop()
        if node in alive:
            continue
        alive.add(node)
        waiting += node.sources
        if isinstance(node, Delay) and node.next is not None:
            waiting.append(node.next)
    program.nodes = [node for node in program.nodes if node in alive]
    return program
