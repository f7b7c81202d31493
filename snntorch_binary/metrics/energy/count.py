"""`energy`: the operations, spikes and bytes of one inference, and what they would cost in a 45 nm process."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.inference.arguments import Inputs, arguments_of
from snntorch_binary.inference.ensemble import Ensemble
from snntorch_binary.inference.evaluated import evaluated
from snntorch_binary.inference.find_form import examples_in, form_of
from snntorch_binary.inference.run import run, state_put_back
from snntorch_binary.metrics.energy.meter import Meter
from snntorch_binary.metrics.energy.operations import unseen
from snntorch_binary.metrics.energy.table import Energy
from snntorch_binary.packed import PackedEnsemble, SpikeBits


def energy(
    net: nn.Module,
    x: Inputs | SpikeBits,
    *,
    step: bool | None = None,
    batch_size: int | None = None,
) -> Energy:
    """Count the operations, spikes and bytes of one inference, and estimate its energy in a 45 nm process.

    The network runs once, in evaluation mode, and is left as it was. Counted are Linear and Conv layers (torch's,
    binary and packed ones) and neurons (snnTorch's and those of this package), wherever a module calls them; calls in a
    loop over time add up. A batch norm is taken as folded into scale and bias. Pooling, and products that are no module
    (``F.linear`` in a ``forward``, the readout of ``LocalNetwork``), are not seen.

    * A layer whose inputs are all 0 or 1 does one addition for every spike and synapse. If any input is another number
      (pixels as currents, averaged spikes, traces), all of the layer's products count as multiply-accumulates. With
      1-bit weights that is more than is needed: a change of sign and an addition would do.
    * A weight is read for every synaptic operation or multiply-accumulate, without reuse over time or batch; inputs
      are read once, neurons' outputs written once, and every number that a neuron keeps is read and written at each
      step. Spikes move 1 bit, weights the bits of their rule, everything else 32.

    The energies are those of single operations in one 45 nm process at 0.9 V: float32 multiplication 3.7 pJ and
    addition 0.9 pJ, int32 addition 0.1 pJ (a spike and a weight of few bits), 20 pJ for 64 bits from a cache of 32 KB.
    A cache of 1 MB costs 100 pJ, DRAM 1300 to 2600 pJ for the same 64 bits. **They are no measurement of this software
    or of any chip**: control, clock, leakage and interconnect are left out.

    Source: M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014.

    Args:
        net: a network of snnTorch's or our neurons, an :class:`snntorch_binary.Ensemble`, or a packed one of either.
        x: a batch of its input, such as spikes [T, B, ...], or a tuple of its arguments, of which that is the first.
        step: whether the network takes one time step at a time; implied by ``init_hidden=True``.
        batch_size: number of examples in ``x``; by default what the network's layers or a few runs of it tell.

    Returns:
        Numbers for one example and all of its time steps, layer by layer and in total; print it.

    Raises:
        TypeError: ``x``, or the first of a tuple, is neither a tensor nor :class:`snntorch_binary.packed.SpikeBits`.
        ValueError: ``batch_size`` has to be given, as it cannot be told, is not positive, or no layer was called.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> from snntorch_binary.metrics import energy
        >>> net = sb.nn.Sequential(sb.nn.Linear(100, 64), sb.nn.Leaky(beta=0.9), sb.nn.Linear(64, 10))
        >>> x = torch.zeros(25, 4, 100)
        >>> x[:, :, :5] = 1  # 5 % of the inputs spike
        >>> counted = energy(net, x)
        >>> counted.rows[0].dense_macs, counted.rows[0].synaptic_operations, counted.weight_bytes
        (160000.0, 8000.0, 880)
    """
    first = arguments_of(x)[0] if arguments_of(x) else None
    if not isinstance(first, (Tensor, SpikeBits)):
        what = "a tensor or SpikeBits, or a tuple of arguments that begins with one"
        raise TypeError(expected("x", what, type(x if x is first else first).__name__))
    step = _step(net, x, step)
    meter = Meter(net)
    with evaluated(net), state_put_back(net), meter.attached(), torch.no_grad():
        output = run(net, x, step)
    if not any(tally.weights for tally in meter.tallies.values()):
        raise ValueError(expected("net", "a network that calls Linear or Conv layers", type(net).__name__))
    size = _batch_size(net, x, output, step, batch_size)
    rows = tuple(tally.row(size) for tally in meter.tallies.values())
    return Energy(rows, size, (*unseen(net), *meter.unknown))


def _step(net: nn.Module, x: Inputs | SpikeBits, step: bool | None) -> bool:
    """Say whether a network takes one time step a call; runs that tell it are made before anything is counted."""
    if isinstance(net, PackedEnsemble):
        form_of(net.net[0], x, net.step, net.time_dim)
        return False  # its members are run by itself
    if isinstance(net, Ensemble):
        form_of(net.members[0], x, net.step, net.time_dim)
        return False
    return form_of(net, x, step).step


def _batch_size(net: nn.Module, x: Inputs | SpikeBits, output: Any, step: bool, given: int | None) -> int:
    if given is None:
        given = len(output[0]) if isinstance(net, (Ensemble, PackedEnsemble)) else examples_in(net, x, output, step)
        if given is None:
            what = "given where neither the network nor a few runs of it tell it"
            raise ValueError(expected("batch_size", what, None))
    if not isinstance(given, int) or given < 1:
        raise ValueError(expected("batch_size", "a positive integer", given))
    return given
