r"""Neurons as nodes and nodes as neurons, by their descriptions.

NIR's neurons are leaky integrators with a hard reset, and loaders integrate them by Euler's rule with a time step dt:

.. math::
    v \leftarrow v + \tfrac{dt}{\tau} (r I - v), \qquad \text{spike and } v \leftarrow 0 \text{ where } v > v_{th}

With τ = dt / (1 - β) this is snnTorch's u ← β u + x for v = (1 - β) r u. Weights leave as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from snntorch_binary.export.errors import NIRFileError
from snntorch_binary.export.place import Place
from snntorch_binary.export.weighted import Folding, array, weighted_node
from snntorch_binary.nn.neurons.description import NIRForm, description_of, read_from_nir
from snntorch_binary.weights import Kind

_SMALLEST_LEAK = 2.0**-30  # a decay of 1 has no time constant; in float32 1 - 2^-30 is 1


class NodeWriter:
    """What a neuron needs to say itself as a node: its constants in float64, one number for every neuron.

    Attributes:
        dt: time step in seconds.
    """

    def __init__(self, place: Place, neuron: Any, dt: float) -> None:
        self._place, self._neuron, self.dt = place, neuron, dt

    def constant(self, name: str) -> Any:
        """Return a constant of the neuron."""
        place = self._place
        value = array(torch.as_tensor(getattr(self._neuron, name))).astype(np.float64)
        extra = max(0, value.ndim - len(place.after))
        if set(value.shape[:extra]) <= {1}:  # as in [1, C, 1, 1], with a batch dimension of one
            value = value.reshape(value.shape[extra:])
        try:
            return np.broadcast_to(value, place.after).copy()
        except ValueError:
            what = f"{name} of shape {list(value.shape)} for neurons {list(place.after)}"
            raise place.cannot(what, "give one number, or one for each neuron") from None

    def leak(self, name: str) -> Any:
        """Return 1 - decay of a constant that is a decay, a little more than 0."""
        return np.maximum(1 - self.constant(name).clip(0, 1), _SMALLEST_LEAK)

    def zeros(self) -> Any:
        """Return 0 for every neuron."""
        return np.zeros(self._place.after)

    def ones(self) -> Any:
        """Return 1 for every neuron."""
        return np.ones(self._place.after)


class NodeReader:
    """A node of neurons, and the checks that every value passes when it is read.

    Attributes:
        kind: of the node, such as ``"LIF"``.
        dt: time step in seconds.
        metadata: of the node.
    """

    def __init__(self, name: str, node: Any, dt: float) -> None:
        self._name, self._node, self.dt = name, node, dt
        self.kind, self.metadata = type(node).__name__, node.metadata

    def error(self, what: str) -> NIRFileError:
        """Return the sentence that the node is not what it has to be."""
        return NIRFileError.of(self._name, what)

    def constant(self, name: str) -> Any:
        """Return finite numbers of the node in float64."""
        values = np.asarray(getattr(self._node, name))
        if values.dtype.kind not in "fiu" or not values.size or not np.isfinite(values).all():
            raise self.error(f"has a {name} that is empty, infinite or no number")
        return values.astype(np.float64)

    def leak(self, name: str) -> Any:
        """Return dt / τ of a time constant, which is 1 - decay."""
        tau = self.constant(name)
        if not (tau >= self.dt * (1 - 1e-6)).all():
            raise self.error(f"has a {name} below the time step of {self.dt:g} s: give another dt")
        return np.minimum(self.dt / tau, 1.0)

    def threshold_and_gain(self) -> tuple[Any, Any]:
        """Return threshold and resistance of a node that resets to 0 and leaks towards 0."""
        threshold = self.constant("v_threshold")
        for zero in ("v_reset", "v_leak"):
            if hasattr(self._node, zero) and self.constant(zero).any():
                raise self.error(f"has a {zero} other than 0, which no neuron here has")
        return threshold, self.constant("r")

    def scaled(self, threshold: Any, gain: Any) -> Any:
        """Return the threshold of a neuron that takes its input as it is, in place of ``gain`` times that."""
        if not (gain > 0).all() or not (threshold >= 0).all():
            raise self.error("has a resistance or input weight that is not positive, or a negative threshold")
        with np.errstate(over="ignore", invalid="ignore"):  # what is infinite then is found
            return threshold / gain

    def number(self, values: Any) -> float:
        """Return a constant that neurons of a layer have in common."""
        if not isinstance(self.tidy(values), float):
            raise self.error("has neurons that differ, and here they are alike")
        return float(np.asarray(values).flat[0])

    def tidy(self, values: Any) -> Any:
        """Return constants as one number where they are alike, else as a float32 tensor."""
        tensor = torch.from_numpy(np.asarray(values)).float()
        if not bool(torch.isfinite(tensor).all()):
            raise self.error("has constants that are infinite in float32")
        return float(tensor.flatten()[0]) if bool((tensor == tensor.flatten()[0]).all()) else tensor


def neuron_of(name: str, node: Any, dt: float, step: bool) -> Any:
    """Return the neurons of a node of such."""
    found = read_from_nir(type(node).__name__, node.metadata.get("module"))
    assert found is not None
    neuron, form = found
    assert form.read is not None
    return neuron(**form.read(NodeReader(name, node, dt)), init_hidden=step)


def is_node_of_neurons(node: Any) -> bool:
    """Say whether neurons are read from a kind of node."""
    return read_from_nir(type(node).__name__, None) is not None


def neuron_node(nir: Any, place: Place, dt: float, kind: Kind, allow_lossy: bool) -> Any:
    """Return the node of a neuron, or a graph of it and its recurrent weights.

    Raises:
        NIRExportError: NIR has no such neuron, or only one that spikes in another way and ``allow_lossy`` is False.
    """
    neuron, recurrent = place.layer, None
    described = description_of(neuron)
    if described is not None and described.recurrence is not None:
        neuron, recurrent = described.recurrence(neuron)
        described = described if neuron is place.layer else description_of(neuron)
    if described is None or described.nir is None:
        raise place.cannot("the dynamics", "train with Leaky or Synaptic, reset_mechanism='zero', reset_delay=False")
    form: NIRForm = described.nir
    lossy = form.losses(neuron, place.after)
    if described.spike is not None and described.fires_at_threshold(neuron) is not False:
        lossy.append((f"the {described.spike.name}", "use one that spikes where u > threshold and nowhere else"))
    if lossy and not allow_lossy:
        what, way_out = lossy[0]
        raise place.cannot(what, f"{way_out}, or export another neuron in its place with allow_lossy=True")
    name, arrays = form.write(NodeWriter(place, neuron, dt))
    metadata = {"module": form.name or type(neuron).__name__}
    node = getattr(nir, name)(**arrays, metadata=metadata | {flag: bool(getattr(neuron, flag)) for flag in form.keeps})
    return node if recurrent is None else _loop(nir, place, recurrent, node, kind)


def recurrent_bias(place: Place) -> Tensor | None:
    """Return the bias of a neuron's recurrent layer, or ``None`` where it has none.

    It acts at every time step, and a loop in NIR carries nothing at the first one: the bias goes to the layer before.
    """
    bias: Tensor | None = getattr(getattr(place.layer, "recurrent", None), "bias", None)
    return None if bias is None or not bool((bias != 0).any()) else bias.detach()


def _loop(nir: Any, place: Place, recurrent: Any, node: Any, kind: Kind) -> Any:
    """Return a neuron and its recurrent weights as a graph of their own, which all loaders take."""
    shape = np.array(place.after)
    inner = Place(f"{place.name}.recurrent", recurrent, place.after, place.after, 1)
    if hasattr(recurrent, "V"):  # one-to-one
        if len(place.after) != 1:
            raise inner.cannot(f"one-to-one recurrence of shape {list(place.after)}", "put an nn.Flatten before it")
        weights = nir.Linear(weight=np.diag(np.broadcast_to(array(recurrent.V), place.after)).copy())
    else:
        weights = weighted_node(nir, inner, kind, Folding(bias=False))
    nodes = {
        "input": nir.Input(input_type={"input": shape}),
        "lif": node,
        "w_rec": weights,
        "output": nir.Output(output_type={"output": shape.copy()}),
    }
    edges = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    return nir.NIRGraph(nodes=nodes, edges=edges)
