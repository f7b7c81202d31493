"""The graphs over time that are packed: of one network, and of the members of an ensemble."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.convert.copies import copy_model
from snntorch_binary.fuse import as_graph
from snntorch_binary.graph.errors import NotAGraphError
from snntorch_binary.graph.network import GraphNetwork
from snntorch_binary.graph.tree import leaves
from snntorch_binary.inference.form import Form
from snntorch_binary.inference.run import run_as
from snntorch_binary.packed.alike import differ_in_tensors_only
from snntorch_binary.packed.pack_graph import is_whole_when_packed


def graph_of(net: nn.Module, sample: Any, step: bool | None = None) -> GraphNetwork:
    """Return the graph of a network in which neurons without a packed form are what they compute, if they can be."""
    if isinstance(net, GraphNetwork):
        return net
    try:
        return as_graph(net, sample, step, is_whole_when_packed, learns=False)
    except NotAGraphError:
        return as_graph(net, sample, step, learns=False)


def graphs_of(members: Iterable[nn.Module], sample: Any, form: Form) -> list[GraphNetwork]:
    """Return the graph of each member: that of the first with other weights, where it is that of the member, too."""
    first, *others = members
    graph = graph_of(first, sample, form.step)
    found = [graph]
    for member in others:
        shared = not isinstance(member, GraphNetwork) and differ_in_tensors_only(first, member)
        twin = graph.of(member) if shared else None
        if twin is None or not _answers_as(twin, member, sample, form):
            twin = graph_of(member, sample, form.step)
        found.append(twin)
    return found


@torch.no_grad()
def _answers_as(graph: GraphNetwork, member: nn.Module, sample: Any, form: Form) -> bool:
    """Say whether a graph is that of a member: a number that is read off a tensor is part of the graph, too."""
    tensors = [leaf for leaf in leaves(sample) if isinstance(leaf, Tensor)]
    devices = {tensor.device.index for tensor in tensors if tensor.device.type == "cuda"}
    with torch.random.fork_rng(devices):
        before = leaves(run_as(form, copy_model(member), sample))
        answer = leaves(copy_model(graph).graph_answer(*tensors))
    return len(answer) == len(before) and all(map(_close, answer, before))


def _close(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return type(one) is type(other) and bool(one == other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.allclose(one.double(), other.double(), rtol=1e-4, atol=1e-5)
