"""What a weight rule is: the frozen object that turns a real latent into a weight in [-1, +1]."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.kernels.noise import uniform

Kind = Literal["relaxed", "binary", "mode", "mean"]
"""Which weights a latent stands for: a relaxed sample, a ±1 sample, the most probable ±1, or the mean."""

SIGNS = (-1.0, 1.0)
"""The levels of a ±1 rule."""

KINDS: tuple[str, ...] = get_args(Kind)

_RULES: dict[str, type[WeightRule]] = {}


@dataclass(frozen=True)
class WeightRule:
    """A map from the latent (and noise) to a weight in [-1, +1], with its derivative.

    Rules are frozen values: they compare by content, pickle, and have a JSON form
    (:meth:`to_json`, :meth:`from_json`), so a checkpoint can say which rule made it.

    A rule of your own is a frozen dataclass that says its ``levels``: a ±1 rule is packed, and its weights count 1 bit;
    any other works everywhere but where weights have to be ±1, which is then said. With a ``name`` of its own it can be
    saved; a file names it, and is read where the class is defined.

    Attributes:
        name: by which files know the rule; a subclass without one of its own is not saved.
        training_kind: the kind of weights in force while training.
        levels: the values that its ``"mode"`` and ``"binary"`` weights take; ``None``, which is what a class has that
            makes weights of its own and does not say: any number.
        latent_is_a_weight: whether the latent is a real weight, whose magnitude ``scale="latent"`` takes.
        default_scale: the scale of layers that are given the rule and no scale.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True, repr=False)
        ... class Ternary(WeightRule):
        ...     name = "ternary"
        ...     levels = (-1.0, 0.0, 1.0)
        ...     def initial_latent(self, weight):
        ...         return 2 * weight / weight.abs().max()
        ...     def weight_and_derivative(self, latent, kind, uniform, *, paper_exact=False):
        ...         return latent.clamp(-1, 1).round(), None
        >>> Ternary().bits
        2
    """

    name: ClassVar[str] = ""
    training_kind: ClassVar[Kind] = "mode"
    levels: ClassVar[tuple[float, ...] | None] = None
    latent_is_a_weight: ClassVar[bool] = False
    default_scale: ClassVar[Literal["fan_in", "channel", "latent"]] = "fan_in"

    def __init_subclass__(cls) -> None:
        own = cls.__dict__
        levels: Any = own.get("levels")
        if "levels" not in own and ("weight_and_derivative" in own or "drawn" in own):
            cls.levels = None  # what its base says of other weights says nothing of these
        elif levels is not None and not isinstance(levels, property):
            cls.levels = tuple(sorted({float(level) for level in levels}))
            if not cls.levels or not all(map(math.isfinite, cls.levels)):
                raise ValueError(expected("levels", "finite numbers, or None", levels))
        name = own.get("name")
        if not isinstance(name, str) or not name:
            return
        known = _RULES.get(name)
        if known is not None and _is_of_this_package(known) and not _is_of_this_package(cls):
            raise ValueError(expected("name", f"another than that of snntorch_binary's {known.__name__}", repr(name)))
        _RULES[name] = cls

    @property
    def bits(self) -> int:
        """Bits of one weight: those that tell its levels apart, or 32 for a real number."""
        return 32 if self.levels is None else max(1, (len(self.levels) - 1).bit_length())

    @property
    def takes_signs(self) -> bool:
        """Whether all weights but relaxed ones and means are -1 or +1."""
        return self.levels == SIGNS

    @property
    def prior_latent(self) -> float | None:
        """Natural parameter of the prior, where the latent is that of a ±1 posterior, P(w = +1) = σ(2 w_r).

        ``None`` where the latent is no such thing: then there is no posterior to sample, to average or to measure.
        """
        return None

    @property
    def has_posterior(self) -> bool:
        """Whether the latent is the natural parameter of a ±1 posterior."""
        return self.prior_latent is not None

    @property
    def shares_noise(self) -> bool:
        """Whether all processes of a distributed run draw the same weights."""
        return False

    @property
    def has_kernel(self) -> bool:
        """Whether compiled kernels draw what :meth:`weight_and_derivative` returns."""
        return False

    @property
    def is_antithetic(self) -> bool:
        """Whether it learns from the losses of two draws, see :func:`snntorch_binary.weights.disarm_loss`."""
        return False

    @property
    def is_drawn(self) -> bool:
        """Whether ±1 weights are draws, of which there are ensembles."""
        return self.needs_noise("binary")

    def needs_noise(self, kind: Kind) -> bool:
        """Say whether weights of this kind are random."""
        return False

    def initial_latent(self, weight: Tensor) -> Tensor:
        """Return the latent from which learning starts, given a real-valued weight of any shape."""
        raise NotImplementedError

    def real_weight(self, latent: Tensor) -> Tensor:
        """Return the real weight whose sign is taken, of a rule whose latent is one."""
        return latent

    def natural_parameter(self, latent: Tensor) -> Tensor | None:
        """Return w_r of the ±1 posterior that a latent stands for, P(w = +1) = σ(2 w_r), or ``None`` of other rules."""
        return latent if self.has_posterior else None

    def weight_and_derivative(
        self, latent: Tensor, kind: Kind, uniform: Tensor | None, *, paper_exact: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return the weight and dw/dlatent, both of the latent's shape.

        Args:
            latent: any shape, floating point.
            kind: which weights are asked for.
            uniform: i.i.d. U(0, 1) noise of the latent's shape where ``needs_noise(kind)``, else ``None``.
            paper_exact: use the published float32 arithmetic, its 1e-10 terms included.

        Returns:
            The weight in [-1, +1], and the derivative; ``None`` stands for a derivative of one.
        """
        raise NotImplementedError

    def drawn(
        self, latent: Tensor, kind: Kind, seed: int | None, *, paper_exact: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return what :meth:`weight_and_derivative` does, with noise that is a function of the seed."""
        noise = None if seed is None else noise_like(latent, seed)
        return self.weight_and_derivative(latent, kind, noise, paper_exact=paper_exact)

    def why_no_gradient(self, kind: Kind) -> str | None:
        """Say why a loss has no gradient through weights of this kind and what to do, or ``None`` where it has one."""
        return None

    def __repr__(self) -> str:
        changed = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def to_json(self) -> dict[str, Any]:
        """Return the rule as plain values: ``{"rule": name, ...fields}``.

        Raises:
            ValueError: the class has no name of its own, by which it could be found again.
        """
        if _RULES.get(self.name) is not type(self):
            raise ValueError(expected("name", f"one of its own for the rule {type(self).__name__}", repr(self.name)))
        return {"rule": self.name, **asdict(self)}

    @staticmethod
    def from_json(values: dict[str, Any]) -> WeightRule:
        """Rebuild a rule from what :meth:`to_json` returned.

        Raises:
            ValueError: the rule's name is unknown, or a field is missing in the rule, of another type or out of range.
        """
        arguments = dict(values)
        name = arguments.pop("rule", None)
        if not isinstance(name, str) or name not in _RULES:
            raise ValueError(expected("rule", f"one of {sorted(_RULES)}", repr(name)[:80]))
        rule = _RULES[name]
        defaults = {field.name: field.default for field in fields(rule)}
        for key, value in arguments.items():
            if key not in defaults:
                raise ValueError(expected(f"{key[:80]}", f"one of {sorted(defaults)} of {rule.__name__}", "it"))
            if not _could_be(value, defaults[key]):
                what = f"of the type of {defaults[key]!r}"
                raise ValueError(expected(key, what, repr(value)[:80]))
            if isinstance(defaults[key], float):
                arguments[key] = float(value)  # a kernel is made for a type of numbers
        return rule(**arguments)


def _is_of_this_package(rule: type[WeightRule]) -> bool:
    return rule.__module__.partition(".")[0] == __name__.partition(".")[0]


def _could_be(value: Any, default: Any) -> bool:
    """Say whether a value from a file can stand where a rule has this default."""
    if isinstance(default, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
    return type(value) is type(default) or not isinstance(default, (bool, int, str))


def noise_like(latent: Tensor, seed: int) -> Tensor:
    """Return i.i.d. U(0, 1) noise of the latent's shape, device and dtype."""
    # Always made in float32, so that `.double()` keeps the draw.
    noise = uniform(latent.shape, seed, latent.device)
    return noise.double() if latent.dtype == torch.float64 else noise


def is_more_than_rounding(size: Tensor, latent: Tensor) -> Tensor:
    """Say whether a mean magnitude made of latents is more than their rounding, as it is not where all are the same."""
    return size > 1e-5 * latent.abs().mean()


def sign(latent: Tensor) -> Tensor:
    """Return +1 where the latent is at least zero and -1 elsewhere, so zero counts as positive (BiSNN)."""
    # Several times faster than torch.where on a comparison; NaN counts as positive, too.
    return (latent.sign() + 0.5).sign()


def with_derivative(value: Tensor, derivative: Tensor | None, latent: Tensor) -> Tensor:
    """Return ``value`` as a function of ``latent`` whose derivative is the given one.

    The added term is exactly zero for a finite latent, so the value is not changed by a single bit.
    Unlike a custom autograd function this composes with every ``torch.func`` transform.
    """
    change = latent - latent.detach()
    return value.detach() + (change if derivative is None else derivative.detach() * change)
