"""snnTorch's recurrent neurons in a graph that goes step by step: the whole sequence in one call of a scan."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn

from snntorch_binary.graph import running
from snntorch_binary.kernels.recurrent import How, recurrent_leaky_scan
from snntorch_binary.kernels.surrogates import Surrogate
from snntorch_binary.nn.hooks import is_watched
from snntorch_binary.nn.neurons.of_snntorch import option_without_twin, surrogate_of
from snntorch_binary.nn.neurons.recurrent import linear_parts

_RESETS = {"_base_sub": "subtract", "_base_int": "none"}  # to zero, snnTorch's forget the input of that step as well


def with_recurrent_scans(graph: fx.Graph, network: nn.Module) -> None:
    """Let loops of a graph that do nothing but call recurrent neurons go through them in one call."""
    for node in graph.nodes:
        if node.op == "call_function" and node.target is running.step_by_step:
            step = node.args[0]
            program = (
                network.get_submodule(str(step.target)) if isinstance(step, fx.Node) and step.op == "get_attr" else None
            )
            places = _of_one_call(program.graph) if isinstance(program, fx.GraphModule) else None
            if places is not None and len(node.args[2]) == len(node.args[3]) == 1:
                node.target = recurrent_over_time
                node.args = (*node.args, places)


def recurrent_over_time(
    step: Any,
    steps: int,
    sequences: tuple[Any, ...],
    others: tuple[Any, ...],
    carried: tuple[Any, ...],
    stateful: tuple[nn.Module, ...],
    places: tuple[int, ...],
) -> tuple[Tensor, ...]:
    """Run what calls one module step after step, in one call where that is snnTorch's RLeaky.

    The arguments are those of :func:`running.step_by_step`, and which of spikes (0) and potentials (1) are given.
    """
    (neuron,), (x,) = others, sequences
    found = _scanned(neuron, x, carried) if isinstance(x, Tensor) and isinstance(neuron, nn.Module) else None
    if found is None:
        return running.step_by_step(step, steps, sequences, others, carried, stateful)
    return tuple(found[place] for place in places)


def _scanned(neuron: Any, x: Tensor, carried: tuple[Any, ...]) -> tuple[Tensor, Tensor] | None:
    if type(neuron).__module__ != "snntorch._neurons.rleaky" or type(neuron).__name__ != "RLeaky":
        return None
    if is_watched(neuron):
        return None
    surrogate, layer = surrogate_of(neuron.spike_grad), linear_parts(neuron.recurrent)
    reset = _RESETS.get(getattr(neuron.state_function, "__name__", ""))
    factor = neuron.graded_spikes_factor
    graded = isinstance(factor, nn.Parameter) or bool((factor != 1).any())
    plain = neuron.reset_delay and not graded and option_without_twin(neuron) is None
    if not plain or layer is None or reset is None or not isinstance(surrogate, Surrogate):
        return None
    rest = torch.zeros_like(x[0])
    given = [each if isinstance(each, Tensor) and each.shape == rest.shape else rest for each in carried]
    initial = (given[0], given[1]) if len(given) == 2 else (rest, rest)
    constants = (neuron.beta.clamp(0, 1), neuron.threshold)
    return recurrent_leaky_scan(x, initial, layer, constants, How(reset, surrogate, joined=False))


def _of_one_call(step: fx.Graph) -> tuple[int, ...] | None:
    """Return which outputs of one call a step gives, and ``None`` where it does anything else.

    The call is that of the second placeholder with the first one and, where a state is carried, with spikes and
    potential, which are carried on as they come.
    """
    given = [node for node in step.nodes if node.op == "placeholder"]
    calls = [node for node in step.nodes if node.op == "call_function" and node.target is not operator.getitem]
    (output,) = [node for node in step.nodes if node.op == "output"]
    if (
        len(calls) != 1
        or len(given) not in (2, 4)
        or any(node.op in ("call_module", "call_method") for node in step.nodes)
    ):
        return None
    (call,) = calls
    x, module, *states = given
    if call.target is not running.call or call.args != (module, x, *states) or call.kwargs:
        return None
    gives, carries = output.args[0]
    places = [_place_in(value, call) for value in gives]
    if None in places or [_place_in(value, call) for value in carries] != [0, 1][: len(states)]:
        return None
    return tuple(place for place in places if place is not None)


def _place_in(value: Any, call: fx.Node) -> int | None:
    """Return which output of a call a value is; the call itself is its spikes, where it gives nothing else."""
    if value is call:
        return 0
    if isinstance(value, fx.Node) and value.target is operator.getitem and value.args[0] is call:
        return 0 if value.args[1] == 0 else 1 if value.args[1] == 1 else None
    return None
