"""What a winner-take-all network remembers between two time steps."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from snntorch_binary.nn.basis import Traces

__all__ = ["WTAMemory"]


class WTAMemory(nn.Module):
    """The traces of all that was emitted, for B sequences. The state_dict holds all of it.

    Made by :meth:`snntorch_binary.nn.WTANetwork.memory`.

    Args:
        of_source: what circuits see of inputs (0), hidden circuits (1) and outputs (2).
        own: what hidden circuits and outputs see of their own past, by name.

    Example:
        >>> import torch
        >>> from snntorch_binary.nn import WTANetwork
        >>> net = WTANetwork(num_inputs=16, num_hidden=4, num_outputs=3)
        >>> memory, x = net.memory(8, torch.zeros(())), torch.zeros(8, 16, 1)
        >>> for t in range(5):
        ...     step = net.look(memory, None, seed=0, t=t)
        ...     net.remember(memory, x, step)
    """

    def __init__(self, of_source: Mapping[int, Traces], own: Mapping[str, Traces]) -> None:
        super().__init__()
        self.of_source, self.own = dict(of_source), dict(own)
        for source, traces in self.of_source.items():
            self.add_module(("inputs", "hidden", "outputs")[source], traces)
        for name, traces in self.own.items():
            self.add_module(f"own_{name}", traces)

    def reset(self) -> None:
        """Forget everything."""
        for traces in (*self.of_source.values(), *self.own.values()):
            traces.reset()
