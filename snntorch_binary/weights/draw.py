"""Which weights of a latent are in force: one draw, held until the latent changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from snntorch_binary.kernels.noise import mix
from snntorch_binary.weights.rule import Kind, WeightRule, noise_like, with_derivative


def _mix(*values: int) -> int:
    """Return a well-mixed 63-bit seed made of integers."""
    return mix(*values) >> 1


def new_seed(generator: torch.Generator | None = None) -> int:
    """Draw a seed from the generator, or from torch's global one."""
    device = "cpu" if generator is None else generator.device  # also within `torch.device("meta")`
    return int(torch.randint(2**62, (), generator=generator, device=device))


def _rank(rule: WeightRule) -> int:
    if getattr(rule, "shared_noise", False):
        return 0
    distributed = torch.distributed
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0


class _HeldWeight(torch.autograd.Function):
    """The weight as one graph tensor that may be used and differentiated any number of times.

    The derivative is a plain attribute of ctx and no saved tensor, so that a backward pass frees nothing: a second
    backward, micro-batches and activation checkpointing find it where it was.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, derivative: Tensor | None, latent: Tensor) -> Tensor:
        ctx.derivative = derivative
        ctx.value, ctx.version = value, value._version
        return value.data  # the same memory, and no view, which autograd would not let a kernel write to

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.value._version != ctx.version:
            raise RuntimeError(
                "An optimizer step has drawn new weights since this output was computed; call backward() before step()."
            )
        if ctx.derivative is not None:
            grad = grad * ctx.derivative.to(grad.dtype)
        return None, None, grad


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


class Draw:
    """The weights in force of one latent, shared by all layers tied to it.

    Noise is a function of (seed, counter, rank) only, so a checkpoint of two integers brings a draw back bit for bit.
    The draw is held while the latent stays the same; the counter advances after an optimizer step, when the latent's
    version changes (a hand-written update), or by :func:`snntorch_binary.resample_`.
    """

    def __init__(self, rule: WeightRule, seed: int) -> None:
        self.rule = rule
        self.seed = seed
        self.counter = 0
        self.paper_exact = False
        # Set by `sampled`: the kind, a seed of its own, and the counter on entry.
        self.forced: tuple[Kind, int | None, int] | None = None
        # Set by `disarm_loss`: ±1 weights that are constants, drawn with the noise u (False) or 1 - u (True).
        self.antithetic: bool | None = None
        self.value: Tensor | None = None  # the weight in force and its derivative, outside any graph
        self.derivative: Tensor | None = None
        self._held: Tensor | None = None  # the same as a node of the autograd graph
        self._latent: Tensor | None = None
        self._key: tuple[Any, ...] = ()
        self._held_kind: Kind = "mode"  # apart from the key, all of which a compiled graph would be made for
        self._renewed = False  # by the kernel that has made the optimizer's step

    def __getstate__(self) -> dict[str, Any]:
        # The held weight is part of an autograd graph, which neither copies nor pickles; it is drawn again.
        return self.__dict__ | {
            "_held": None,
            "value": None,
            "derivative": None,
            "_latent": None,
            "_key": (),
            "_renewed": False,
            "forced": None,
            "antithetic": None,
        }

    def kind(self, training: bool) -> Kind:
        """Return which weights are in force."""
        if self.antithetic is not None:
            return "binary"
        if self.forced is not None:
            return self.forced[0]
        return self.rule.training_kind if training else "mode"

    def weight(self, latent: Tensor, training: bool) -> Tensor:
        """Return the weight in force, in [-1, +1] and of the latent's shape, as a node of the autograd graph."""
        version = 0 if latent.is_inference() else latent._version
        key = (self.kind(training), latent.requires_grad, _rank(self.rule), self.forced, self.antithetic, version)
        if self._latent is latent:
            if self._key == key and self._held is not None:
                return self._held
            if self._key[-1] != version and self._has_moved(latent):
                self.counter += 1
        return self._hold(latent, key)

    def _has_moved(self, latent: Tensor) -> bool:
        """Say whether a write has changed the latent: DDP, for one, writes what was there when it wraps."""
        value, derivative = self._drawn(latent.detach(), self._key[0])
        same = self.value is not None and torch.equal(value, self.value)
        if same and derivative is not None and self.derivative is not None:
            same = torch.equal(derivative, self.derivative)
        return not same

    def held_variance(self, latent: Tensor) -> Tensor | None:
        """Return 1 - μ² of the latent as it is, where the held weight's derivative is it; else ``None``."""
        held = self._latent is latent and self._key and self._key[-1] == latent._version
        return self.derivative if held and self._key[0] in ("binary", "mode", "mean") else None

    def next_seed(self, latent: Tensor) -> int | None:
        """Return the seed of the draw after the held one, where the held one is what training draws of this latent."""
        held = self._latent is latent and self._key and self._key[-1] == latent._version
        if not held or self.forced is not None or self.antithetic is not None or latent.is_inference():
            return None
        if self.value is None or self.derivative is None or self.value.is_inference():
            return None
        if self._key[0] != self.rule.training_kind or not self.rule.needs_noise(self._key[0]):
            return None
        return _mix(self.seed, self.counter + 1, _rank(self.rule))

    def renewed(self, latent: Tensor) -> None:
        """Take notice that a kernel has moved the latent, and put the draw of :meth:`next_seed` into what was held."""
        assert self.value is not None
        assert self.derivative is not None
        assert self._held is not None
        self.counter += 1
        for changed in (latent, self.value, self.derivative, self._held):  # a graph that needs the old ones says so
            torch.autograd.graph.increment_version(changed)
        self._keep(latent, (*self._key[:-1], latent._version), self.value, self.derivative)
        self._renewed = True

    def moved(self) -> None:
        """Take notice that an optimizer has stepped: the next look at the weight is a new draw, if this is not."""
        if self._renewed and self._latent is not None and self._key[-1] == self._latent._version:
            self._renewed = False
        else:
            self.advance()

    def advance(self) -> None:
        """Let the next look at the weight be a new draw."""
        self.counter += 1
        self.forget()

    def forget(self) -> None:
        """Drop the held weight; the next look rebuilds the same draw from seed and counter."""
        self._held = self.value = self.derivative = self._latent = None
        self._key = ()
        self._renewed = False

    def functional_weight(self, latent: Tensor, training: bool) -> Tensor:
        """Return the weight inside a ``torch.func`` transform, where nothing can be held."""
        kind = self.kind(training)
        uniform = _TransformedUniform.apply(latent, self._seed()) if self.rule.needs_noise(kind) else None
        if uniform is not None and self.antithetic:
            uniform = 1 - uniform
        return self._as_node(with_derivative, *self._weight_and_derivative(latent, kind, uniform), latent, kind)

    def compiled_weight(self, latent: Tensor) -> Tensor | None:
        """Return the held weight from inside a compiled graph, or ``None`` where none is held.

        Optimizer steps, loading, `sampled`, and changes of mode have renewed the draw outside the graph; only
        leaf tensors enter the graph. A graph cannot see a hand-written update: after one a drawn weight needs
        `resample_`, one that is a function of the latent alone is computed in the graph.
        """
        if not self.rule.needs_noise("binary"):
            return with_derivative(*self._weight_and_derivative(latent, "mode", None), latent)
        if self.value is None:
            return None
        return self._as_node(with_derivative, self.value, self.derivative, latent, self._held_kind)

    def _weight_and_derivative(
        self, latent: Tensor, kind: Kind, uniform: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        weight, derivative = self.rule.weight_and_derivative(latent, kind, uniform, paper_exact=self.paper_exact)
        return weight.to(latent.dtype), derivative

    def _drawn(self, latent: Tensor, kind: Kind) -> tuple[Tensor, Tensor | None]:
        seed = self._seed() if self.rule.needs_noise(kind) else None
        if seed is not None and self.antithetic:
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
        if self.antithetic is not None:
            return value.detach()
        reason = self.rule.why_no_gradient(kind)
        if reason is not None:
            return _NoGradient.apply(value.detach(), latent, reason)
        return differentiable(value, derivative, latent)

    def _seed(self) -> int:
        seed, counter = self.seed, self.counter
        if self.forced is not None and self.forced[1] is not None:
            # Said by the user, and the same in every process of a distributed run.
            return _mix(self.forced[1], counter - self.forced[2])
        return _mix(seed, counter, _rank(self.rule))

    def _hold(self, latent: Tensor, key: tuple[Any, ...]) -> Tensor:
        with torch.inference_mode(False):
            return self._keep(latent, key, *self._drawn(latent.detach(), key[0]))

    def _keep(self, latent: Tensor, key: tuple[Any, ...], value: Tensor, derivative: Tensor | None) -> Tensor:
        # Whoever looks first may be in no_grad or inference mode; those who come later need the graph.
        with torch.inference_mode(False), torch.enable_grad():
            held = self._as_node(_HeldWeight.apply, value, derivative, latent, key[0])
        self.value, self.derivative, self._held = value, derivative, held
        self._latent, self._key, self._held_kind = latent, key, key[0]
        return held
