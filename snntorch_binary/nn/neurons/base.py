"""What every neuron here shares: the time-first and the one-step form, and where the state lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
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

    A subclass names its ``State`` and implements :meth:`step`; it may replace the loop over it by a scan.
    """

    State: ClassVar[Any]  # a NamedTuple of tensors [B, ...]

    def __init__(self, *, step: bool, init_hidden: bool, output: bool) -> None:
        super().__init__()
        self.one_step = step or init_hidden
        self.init_hidden = init_hidden
        self.output = output
        self._kept: Any = None

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One time step of every form: input current [B, ...] and state in, spikes [B, ...] and state out.

        ``None`` is the state at rest. Nothing is kept on the module.
        """
        raise NotImplementedError

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
