"""`to_nir`: a network with its weights as a NIR graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

import snntorch_binary
from snntorch_binary._errors import expected, in_one_line, require
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.export.place import Place, places
from snntorch_binary.fuse import as_graph
from snntorch_binary.graph.network import GraphNetwork
from snntorch_binary.graph.sequential import is_chain
from snntorch_binary.weights import Kind, binary_layers, sampled

DT = 1e-4
"""The time step in seconds that snnTorch's import takes for granted."""


def to_nir(
    net: nn.Module | Iterable[nn.Module],
    sample: Tensor,
    weights: Literal["mode", "mean"] | int = "mode",
    *,
    allow_lossy: bool = False,
    dt: float = DT,
) -> Any:
    r"""Return a network as a NIR graph that snnTorch, Norse and nirtorch load.

    * Linear and convolutional layers become ``Affine``, ``Linear``, ``Conv1d`` and ``Conv2d`` with the weights in
      force, for a binary layer scale · (±1). A binary layer's node says in its metadata where they come from: ``rule``
      and ``scale`` (JSON), ``gain``, ``latent``, and for :class:`snntorch_binary.Bernoulli` the ``flip_probability`` of
      every synapse: a draw from the posterior is the node's weight with each sign turned with this probability,
      σ(-2 \|w_r\|) for the mode.
    * ``Leaky`` and ``Synaptic``, of snnTorch and of this package, become ``LIF`` and ``CubaLIF`` with constants of full
      shape; ``RLeaky``, ``RSynaptic`` and :class:`snntorch_binary.nn.Recurrent` a graph of one and its recurrent
      weights, whose bias goes to the layer before.
    * A batch norm, with its running statistics, becomes part of the layers before it: of a binary layer it is a gain
      for each output, which the node's ``gain`` in the metadata then is, and ``folded`` names the norm. Behind anything
      else it is a layer of its own.
    * A sum is several edges to one node. A layer behind a concatenation becomes one for each of its parts.
    * Average pooling becomes the convolution that it is, max pooling of spikes ``SumPool2d`` and a neuron.
    * A graph gives the last neuron's spikes. The membrane potential that it gives as well with ``output=True`` is left
      out; without that neuron the graph gives currents, which can be read as scores.

    The spikes are the network's for neurons with ``reset_mechanism="zero"`` and ``reset_delay=False`` (a ``Leaky`` may
    reset with delay: its spikes are the same). Folded norms and loaders round in another order, so a membrane potential
    within rounding of the threshold can come out on its other side. Norse 1.1.0 does not read ``Conv1d``, and gets
    graphs wrong in which branches meet; snnTorch 1.0.0 reads one decay and one threshold per layer.

    Args:
        net: an ``nn.Sequential``, time-first or one step at a time, or layers and neurons in their order; or a network
            of any form that :func:`snntorch_binary.fuse` takes, whose branches, sums and outputs become edges. It
            has to read whole steps of its input from the first on, in their order. What stands behind one of its
            outputs, such as a sum over time, is left out; what makes one of several, such as a product, is refused, and
            what makes other classes, such as another order of them.
        sample: an input of the network, [T, B, ...] time-first or [B, ...] for one time step; its shape counts. Of a
            network of any form an input as its ``forward`` takes it.
        weights: ``"mode"``, ``"mean"`` (which is not two-valued), or the seed of a posterior draw.
        allow_lossy: export neurons that NIR cannot express with its hard reset in place of theirs.
        dt: time step of the time constants, in seconds; snnTorch loads 1e-4 only, Norse as
            ``norse.torch.from_nir(graph, dt=1e-4)``.

    Returns:
        The ``nir.NIRGraph``; ``nir.write(path, graph)`` writes it to a file.

    Raises:
        NIRExportError: NIR cannot express a module; a ``ValueError``.
        ValueError: the sample does not fit, or an argument is out of its range.
        NotAGraphError: a network that is no chain of layers does not fold over time; a ``ValueError``.
        TypeError: the network does not take the sample.
        MissingPackageError: nir is not installed.

    Example:
        >>> import torch, snntorch as snn, snntorch_binary as sb
        >>> net = torch.nn.Sequential(
        ...     torch.nn.Linear(8, 4), snn.Leaky(beta=0.9, init_hidden=True, reset_mechanism="zero", reset_delay=False))
        >>> _ = sb.binarize_(net, sb.Bernoulli())
        >>> graph = sb.export.to_nir(net, torch.zeros(1, 8))
        >>> list(graph.nodes)
        ['input', '0_linear', '1_leaky', 'output']
        >>> print(f"{graph.nodes['0_linear'].metadata['flip_probability'].max():.4f}")  # σ(-2 · 3)
        0.0025

    References:
        Pedersen et al., *Neuromorphic intermediate representation*, Nature Communications 15, 8122 (2024).
    """
    nir = require("nir", "export")
    if not 0 < dt < float("inf"):
        raise ValueError(expected("dt", "a positive float", dt))
    kind, generator = weights_of_kind(weights)
    from snntorch_binary.export.graph import GraphWriter  # needs numpy, which nir brings
    from snntorch_binary.export.recorded import write_recorded

    what = weights if isinstance(weights, str) else f"seed {weights}"
    metadata = {"generator": f"snntorch_binary {snntorch_binary.__version__}", "dt": float(dt), "weights": what}
    writer = GraphWriter(nir, kind, allow_lossy, dt)
    if isinstance(net, nn.Module) and not is_chain(net):
        recorded = copy_model(_recorded(net, sample)).cpu().eval()
        with _in_force(recorded, kind, generator):
            write_recorded(writer, recorded, sample.cpu())
    else:  # layers in their order are a graph already
        chain = places(net, sample)
        with _in_force(nn.ModuleList(dict.fromkeys(place.layer for place in chain)), kind, generator):
            _write_chain(writer, chain)
    return writer.graph(metadata)


def _write_chain(writer: Any, chain: list[Place]) -> None:
    x = writer.input(chain[0].before)
    for place in chain:
        x = writer.layer(place, x)
    writer.output(x)


@contextmanager
def _in_force(net: nn.Module, kind: Kind, generator: torch.Generator | None) -> Iterator[None]:
    with sampled(net, kind, generator) if binary_layers(net) else nullcontext(), torch.no_grad():
        yield


def _recorded(net: nn.Module, sample: Any) -> GraphNetwork:
    if not isinstance(sample, Tensor) or not sample.is_floating_point():
        raise TypeError(expected("sample", "a floating-point tensor", getattr(sample, "dtype", type(sample).__name__)))
    if isinstance(net, GraphNetwork):
        return net
    try:
        return as_graph(net, sample, learns=False)
    except TypeError as error:
        what = "a network of layers in their order, or one that takes the sample"
        got = f"a {type(net).__name__}, whose forward says more than its layers ({in_one_line(error)})"
        raise TypeError(expected("net", what, got)) from None


def weights_of_kind(weights: object) -> tuple[Kind, torch.Generator | None]:
    """Return the kind of weights that a word or a seed says, and where a draw comes from.

    Raises:
        ValueError: it says none.
    """
    if weights == "mode":
        return "mode", None
    if weights == "mean":
        return "mean", None
    if isinstance(weights, int) and not isinstance(weights, bool) and weights >= 0:
        return "binary", torch.Generator().manual_seed(weights)
    raise ValueError(expected("weights", "'mode', 'mean' or a seed of at least 0", repr(weights)))
