"""Copies of models that have run."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import Tensor, nn

from snntorch_binary.nn.neurons.snntorch_reset import let_reset_find_copies

Model = TypeVar("Model", bound=nn.Module)


def copy_model(model: Model) -> Model:
    """Return a deep copy that runs as the model does.

    Membrane potentials that are part of an autograd graph are copied detached.
    """
    memo: dict[int, object] = {}
    for module in model.modules():
        for value in [*module._buffers.values(), *module.__dict__.values()]:
            _detach_graph_tensors(value, memo)
    twin = copy.deepcopy(model, memo)
    let_reset_find_copies(twin)
    return twin


def _detach_graph_tensors(value: object, memo: dict[int, object]) -> None:
    """Let a deep copy, which refuses tensors inside a graph, find detached copies of them, in lists and dicts too."""
    if isinstance(value, Tensor):
        if not value.is_leaf and id(value) not in memo:
            memo[id(value)] = value.detach().clone()
    elif isinstance(value, (list, tuple, set)):
        for part in value:
            _detach_graph_tensors(part, memo)
    elif isinstance(value, dict):
        for part in value.values():
            _detach_graph_tensors(part, memo)
