"""`from_nir`: a network of this package from a NIR graph or file."""

from __future__ import annotations

import os
from typing import Any

from torch import nn

from snntorch_binary._errors import require


def from_nir(graph: Any, *, step: bool = False, dt: float | None = None) -> nn.Module:
    """Return the network of a NIR graph or file in modules of this package.

    A layer with two-valued weights becomes a binary one: with its rule, scale and latent if :func:`to_nir` has left
    them in the metadata, else with :class:`snntorch_binary.Sign` and the scale that the weights have. ``LIF``, ``IF``
    and ``CubaLIF`` become ``Leaky`` and ``Synaptic`` with a reset to zero, loops of one and weights
    :class:`snntorch_binary.nn.Recurrent`. Nodes in a row become an ``nn.Sequential``; where a node gets the sum of
    others, such as a residual block, or there are several outputs, the network is a ``torch.fx.GraphModule`` of the
    same modules, which returns a tuple of several outputs.

    Reading runs nothing that a file holds, and follows no link to another file. The HDF5 library is given the file in a
    process of its own, as one changed byte can keep it busy for ever: that takes a quarter of a second, and ends after
    five seconds of computing and one more for every 10 MB. All arrays together are at most 1100 times as large as the
    file, which is what gzip can pack into it; the memory used is a few times that.

    Args:
        graph: a ``nir.NIRGraph``, or the path of a file that ``nir.write`` wrote; of one input, and without other
            loops than those of recurrent neurons.
        step: build the one-step form, whose neurons keep their state themselves, in place of the time-first one.
        dt: time step of the network, in seconds; that in the metadata, or else 1e-4, by default.

    Returns:
        The network in evaluation mode.

    Raises:
        NIRFileError: the file is damaged, or a node has no module here; a ``ValueError`` that names the node.
        OSError: the file cannot be opened.
        MissingPackageError: nir is not installed.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(
        ...     sb.nn.BinaryLinear(8, 4, weight=sb.Bernoulli()), sb.nn.Leaky(beta=0.9, reset_mechanism="zero"))
        >>> again = sb.export.from_nir(sb.export.to_nir(net, torch.zeros(1, 1, 8)))
        >>> again[0].rule, bool((again[0].latent == net[0].latent).all())
        (Bernoulli(), True)
        >>> spikes = (torch.rand(60, 2, 8) < 0.5).float()
        >>> bool((again(spikes) == net.eval()(spikes)).all())
        True
    """
    nir = require("nir", "export")
    from snntorch_binary.export.network import network_of  # needs numpy, which nir brings
    from snntorch_binary.export.read import read

    if isinstance(graph, (str, os.PathLike)):
        graph = read(nir, os.fspath(graph))
    return network_of(nir, graph, step, dt).eval()
