"""What Leaky and Synaptic share: snnTorch's arguments, its checkpoint keys, how it fires and resets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.kernels.surrogates import ArcTan
from snntorch_binary.nn.neurons.base import Neuron
from snntorch_binary.nn.neurons.description import Constant, Option, Spike

_RESETS = ("subtract", "zero", "none")  # a checkpoint of snnTorch holds the place in this order

THRESHOLD = Constant("threshold", per_neuron=True)
FACTOR = Constant("graded_spikes_factor", per_neuron=True)
OPTIONS = (Option("reset_mechanism", _RESETS), Option("reset_delay"))
SPIKE = Spike("spike_grad", ArcTan(2.0))
_HARD = "build it with reset_mechanism='zero', reset_delay=False"


class LIF(Neuron):
    """Leaky integrate-and-fire: beta, threshold, reset and the factor of the spikes."""

    beta: Tensor
    threshold: Tensor
    graded_spikes_factor: Tensor
    reset_mechanism_val: Tensor
    resumes = True

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
        self._constants(
            threshold=(threshold, learn_threshold),
            graded_spikes_factor=(graded_spikes_factor, learn_graded_spikes_factor),
            beta=(beta, learn_beta),
        )
        self.graded = learn_graded_spikes_factor or _is_not_one(self.graded_spikes_factor)

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

    def _constants(self, **given: tuple[float | Tensor, bool]) -> None:
        """Keep constants as tensors, Parameters where they are learned."""
        within = {constant.name: constant for constant in self.description.constants}
        for name, (value, learn) in given.items():
            value = within[name].checked(value) if name in within else value
            tensor = value if isinstance(value, Tensor) else torch.tensor(float(value))
            if learn:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)

    def _from(self, x: Tensor, *state: Tensor | None) -> Any:
        """Spikes, and what else the form returns, from a state that is there or not."""
        x = self._checked(x)
        given = None if all(part is None for part in state) else state
        spikes, after = self._advance(x, given) if self.one_step else self._resumed(x, given)[:2]
        explicit = self.one_step and not self.init_hidden
        return (spikes, *after) if self.output or explicit else spikes

    def _resumed(self, x: Tensor, state: Any) -> tuple[Tensor, Any, Any]:
        """Spikes and states [T, B, ...] of a sequence, from a state or from rest; and the state to go on from."""
        raise NotImplementedError

    def _looped(self, x: Tensor, state: Any) -> tuple[Tensor, Any, Any]:
        """The same step by step."""
        spikes, states = self._loop(x, state)
        return spikes, states, self.State(*(each[-1].clone() if len(each) else each for each in states))

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        # Plain attributes decide in `forward`, where reading a tensor would wait for the device.
        self.reset_mechanism = _RESETS[int(self.reset_mechanism_val)]
        self.graded = self.graded or _is_not_one(self.graded_spikes_factor)


def settled(mem: Tensor, reset: Tensor, of: Any) -> tuple[Tensor, Tensor]:
    """Spikes, graded, and the potential after them, where `reset` is what the old potential has reset already."""
    spikes = of.spike_grad(mem - of.threshold)
    if not of.reset_delay:
        # The gradient does flow through this one.
        remaining = spikes - reset
        if of.reset_mechanism == "subtract":
            mem = mem - remaining * of.threshold
        elif of.reset_mechanism == "zero":
            mem = mem - remaining * mem
    return graded(spikes, of), mem


def graded(spikes: Tensor, of: Any) -> Tensor:
    """Spikes times what a spike is worth."""
    return spikes * of.graded_spikes_factor if of.graded else spikes


def why_no_kernel(neuron: Any) -> str | None:
    """Say why compiled kernels do not compute such a neuron, or ``None`` where they do."""
    if not neuron.reset_delay:
        return "it resets without delay"
    return "its spikes are graded" if neuron.graded else None


def losses(neuron: Any, shape: tuple[int, ...]) -> list[tuple[str, str]]:
    """Return what NIR's neurons with a hard reset cannot say of a neuron, a delayed reset apart; and the ways out."""
    found = []
    if neuron.reset_mechanism != "zero":
        name = {"subtract": "the soft reset 'subtract'", "none": "the missing reset 'none'"}[neuron.reset_mechanism]
        found.append((name, _HARD))
    if bool((getattr(neuron, "graded_spikes_factor", torch.ones(())) != 1).any()):
        found.append(("graded spikes", "build it with graded_spikes_factor=1, the factor in the weights behind it"))
    if getattr(neuron, "inhibition", False):
        found.append(("the inhibition between neurons", "build it with inhibition=False"))
    if getattr(neuron, "state_quant", False):
        found.append(("the quantised state", "build it with state_quant=False"))
    if bool((neuron.threshold < 0).any()):
        found.append(("the negative threshold", "use thresholds of at least 0"))
    return found


def losses_with_delay(neuron: Any, shape: tuple[int, ...]) -> list[tuple[str, str]]:
    """Return the same and the delayed reset, of neurons whose spikes depend on it."""
    delayed = neuron.reset_mechanism == "zero" and neuron.reset_delay
    return [*([("the delayed reset", _HARD)] if delayed else []), *losses(neuron, shape)]


def _is_not_one(factor: Tensor) -> bool:
    return factor.is_meta or bool((factor != 1).any())
