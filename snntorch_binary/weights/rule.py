"""What a weight rule is: the frozen object that turns a real latent into a weight in [-1, +1]."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.kernels.noise import uniform

Kind = Literal["relaxed", "binary", "mode", "mean"]
"""Which weights a latent stands for: a relaxed sample, a ±1 sample, the most probable ±1, or the mean."""

KINDS: tuple[str, ...] = get_args(Kind)

_RULES: dict[str, type[WeightRule]] = {}


@dataclass(frozen=True)
class WeightRule:
    """A map from the latent (and noise) to a weight in [-1, +1], with its derivative.

    Rules are frozen values: they compare by content, pickle, and have a JSON form
    (:meth:`to_json`, :meth:`from_json`), so a checkpoint can say which rule made it.
    """

    name: ClassVar[str] = ""
    training_kind: ClassVar[Kind] = "mode"

    def __init_subclass__(cls) -> None:
        _RULES[cls.name] = cls

    def needs_noise(self, kind: Kind) -> bool:
        """Say whether weights of this kind are random."""
        return False

    def initial_latent(self, weight: Tensor) -> Tensor:
        """Return the latent from which learning starts, given a real-valued weight of any shape."""
        raise NotImplementedError

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
        """Return the rule as plain values: ``{"rule": name, ...fields}``."""
        return {"rule": self.name, **asdict(self)}

    @staticmethod
    def from_json(values: dict[str, Any]) -> WeightRule:
        """Rebuild a rule from what :meth:`to_json` returned.

        Raises:
            ValueError: the rule's name is unknown.
        """
        arguments = dict(values)
        name = arguments.pop("rule", None)
        if name not in _RULES:
            raise ValueError(expected("rule", f"one of {sorted(_RULES)}", repr(name)))
        return _RULES[name](**arguments)


def noise_like(latent: Tensor, seed: int) -> Tensor:
    """Return i.i.d. U(0, 1) noise of the latent's shape, device and dtype."""
    # Always made in float32, so that `.double()` keeps the draw.
    noise = uniform(latent.shape, seed, latent.device)
    return noise.double() if latent.dtype == torch.float64 else noise


def sign(latent: Tensor) -> Tensor:
    """Return +1 where the latent is at least zero and -1 elsewhere, so zero counts as positive (BiSNN)."""
    # Several times faster than torch.where on a comparison, and NaN stays NaN.
    return (latent.sign() + 0.5).sign()


def with_derivative(value: Tensor, derivative: Tensor | None, latent: Tensor) -> Tensor:
    """Return ``value`` as a function of ``latent`` whose derivative is the given one.

    The added term is exactly zero for a finite latent, so the value is not changed by a single bit.
    Unlike a custom autograd function this composes with every ``torch.func`` transform.
    """
    change = latent - latent.detach()
    return value.detach() + (change if derivative is None else derivative.detach() * change)
