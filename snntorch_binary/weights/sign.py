"""ST-BiSNN's weight rule: the sign of a real latent, with a straight-through gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.weights.rule import SIGNS, Kind, WeightRule, sign


@dataclass(frozen=True, repr=False)
class Sign(WeightRule):
    """w = sign(a) with sign(0) = +1; backward, the gradient for w is handed to the latent a.

    Args:
        straight_through: ``"clipped"`` passes the gradient only where ``|a| <= 1``, ``"identity"`` everywhere
            (the published ST-BiSNN).

    Raises:
        ValueError: ``straight_through`` is neither of the two.

    Example:
        >>> import snntorch_binary as sb
        >>> layer = sb.nn.BinaryLinear(3, 2, weight=sb.Sign(straight_through="identity"))
        >>> bool(((layer.weight * 3**0.5).round().abs() == 1).all())
        True

    References:
        Jang, Skatchkovsky, Simeone, *BiSNN*, arXiv 2012.08300 (ST-BiSNN).
    """

    straight_through: Literal["clipped", "identity"] = "clipped"

    name: ClassVar[str] = "sign"
    training_kind: ClassVar[Kind] = "mode"
    levels: ClassVar[tuple[float, ...] | None] = SIGNS
    latent_is_a_weight: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.straight_through not in ("clipped", "identity"):
            raise ValueError(expected("straight_through", "'clipped' or 'identity'", repr(self.straight_through)))

    def initial_latent(self, weight: Tensor) -> Tensor:
        """Return the weight itself: its sign is the binary weight, its size the distance to a flip."""
        return weight

    def weight_and_derivative(
        self, latent: Tensor, kind: Kind, uniform: Tensor | None, *, paper_exact: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return sign(latent), this rule's weight of every kind, and its straight-through derivative."""
        if self.straight_through == "identity":
            return sign(latent), None
        return sign(latent), (latent.abs() <= 1).to(latent.dtype)
