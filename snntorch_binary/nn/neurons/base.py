"""What every neuron here shares: the time-first and the one-step form, and where the state lives."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.nn.neurons.description import NeuronDescription, register
from snntorch_binary.nn.neurons.snntorch_reset import reach_neurons

__all__ = ["Neuron"]


class Neuron(nn.Module):
    """A layer of neurons that takes input currents and gives spikes, in one of three forms.

    ==========================  =====================================================================
    (neither)                   time-first: [T, B, ...] in one call, starting at rest
    ``step=True``               one time step [B, ...]; the state comes in and goes out
    ``init_hidden=True``        one time step [B, ...]; the state stays on the module, ``reset_mem()``
                                returns it to rest
    ==========================  =====================================================================

    The state kept by ``init_hidden`` is no buffer: distributed data parallel would overwrite it with the
    state of rank 0 at every call. It moves with ``.to()``, and copies and pickles without its autograd graph.

    A subclass names its ``State`` and has a ``description``, whose ``update`` is one time step: that is all it needs to
    be run, fused, packed, saved, exported and counted. It may replace the loop over time by a scan.
    """

    State: ClassVar[Any]  # a NamedTuple of tensors [B, ...]
    description: ClassVar[NeuronDescription]
    resumes: ClassVar[bool] = False  # whether the time-first form takes a state to go on from
    RecurrentState: ClassVar[Any] = None  # that of such neurons in `Recurrent`, which adds spikes; None: not in there

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "description" in cls.__dict__:
            register(cls, cls.description)

    def __init__(self, *, step: bool = False, init_hidden: bool = False, output: bool = False) -> None:
        super().__init__()
        self.one_step = step or init_hidden
        self.init_hidden = init_hidden
        self.output = output
        self._kept: Any = None

    def _check(self, **constants: Any) -> None:
        """Say which of these constants is not what the description lets it be."""
        for constant in self.description.constants:
            if constant.name in constants:
                constant.checked(constants[constant.name])

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One time step, whatever the form: spikes and state of x [B, ...] and the state.

        ``None`` is the state at rest. Nothing is kept on the module.
        """
        update = self.description.update
        assert update is not None
        spikes, after = update(x, self._at_hand(x, state), self)
        return spikes, self.State(*after)

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """Spikes, and what else the form of this module returns (see the class)."""
        x = self._checked(x)
        if self.one_step:
            spikes, state = self._advance(x, state)
            returned = (spikes,) if self.init_hidden else (spikes, state)
            potential = self._potential(x, state) if self.output else None
        elif state is not None:
            raise TypeError(expected("state", "None in the time-first form, which starts at rest", "a state"))
        else:
            spikes, potential = self._sequence(x)
            returned = (spikes,)
        if self.output:
            return *returned, potential
        return returned if len(returned) > 1 else spikes

    def _sequence(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Spikes and membrane potentials [T, B, ...] of a sequence that starts at rest."""
        spikes, states = self._loop(x, None)
        return spikes, self._potential(x, states) if self.output else None

    def _potential(self, x: Tensor, state: Any) -> Tensor:
        """The membrane potential that decided on the spikes, of the input and the state after the step."""
        return state.mem

    @property
    def has_scan(self) -> bool:
        """Whether the time-first form has something faster than a loop over :meth:`step`."""
        return type(self)._sequence is not Neuron._sequence or self.resumes

    def over_time(self, output: bool) -> Neuron:
        """Return the time-first form of a neuron, with its parameters; with ``output`` it gives its potential."""
        twin = copy.copy(self)
        twin.__dict__.update(_parameters=dict(self._parameters), _buffers=dict(self._buffers))
        twin.one_step, twin.init_hidden, twin.output, twin._kept = False, False, output, None
        return twin

    def reset_mem(self) -> Any:
        """Return the kept state to rest, and return a state that means "at rest" for any input shape."""
        self._kept = None
        return self.State(*(torch.zeros(0) for _ in self.State._fields))

    def _at_hand(self, x: Tensor, state: Any) -> Any:
        """The state to go on from: zeros where there is none yet, and of the shape of ``x``, or an error."""
        tensors = [None] * len(self.State._fields) if state is None else state
        for tensor in tensors:
            if tensor is not None and tensor.shape not in (x.shape, (0,)):
                what = f"{list(tensor.shape)}, the shape of the state (reset_mem() before other data)"
                raise ValueError(expected("x", f"a tensor of shape {what}", list(x.shape)))
        return self.State(*(torch.zeros_like(x) if t is None or t.shape == (0,) else t for t in tensors))

    def _checked(self, x: Tensor) -> Tensor:
        """``x`` if it can be an input of this form, in float32 under autocast."""
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise TypeError(expected("x", "a floating point tensor", getattr(x, "dtype", type(x).__name__)))
        if x.dim() < (1 if self.one_step else 2):
            shape = "[B, ...] (one time step)" if self.one_step else "[T, B, ...] (time-first)"
            raise ValueError(expected("x", f"a tensor of shape {shape}", list(x.shape)))
        if x.dtype in (torch.float16, torch.bfloat16) and torch.is_autocast_enabled(x.device.type):
            # 8 bits lose small currents; autocast keeps sums in float32 for the same reason.
            return x.float()
        return x

    def _advance(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step of the one-step forms: from the given state, or from the kept one."""
        if not self.init_hidden:
            return self.step(x, state)
        if state is not None:
            raise TypeError(expected("init_hidden", "False where a state is passed", True))
        if not torch.compiler.is_compiling():
            reach_neurons(Neuron)
        spikes, self._kept = self.step(x, self._kept)
        return spikes, self._kept

    def _loop(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Spikes and states [T, B, ...] by :meth:`step`: slow, clear, and the reference for every scan."""
        if x.shape[0] == 0:
            return x.clone(), self.State(*(x.clone() for _ in self.State._fields))
        steps = []
        for x_t in x.unbind(0):
            spikes, state = self.step(x_t, state)
            steps.append((spikes, *state))
        all_spikes, *states = (torch.stack(tensors) for tensors in zip(*steps, strict=True))
        return all_spikes, self.State(*states)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Neuron:
        super()._apply(fn, recurse)
        if self._kept is not None:
            self._kept = self.State(*map(fn, self._kept))
        return self

    def __getstate__(self) -> dict[str, Any]:
        attributes = self.__dict__.copy()
        if self._kept is not None:
            attributes["_kept"] = self.State(*(tensor.detach() for tensor in self._kept))
        return attributes

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        of = self.description
        names = [constant.name for constant in of.constants if not constant.per_neuron]
        names += [option.name for option in of.options] + ([of.spike.name] if of.spike else [])
        return ", ".join([*(f"{name}={getattr(self, name)!r}" for name in names), f"step={self.one_step}"])


register(Neuron, NeuronDescription(), family=True)
