"""Which weights of a latent are in force: one draw, held until the latent changes."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.kernels.noise import mix
from snntorch_binary.kernels.same_bits import same_bits
from snntorch_binary.weights.held import Forced, Held, forced, held_node, transformed_uniform, without_gradient
from snntorch_binary.weights.rule import Kind, WeightRule, noise_like, with_derivative


def _mix(*values: int) -> int:
    """Return a well-mixed 63-bit seed made of integers."""
    return mix(*values) >> 1


def new_seed(generator: torch.Generator | None = None) -> int:
    """Draw a seed from the generator, or from torch's global one."""
    device = "cpu" if generator is None else generator.device  # also within `torch.device("meta")`
    return int(torch.randint(2**62, (), generator=generator, device=device))


def _rank(rule: WeightRule) -> int:
    if rule.shares_noise:
        return 0
    distributed = torch.distributed
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0


_lock = threading.RLock()  # for the moment in which a draw changes hands; copies and pickles of draws have none


def _new_lock() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)  # another thread may have held it


class Draw:
    """The weights in force of one latent, shared by all layers tied to it.

    Noise is a function of (seed, counter, rank) only, so a checkpoint of two integers brings a draw back bit for bit.
    The draw is held while the latent stays the same; the counter advances after an optimizer step, when the latent's
    content changes (a hand-written update, a write through ``.data`` or numpy), or by
    :func:`snntorch_binary.resample_`.

    That the latent is what it was is seen by comparing its bits with a copy, at every look: one pass over the weights,
    4 bytes more for each, and no way around it.
    """

    def __init__(self, rule: WeightRule, seed: int) -> None:
        self.rule = rule
        self.seed = seed
        self.counter = 0
        self.paper_exact = False
        # What compiled graphs read, which know no context: what was held last.
        self.graph_value: Tensor | None = None
        self.graph_derivative: Tensor | None = None
        self.graph_kind: Kind = "mode"
        self.graph_constant = False
        self._held: Held | None = None  # outside `sampled`
        self._latent: Tensor | None = None
        self._content: Tensor | None = None  # what the latent was when it was looked at
        self._looks = 0  # counts how often what is held has been dropped
        self._renewed = False  # by the kernel that has made the optimizer's step

    def __getstate__(self) -> dict[str, Any]:
        # The held weight is part of an autograd graph, which neither copies nor pickles; it is drawn again.
        nothing = dict.fromkeys(("graph_value", "graph_derivative", "_held", "_latent", "_content"))
        return self.__dict__ | nothing | {"_renewed": False}

    @property
    def forced(self) -> Forced | None:
        """What `sampled` or `disarm_loss` has put in force in this context."""
        return forced(self)

    @property
    def held(self) -> Held | None:
        """What is held in this context."""
        forced = self.forced
        return self._held if forced is None else forced.held

    @property
    def latent(self) -> Any:
        """The latent that was looked at last, or ``None``."""
        return self._latent

    @property
    def value(self) -> Tensor | None:
        """The weight in force, outside any graph."""
        held = self.held
        return None if held is None else held.value

    @property
    def derivative(self) -> Tensor | None:
        """The derivative of the weight in force; ``None`` stands for one."""
        held = self.held
        return None if held is None else held.derivative

    def kind(self, training: bool) -> Kind:
        """Return which weights are in force."""
        return self._kind(self.forced, training)

    def _kind(self, forced: Forced | None, training: bool) -> Kind:
        if forced is not None and forced.antithetic is not None:
            return "binary"
        if forced is not None and forced.kind is not None:
            return forced.kind
        return self.rule.training_kind if training else "mode"

    def weight(self, latent: Tensor, training: bool) -> Tensor:
        """Return the weight in force, in [-1, +1] and of the latent's shape, as a node of the autograd graph."""
        held = self._in_force(latent, training)
        if held.node is None:
            # Whoever asks first may be in no_grad or inference mode; those who come later need the graph.
            with _lock, torch.inference_mode(False), torch.enable_grad():
                if held.node is None:
                    held.node = self._node_for(held, latent)
        return held.node

    def _in_force(self, latent: Tensor, training: bool) -> Held:
        forced = self.forced
        kind, needs_gradient, rank = self._kind(forced, training), latent.requires_grad, _rank(self.rule)
        held = self._held if forced is None else forced.held
        if held is not None and held.key == (kind, needs_gradient, rank, self._looks) and self._knows(latent):
            return held
        with _lock:
            if self._latent is latent and not self._knows(latent):
                self.counter += 1
                self.forget()
            if self._latent is not latent:
                self.forget()
                with torch.inference_mode(False), torch.no_grad():
                    self._latent, self._content = latent, latent.detach().clone()
            key = (kind, needs_gradient, rank, self._looks)
            held = self.held
            if held is None or held.key != key:
                with torch.inference_mode(False):
                    held = self._hold(key, kind, *self._drawn(latent.detach(), kind))
            return held

    def _knows(self, latent: Tensor) -> bool:
        """Say whether this latent has been looked at and not been written to since."""
        return self._latent is latent and self._content is not None and same_bits(latent, self._content)

    def held_variance(self, latent: Tensor, known: bool = False) -> Tensor | None:
        """Return 1 - μ² of the latent as it is, where the held weight's derivative is it; else ``None``.

        Args:
            latent: the latent.
            known: whether it is known to be as it was, as :meth:`next_seed` has found.
        """
        held = self.held
        if held is None or held.kind not in ("binary", "mode", "mean") or held.key[-1] != self._looks:
            return None
        return held.derivative if known or self._knows(latent) else None

    def next_seed(self, latent: Tensor) -> int | None:
        """Return the seed of the draw after the held one, where the held one is what training draws of this latent."""
        held = self._held
        if held is None or self.forced is not None or latent.is_inference() or not self._knows(latent):
            return None
        if held.derivative is None or held.value.is_inference():
            return None
        if held.kind != self.rule.training_kind or not self.rule.needs_noise(held.kind):
            return None
        return _mix(self.seed, self.counter + 1, _rank(self.rule))

    def renewed(self, latent: Tensor) -> None:
        """Take notice that a kernel has moved the latent, and put the draw of :meth:`next_seed` into what was held."""
        held, content = self._held, self._content
        assert held is not None
        assert held.derivative is not None
        assert content is not None
        self.counter += 1
        for changed in (latent, held.value, held.derivative, held.node):  # a graph that needs the old ones says so
            if changed is not None:
                torch.autograd.graph.increment_version(changed)
        content.copy_(latent.detach())
        self._looks += 1
        self._held = held.again((*held.key[:-1], self._looks))
        self._renewed = True

    def moved(self) -> bool:
        """Take notice that an optimizer has stepped: the next look at the weight is a new draw, if this is not.

        Returns:
            Whether the weight has to be looked at anew. Where a kernel has made this draw it has not: whether the
            latent has changed since is seen at the next look.
        """
        renewed, self._renewed = self._renewed, False
        if not renewed:
            self.advance()
        return not renewed

    def advance(self) -> None:
        """Let the next look at the weight be a new draw."""
        self.counter += 1
        self.forget()

    def forget(self) -> None:
        """Drop the held weight; the next look rebuilds the same draw from seed and counter."""
        self._held = self.graph_value = self.graph_derivative = self._latent = self._content = None
        self._looks += 1
        self._renewed = False

    def functional_weight(self, latent: Tensor, training: bool) -> Tensor:
        """Return the weight inside a ``torch.func`` transform, where nothing can be held."""
        kind = self.kind(training)
        uniform = transformed_uniform(latent, self._seed()) if self.rule.needs_noise(kind) else None
        if uniform is not None and self._mirrored():
            uniform = 1 - uniform
        return self._as_node(with_derivative, *self._weight_and_derivative(latent, kind, uniform), latent, kind)

    def compiled_weight(self, latent: Tensor) -> Tensor | None:
        """Return the held weight from inside a compiled graph, or ``None`` where none is held.

        Optimizer steps, loading, `sampled`, and changes of mode have renewed the draw outside the graph; only
        leaf tensors enter the graph. A graph cannot see a hand-written update: after one a drawn weight needs
        `resample_`, one that is a function of the latent alone is computed in the graph.
        """
        if not self.rule.is_drawn:
            return with_derivative(*self._weight_and_derivative(latent, "mode", None), latent)
        if self.graph_value is None:
            return None
        kind = self.graph_kind
        if not self.rule.needs_noise(kind):
            value, derivative = self._weight_and_derivative(latent, kind, None)
        else:
            value, derivative = self.graph_value, self.graph_derivative
        if self.graph_constant:
            return value.detach()
        return self._node_of(with_derivative, value, derivative, latent, self.rule.why_no_gradient(kind))

    def _weight_and_derivative(
        self, latent: Tensor, kind: Kind, uniform: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        weight, derivative = self.rule.weight_and_derivative(latent, kind, uniform, paper_exact=self.paper_exact)
        return weight.to(latent.dtype), derivative

    def _drawn(self, latent: Tensor, kind: Kind) -> tuple[Tensor, Tensor | None]:
        seed = self._seed() if self.rule.needs_noise(kind) else None
        if seed is not None and self._mirrored():
            return self._weight_and_derivative(latent, kind, 1 - noise_like(latent, seed))
        weight, derivative = self.rule.drawn(latent, kind, seed, paper_exact=self.paper_exact)
        return weight.to(latent.dtype), derivative

    def _as_node(
        self,
        differentiable: Callable[[Tensor, Tensor | None, Tensor], Tensor],
        value: Tensor,
        derivative: Tensor | None,
        latent: Tensor,
        kind: Kind,
    ) -> Tensor:
        """Return the weight as a function of the latent, or as one that its rule lets nobody differentiate."""
        forced = self.forced
        if forced is not None and forced.antithetic is not None:
            return value.detach()
        return self._node_of(differentiable, value, derivative, latent, self.rule.why_no_gradient(kind))

    @staticmethod
    def _node_of(
        differentiable: Callable[[Tensor, Tensor | None, Tensor], Tensor],
        value: Tensor,
        derivative: Tensor | None,
        latent: Tensor,
        reason: str | None,
    ) -> Tensor:
        if reason is not None:
            return without_gradient(value, latent, reason)
        return differentiable(value, derivative, latent)

    def _mirrored(self) -> bool:
        forced = self.forced
        return forced is not None and bool(forced.antithetic)

    def _seed(self) -> int:
        seed, counter, forced = self.seed, self.counter, self.forced
        if forced is not None and forced.seed is not None:
            # Said by the user, and the same in every process of a distributed run.
            return _mix(forced.seed, counter - forced.start)
        return _mix(seed, counter, _rank(self.rule))

    def _hold(self, key: tuple[Any, ...], kind: Kind, value: Tensor, derivative: Tensor | None) -> Held:
        held, forced = Held(key, kind, value, derivative), self.forced
        if forced is None:
            self._held = held
        else:
            forced.held = held
        return held

    def _node_for(self, held: Held, latent: Tensor) -> Tensor:
        of, learned = weakref.ref(held), weakref.ref(latent)  # weakly: the node is part of what is held

        def heard(gradient: Tensor) -> None:
            held, latent = of(), learned()
            if held is None or latent is None or not latent.is_leaf:
                return
            before = None if latent.grad is None or not bool(latent.grad.any()) else held.gradient
            held.gradient = gradient if before is None else before + gradient

        def node_of(value: Tensor, derivative: Tensor | None, latent: Tensor) -> Tensor:
            return held_node(value, derivative, latent, heard)

        return self._as_node(node_of, held.value, held.derivative, latent, held.kind)

    def refresh(self, latent: Tensor, training: bool) -> None:
        """Have the weight in force ready, for compiled graphs, which only read it."""
        held, forced = self._in_force(latent, training), self.forced
        self.graph_value, self.graph_derivative, self.graph_kind = held.value, held.derivative, held.kind
        self.graph_constant = forced is not None and forced.antithetic is not None
