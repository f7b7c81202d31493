"""What stands behind the outputs of a NIR graph, which leaves it out: whether classes are those of the neurons."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, fx, nn

_MOST = 512  # features that are tried
_STRONG = 1000.0  # above any threshold on counts


class Behind:
    """What a network returns as a function of what its last neurons give.

    Args:
        network: the network.
        graph: of it.
        x: its input.
    """

    def __init__(self, network: nn.Module, graph: fx.Graph, x: Tensor) -> None:
        self._run = fx.Interpreter(network, graph=graph, garbage_collect_values=False)
        self._run.run(x)
        self._known = dict(self._run.env)

    def keeps_classes(self, ends: Collection[fx.Node], returned: fx.Node, lead: int) -> bool:
        """Say whether a feature of neurons that fires alone wins at its place among the others, or in a group.

        Args:
            ends: what the neurons give.
            returned: what is returned of it.
            lead: dimensions in front of their features.
        """
        shape, computed = self._known[next(iter(ends))].shape, between(ends, returned)
        if not self._known[returned].is_floating_point():
            return True
        count = torch.Size(shape[lead:]).numel()
        tried = range(0, count, -(-count // _MOST))

        def given(feature: int | None) -> Tensor:
            shown = torch.zeros(*shape[:lead], count)
            if feature is not None:
                shown[..., feature] = _STRONG
            self._run.env = {**self._known, **dict.fromkeys(ends, shown.view(shape))}
            for node in computed:
                self._run.env[node] = self._run.run_node(node)
            found: Tensor = self._run.env[returned]
            return found.double().flatten()

        silent = given(None)
        more = torch.stack([(given(feature) - silent).nan_to_num(0.0) for feature in tried])
        places = more.argmax(1)
        in_order = bool((places.diff() > 0).all()) or len(places.unique()) < len(places)
        return in_order and bool((more.amax(1) > 0).all())


def between(ends: Collection[fx.Node], returned: fx.Node) -> list[fx.Node]:
    """Return what is computed of some nodes for another, in its order."""
    needed, waiting = {returned}, [returned]
    while waiting:
        for node in waiting.pop().all_input_nodes:
            if node not in needed and node not in ends:
                needed.add(node)
                waiting.append(node)
    after: dict[fx.Node, None] = {}
    for node in returned.graph.nodes:
        if node in needed and any(each in after or each in ends for each in node.all_input_nodes):
            after[node] = None
    return list(after)
