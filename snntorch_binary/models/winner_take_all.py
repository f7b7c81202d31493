"""A winner-take-all classifier of symbols."""

from __future__ import annotations

import math
from collections.abc import Sequence

from snntorch_binary.nn.basis import Basis
from snntorch_binary.nn.wta.network import Feedback, WTANetwork, layered_mask


def has_polarities(input_shape: Sequence[int]) -> bool:
    """Say whether spikes of this shape are an event camera's, [2, H, W]."""
    return len(input_shape) == 3 and input_shape[0] == 2


def symbol_network(
    input_shape: Sequence[int], num_hidden: int, num_outputs: int, num_symbols: int, basis: Basis, init: float = 0.02
) -> WTANetwork:
    """Return a winner-take-all classifier with an input circuit for each pixel.

    It is feedforward: outputs see hidden circuits only, so that all they know has gone through these (without any, they
    see the inputs), and nobody the past of his own group. That of outputs is clamped while learning.

    Args:
        input_shape: shape of the spikes in one time step.
        num_hidden: number of hidden circuits.
        num_outputs: number of classes.
        num_symbols: number of symbols.
        basis: what circuits see of the past of others.
        init: weights start uniform in ±init.

    Example:
        >>> from snntorch_binary.nn import RaisedCosine
        >>> symbol_network((2, 34, 34), 16, 10, 2, RaisedCosine(2)).num_inputs
        1156
    """
    sizes = math.prod(input_shape) // (2 if has_polarities(input_shape) else 1), num_hidden, num_outputs
    mask = layered_mask(*sizes, hidden_lateral=False, output_lateral=False)
    if num_hidden:
        mask[num_hidden:, : sizes[0]] = False
    return WTANetwork(*sizes, num_symbols, basis=basis, feedback="none", mask=mask, init=init)


def layered_network(num_inputs: int, num_hidden: int, num_outputs: int, feedback: Feedback = "none") -> WTANetwork:
    """Return FL-SNN's network of one symbol: hidden circuits see each other, and outputs inputs and hidden circuits.

    Args:
        num_inputs: number of input circuits.
        num_hidden: number of hidden circuits, may be 0.
        num_outputs: number of classes.
        feedback: which circuits see their own past; with ``"all"`` outputs also see each other's.

    Example:
        >>> layered_network(676, 0, 2).outputs.sources
        (0,)
    """
    sizes = num_inputs, num_hidden, num_outputs
    return WTANetwork(*sizes, feedback=feedback, mask=layered_mask(*sizes, output_lateral=feedback == "all"))
