"""A weight in force: as a node of the autograd graph, and as what a context puts in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from snntorch_binary.kernels.engine import flat
from snntorch_binary.weights.rule import Kind, noise_like

if TYPE_CHECKING:
    from snntorch_binary.weights.draw import Draw


class _HeldWeight(torch.autograd.Function):
    """The weight as one graph tensor that may be used and differentiated any number of times.

    The derivative is a plain attribute of ctx and no saved tensor, so that a backward pass frees nothing: a second
    backward, micro-batches and activation checkpointing find it where it was.
    """

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, derivative: Tensor | None, latent: Tensor, heard: Callable[[Tensor], None]
    ) -> Tensor:
        ctx.derivative, ctx.heard = derivative, heard
        ctx.value, ctx.version = value, value._version
        return value.data  # the same memory, and no view, which autograd would not let a kernel write to

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.value._version != ctx.version:
            raise RuntimeError(
                "An optimizer step has drawn new weights since this output was computed; call backward() before step()."
            )
        ctx.heard(grad.detach())
        # A tensor of its own: autograd gives it to the latent, whose gradient others scale and clip in place.
        grad = grad.clone() if ctx.derivative is None else grad * ctx.derivative.to(grad.dtype)
        return None, None, grad, None


class _NoGradient(torch.autograd.Function):
    """A weight that answers a backward pass to its latent with the reason why there is no gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, latent: Tensor, reason: str) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.reason = inputs[2]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, ...]:
        raise RuntimeError(ctx.reason)


class _TransformedUniform(torch.autograd.Function):
    """Seeded noise inside ``torch.func`` transforms: one draw for all, or one each with randomness="different"."""

    @staticmethod
    def forward(latent: Tensor, seed: int) -> Tensor:
        return noise_like(latent, seed)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None]:
        return None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], latent: Tensor, seed: int) -> tuple[Tensor, int | None]:
        dim = in_dims[0]
        if dim is not None:
            latent = latent.movedim(dim, 0)
        if info.randomness == "different":
            if dim is None:
                latent = latent.expand(info.batch_size, *latent.shape)
            return _TransformedUniform.apply(latent, seed), 0
        return _TransformedUniform.apply(latent if dim is None else latent[0], seed), None


def held_node(value: Tensor, derivative: Tensor | None, latent: Tensor, heard: Callable[[Tensor], None]) -> Tensor:
    """Return a weight as a function of its latent with this derivative (``None``: one).

    Args:
        value: the weight, whose memory the node shares.
        derivative: of the weight by the latent.
        latent: what the gradient goes to.
        heard: called with the gradient of the weight itself.
    """
    return _HeldWeight.apply(value, derivative, latent, heard)


def without_gradient(value: Tensor, latent: Tensor, reason: str) -> Tensor:
    """Return a weight that answers a backward pass to its latent with the reason why there is no gradient."""
    return _NoGradient.apply(value.detach(), latent, reason)


def transformed_uniform(latent: Tensor, seed: int) -> Tensor:
    """Return seeded noise inside ``torch.func`` transforms: one draw for all, or one each where each is to differ."""
    return _TransformedUniform.apply(latent, seed)


@dataclass(eq=False)
class Held:
    """A weight in force and its derivative, outside any graph, and the same as a node of the autograd graph.

    Attributes:
        key: what it was made for.
        kind: which weights it holds.
        value: the weight.
        derivative: of it by the latent; ``None`` stands for one.
        node: the node, made when somebody asks for it first.
        gradient: what has come to the weight, since the latent's gradient was last none or zero.
    """

    key: tuple[Any, ...]
    kind: Kind
    value: Tensor
    derivative: Tensor | None
    node: Tensor | None = None
    gradient: Tensor | None = None
    _arrays: tuple[Any, Any] | None = None

    def arrays(self) -> tuple[Any, Any]:
        """Return value and derivative as kernels take them, made once: a step of the online rule is short."""
        if self._arrays is None:
            assert self.derivative is not None
            self._arrays = flat(self.value), flat(self.derivative)
        return self._arrays

    def again(self, key: tuple[Any, ...]) -> Held:
        """Return what is held in the same memory for something else."""
        return Held(key, self.kind, self.value, self.derivative, _arrays=self._arrays)


@dataclass(eq=False)
class Forced:
    """What is in force of one draw inside `sampled` or `disarm_loss`, in the context that entered it.

    Attributes:
        kind: the kind of weights, or ``None`` for the one that the layer's mode asks for.
        seed: of the noise, or ``None`` for the draw's own.
        start: the draw's counter on entry.
        antithetic: ±1 weights that are constants, drawn with the noise u (False) or 1 - u (True).
        held: the weight in force.
    """

    kind: Kind | None
    seed: int | None
    start: int
    antithetic: bool | None = None
    held: Held | None = None


# Local to the context, so that threads and asyncio tasks which share a network do not see each other's weights.
_FORCED: ContextVar[Mapping[Draw, Forced]] = ContextVar("snntorch_binary_forced")
_NOTHING: Mapping[Draw, Forced] = {}


def forced(draw: Draw) -> Forced | None:
    """Return what is in force of a draw in this context."""
    return _FORCED.get(_NOTHING).get(draw)


@contextmanager
def forcing(changed: Mapping[Draw, Forced]) -> Iterator[None]:
    """Put weights in force in this context for as long as it lasts."""
    before = _FORCED.get(_NOTHING)
    _FORCED.set({**before, **changed})
    try:
        yield
    finally:
        _FORCED.set(before)
