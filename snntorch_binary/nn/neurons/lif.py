"""What Leaky and Synaptic share: snnTorch's arguments, its checkpoint keys, how it fires and resets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.surrogate import ArcTan

__all__ = ["LIF"]

_RESETS = ("subtract", "zero", "none")  # a checkpoint of snnTorch holds the place in this order


class LIF(Neuron):
    """Leaky integrate-and-fire: beta, threshold, reset and the factor of the spikes."""

    beta: Tensor
    threshold: Tensor
    graded_spikes_factor: Tensor
    reset_mechanism_val: Tensor

    def __init__(
        self,
        beta: float | Tensor,
        threshold: float | Tensor,
        spike_grad: Callable[[Tensor], Tensor] | None,
        *,
        init_hidden: bool,
        inhibition: bool,
        learn_beta: bool,
        learn_threshold: bool,
        reset_mechanism: str,
        output: bool,
        graded_spikes_factor: float | Tensor,
        learn_graded_spikes_factor: bool,
        reset_delay: bool,
        step: bool,
    ) -> None:
        super().__init__(step=step, init_hidden=init_hidden, output=output)
        if inhibition:
            raise ValueError(expected("inhibition", "False (it is not supported)", inhibition))
        if spike_grad is not None and not callable(spike_grad):
            raise TypeError(expected("spike_grad", "a callable of u - threshold", spike_grad))
        self.spike_grad: Callable[[Tensor], Tensor] = ArcTan(2.0) if spike_grad is None else spike_grad
        self.register_buffer("reset_mechanism_val", torch.tensor(0))
        self.reset_mechanism = reset_mechanism
        self.reset_delay = reset_delay
        self._constant("threshold", threshold, learn_threshold)
        self._constant("graded_spikes_factor", graded_spikes_factor, learn_graded_spikes_factor)
        self._decay("beta", beta, learn_beta)
        self._graded = learn_graded_spikes_factor or _is_not_one(self.graded_spikes_factor)

    @property
    def reset_mechanism(self) -> str:
        """How a spike resets the membrane potential, ``"subtract"``, ``"zero"`` or ``"none"``."""
        return self._reset_mechanism

    @reset_mechanism.setter
    def reset_mechanism(self, name: str) -> None:
        if name not in _RESETS:
            raise ValueError(expected("reset_mechanism", f"one of {', '.join(_RESETS)}", name))
        self._reset_mechanism = name
        self.reset_mechanism_val.fill_(_RESETS.index(name))

    def _constant(self, name: str, value: float | Tensor, learn: bool) -> None:
        tensor = value if isinstance(value, Tensor) else torch.tensor(float(value))
        if learn:
            self.register_parameter(name, nn.Parameter(tensor))
        else:
            self.register_buffer(name, tensor)

    def _decay(self, name: str, value: float | Tensor, learn: bool) -> None:
        if not isinstance(value, Tensor) and not 0.0 <= value <= 1.0:
            raise ValueError(expected(name, "a decay per time step in [0, 1]", value))
        self._constant(name, value, learn)

    def _fire(self, mem: Tensor) -> Tensor:
        return self.spike_grad(mem - self.threshold)

    def _settle(self, mem: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
        """Spikes, not yet graded, and the membrane potential after a reset without delay."""
        spikes = self._fire(mem)
        if not self.reset_delay:
            # `reset` was taken from the old potential already. The gradient does flow through this one.
            remaining = spikes - reset
            if self.reset_mechanism == "subtract":
                mem = mem - remaining * self.threshold
            elif self.reset_mechanism == "zero":
                mem = mem - remaining * mem
        return spikes, mem

    def _grade(self, spikes: Tensor) -> Tensor:
        return spikes * self.graded_spikes_factor if self._graded else spikes

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        # Plain attributes decide in `forward`, where reading a tensor would wait for the device.
        self.reset_mechanism = _RESETS[int(self.reset_mechanism_val)]
        self._graded = self._graded or _is_not_one(self.graded_spikes_factor)

    def extra_repr(self) -> str:  # noqa: D102
        return (
            f"reset_mechanism={self.reset_mechanism!r}, reset_delay={self.reset_delay}, "
            f"spike_grad={self.spike_grad}, step={self.one_step}"
        )


def _is_not_one(factor: Tensor) -> bool:
    return factor.is_meta or bool((factor != 1).any())
