"""What a packed graph calls beside layers and operations of torch."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from snntorch_binary.graph.neurons import scan_over_time


class Scan(nn.Module):
    """Time-first neurons in a packed graph, which give spikes and states."""

    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.neuron = neuron

    def forward(self, x: Tensor, initial: tuple[Tensor | None, ...], steps: int | None = None) -> Any:  # noqa: D102  # the class says it
        return scan_over_time(self.neuron, x, initial, steps)


class StepAtZero(nn.Module):
    """Spikes where a number is above zero, or also at it: what a user's surrogate gradient is in inference."""

    def __init__(self, fires_at_threshold: bool) -> None:
        super().__init__()
        self.fires_at_threshold = fires_at_threshold

    def forward(self, u: Tensor, *constants: Any) -> Tensor:  # noqa: D102  # the class says it
        return (u >= 0 if self.fires_at_threshold else u > 0).to(u.dtype)


class UnknownFunction(nn.Module):
    """A function that a packed graph in memory calls, and a file cannot hold."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102  # the class says it
        return self.function(*args, **kwargs)
