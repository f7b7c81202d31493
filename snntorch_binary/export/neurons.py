r"""Neurons as nodes.

NIR's neurons are leaky integrators with a hard reset, and loaders integrate them by Euler's rule with a time step dt:

.. math::
    v \leftarrow v + \tfrac{dt}{\tau} (r I - v), \qquad \text{spike and } v \leftarrow 0 \text{ where } v > v_{th}

With τ = dt / (1 - β) this is snnTorch's u ← β u + x for v = (1 - β) r u. Norse ignores r, so r is 1 here, and the
factor 1 - β is in the threshold: weights leave as they are. ``CubaLIF``, whose r and w_in all loaders take, keeps u.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snntorch_binary.convert.copies import copy_model
from snntorch_binary.export.place import Place, is_neuron
from snntorch_binary.export.weighted import array, weighted_node
from snntorch_binary.nn.recurrent import Recurrent
from snntorch_binary.packed.neurons import fires_at_threshold
from snntorch_binary.weights import Kind

_SMALLEST_LEAK = 2.0**-30  # a decay of 1 has no time constant; in float32 1 - 2^-30 is 1

NEURONS = ("Leaky", "RLeaky", "Synaptic", "RSynaptic")
_HARD = "build it with reset_mechanism='zero', reset_delay=False"
_RECURRENT = "use snntorch_binary.nn.Recurrent with a Synaptic of reset_mechanism='zero', reset_delay=False"


@dataclass(frozen=True)
class _Neuron:
    """A neuron without what is around it: the module with its constants, its kind, and its recurrent layer."""

    constants: Any
    kind: str
    recurrent: Any


def _neuron_of(place: Place) -> _Neuron:
    module = place.layer
    if isinstance(module, Recurrent):
        return _Neuron(module.neuron, type(module.neuron).__name__, module.recurrent)
    if place.kind not in NEURONS or not is_neuron(module):
        raise place.cannot("the dynamics", "train with Leaky or Synaptic, reset_mechanism='zero', reset_delay=False")
    return _Neuron(module, place.kind.removeprefix("R"), getattr(module, "recurrent", None))


def neuron_node(nir: Any, place: Place, dt: float, kind: Kind, allow_lossy: bool) -> Any:
    """Return the node of a neuron: LIF, CubaLIF, or a graph of it and its recurrent weights.

    Raises:
        NIRExportError: NIR has no such neuron, or only one that spikes in another way and ``allow_lossy`` is False.
    """
    neuron = _neuron_of(place)
    _check(place, neuron, allow_lossy)
    constants, shape = neuron.constants, place.after
    metadata = {"module": neuron.kind, "reset_delay": bool(constants.reset_delay)}
    beta, threshold = _full(place, constants.beta, "beta").clip(0, 1), _full(place, constants.threshold, "threshold")
    zeros = np.zeros(shape)
    leak = np.maximum(1 - beta, _SMALLEST_LEAK)
    node: Any
    if neuron.kind == "Leaky":
        node = nir.LIF(
            tau=dt / leak,
            r=np.ones(shape),
            v_leak=zeros,
            v_threshold=threshold * leak,
            v_reset=zeros.copy(),
            metadata=metadata,
        )
    else:
        synaptic_leak = np.maximum(1 - _full(place, constants.alpha, "alpha").clip(0, 1), _SMALLEST_LEAK)
        node = nir.CubaLIF(
            tau_syn=dt / synaptic_leak,
            tau_mem=dt / leak,
            r=1 / leak,
            v_leak=zeros,
            v_threshold=threshold,
            v_reset=zeros.copy(),
            w_in=1 / synaptic_leak,
            metadata=metadata,
        )
    return node if neuron.recurrent is None else _loop(nir, place, neuron.recurrent, node, kind)


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
        weights = weighted_node(nir, inner, kind, has_bias=False)
    nodes = {
        "input": nir.Input(input_type={"input": shape}),
        "lif": node,
        "w_rec": weights,
        "output": nir.Output(output_type={"output": shape.copy()}),
    }
    edges = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    return nir.NIRGraph(nodes=nodes, edges=edges)


def _check(place: Place, found: _Neuron, allow_lossy: bool) -> None:
    neuron = found.constants
    lossy: list[tuple[str, str]] = []
    if neuron.reset_mechanism != "zero":
        name = {"subtract": "the soft reset 'subtract'", "none": "the missing reset 'none'"}[neuron.reset_mechanism]
        lossy.append((name, _HARD))
    # A potential that is set to zero before it decays is zero as well: a Leaky with a delayed reset spikes alike.
    elif neuron.reset_delay and (found.kind != "Leaky" or place.kind == "RLeaky"):
        lossy.append(("the delayed reset", _HARD))
    elif place.kind == "RSynaptic" and not _resets_at_once(place):
        lossy.append(("the late reset that this snnTorch gives to reset_delay=False", _RECURRENT))
    if bool((getattr(neuron, "graded_spikes_factor", torch.ones(())) != 1).any()):
        lossy.append(("graded spikes", "build it with graded_spikes_factor=1, the factor in the weights behind it"))
    if getattr(neuron, "inhibition", False):
        lossy.append(("the inhibition between neurons", "build it with inhibition=False"))
    if getattr(neuron, "state_quant", False):
        lossy.append(("the quantised state", "build it with state_quant=False"))
    if fires_at_threshold(neuron) is not False:
        lossy.append(("the spike_grad", "use one that spikes where u > threshold and nowhere else"))
    if bool((neuron.threshold < 0).any()):
        lossy.append(("the negative threshold", "use thresholds of at least 0"))
    if lossy and not allow_lossy:
        what, way_out = lossy[0]
        raise place.cannot(what, f"{way_out}, or export another neuron in its place with allow_lossy=True")


def _resets_at_once(place: Place) -> bool:
    """Say whether an RSynaptic that fires is at zero after the step; that of snnTorch 1.0.0 is not."""
    neuron: Any = copy_model(place.layer).cpu().float()
    neuron.init_hidden = False
    x = torch.full((1, *place.after), 1e6)
    with torch.no_grad():
        potential = neuron(x, *(torch.zeros_like(x) for _ in range(3)))[-1]
    return bool((potential == 0).all())


def _full(place: Place, constant: Tensor, name: str) -> Any:
    """Return a constant of the neurons in float64, one number per neuron."""
    value = array(constant).astype(np.float64)
    extra = max(0, value.ndim - len(place.after))
    if set(value.shape[:extra]) <= {1}:  # as in [1, C, 1, 1], with a batch dimension of one
        value = value.reshape(value.shape[extra:])
    try:
        return np.broadcast_to(value, place.after).copy()
    except ValueError:
        what = f"{name} of shape {list(value.shape)} for neurons {list(place.after)}"
        raise place.cannot(what, "give one number, or one for each neuron") from None
