"""Which layers of a graph get spikes, and which real numbers: followed from the neurons and the input."""

from __future__ import annotations

import operator
from typing import Any

from torch import fx, nn

from snntorch_binary.graph import running
from snntorch_binary.graph.network import GraphNetwork
from snntorch_binary.graph.neurons import scan_over_time, twin_in_inference
from snntorch_binary.graph.tree import leaves
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.description import description_of
from snntorch_binary.nn.subclasses import computes_as
from snntorch_binary.packed.float_layers import without_time

_KEEPING = {
    *("flatten", "unflatten", "view", "reshape", "permute", "transpose", "squeeze", "unsqueeze", "movedim", "expand"),
    *("contiguous", "clone", "detach", "float", "flip", "cat", "stack", "__getitem__", "select", "narrow", "chunk"),
    *("max_pool1d", "max_pool2d", "max_pool3d", "repeat", "unbind", "relu", "dropout"),
}
_KEEPING_LAYERS: tuple[type[nn.Module], ...] = (
    *(nn.Flatten, nn.Unflatten, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.ReLU, nn.Identity),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),  # in evaluation mode
)
_OF_FIRST = (
    *(running.entries_of, running.at_every_step, running.joined, running.as_list, running.as_batch, running.as_steps),
    *(running.aligned, operator.getitem),
)


class Spiking:
    """What is spikes in a graph.

    Args:
        network: the graph.
        inputs: whether each input is spikes.
    """

    def __init__(self, network: GraphNetwork, inputs: list[bool]) -> None:
        self.network = network
        self._is: dict[fx.Node, bool] = {}
        self._layers: dict[str, bool] = {}
        given = iter(inputs)
        for node in network.graph.nodes:
            self._is[node] = next(given, False) if node.op == "placeholder" else self._gives_spikes(node)
            if node.op == "call_module":
                target = str(node.target)
                self._layers[target] = self._layers.get(target, True) and self._of(node.args[:1])
            elif node.op == "get_attr":  # a layer that is handed to a step is called inside of it
                self._layers[str(node.target)] = False

    def gets_spikes(self, layer: str) -> bool:
        """Say whether a layer gets spikes wherever it is called; one inside of a step is not known to."""
        return self._layers.get(layer, False)

    def _of(self, tree: Any) -> bool:
        nodes = [leaf for leaf in leaves(tree) if isinstance(leaf, fx.Node)]
        return bool(nodes) and all(self._is.get(node, False) for node in nodes)

    def _gives_spikes(self, node: fx.Node) -> bool:
        first = node.args[:1]
        if node.op == "call_module":
            module: Any = self.network.get_submodule(str(node.target))
            if isinstance(module, Neuron):
                return not module.one_step and not module.output and self._fires_ones(module)
            return computes_as(without_time(module)) in _KEEPING_LAYERS and self._of(first)
        if node.op == "call_method":
            return _keeps(node) and self._of(first)
        if node.op != "call_function":
            return False
        if node.target is operator.getitem and isinstance(first[0], fx.Node) and first[0].target is scan_over_time:
            neuron: Any = self.network.get_submodule(str(first[0].args[0].target))  # type: ignore[union-attr]  # a node
            return bool(node.args[1] == 0) and self._fires_ones(neuron)
        if node.target is running.call_at_rest:
            neuron = self.network.get_submodule(str(first[0].target))  # type: ignore[union-attr]  # a node
            return twin_in_inference(neuron) is not None and not getattr(neuron, "output", False)
        if node.target in _OF_FIRST:
            return self._of(first)
        if node.target is running.all_steps_at_once:
            step = self.network.get_submodule(str(node.args[0].target))  # type: ignore[union-attr]  # a node
            assert isinstance(step, fx.GraphModule)
            done = [each for each in step.graph.nodes if each.op in ("call_method", "call_function")]
            return all(each.target is operator.getitem or _keeps(each) for each in done) and self._of(node.args[1])
        return _keeps(node) and self._of(first)

    def _fires_ones(self, neuron: Any) -> bool:
        """Say whether neurons give nothing but zeros and ones: no filter, and no spikes of another size."""
        description = description_of(neuron)
        if isinstance(neuron, Neuron) and (description is None or description.spike is None or description.is_filter):
            return False
        factor: Any = getattr(neuron, "graded_spikes_factor", None)
        return factor is None or bool((factor == 1).all())


def _keeps(node: fx.Node) -> bool:
    """Say whether an operation makes spikes of spikes, in evaluation mode."""
    name = getattr(node.target, "__name__", str(node.target)).removeprefix("_")
    if name == "dropout":  # in training mode only where that mode is asked for, and always where it is a number
        training = next((node.kwargs[key] for key in ("training", "train") if key in node.kwargs), True)
        training = node.args[2] if len(node.args) > 2 else training
        return isinstance(training, fx.Node) or not training
    return name in _KEEPING
