"""What became of each module of a model that was made binary."""

from __future__ import annotations

from dataclasses import dataclass

from snntorch_binary._text import table

ASKED = "left real, as filter_fn says"


@dataclass(frozen=True)
class Conversion:
    """One row of a :class:`ConversionReport`: a module that holds weights, and what became of it."""

    name: str
    module: str
    converted: bool
    reason: str
    num_weights: int = 0
    bits: int = 32


@dataclass(frozen=True)
class ConversionReport:
    """What :func:`binarize_` converted and what not, and why; ``print(report)`` shows it as a table."""

    rows: tuple[Conversion, ...]

    @property
    def converted(self) -> tuple[str, ...]:
        """Names of the modules that are binary now."""
        return tuple(row.name for row in self.rows if row.converted)

    @property
    def skipped(self) -> dict[str, str]:
        """Names of the modules that hold weights and stayed as they were, with the reason."""
        return {row.name: row.reason for row in self.rows if not row.converted}

    @property
    def left_real(self) -> dict[str, str]:
        """Of :attr:`skipped`, those that nobody asked to leave as they were."""
        return {name: reason for name, reason in self.skipped.items() if reason != ASKED}

    @property
    def bits_per_weight(self) -> float:
        """Bits of a weight, as a mean over all weights of these modules, real ones with 32."""
        weights = sum(row.num_weights for row in self.rows)
        return sum(row.num_weights * row.bits for row in self.rows) / max(1, weights)

    def __str__(self) -> str:
        cells = [(row.name or "(the model)", row.module, row.reason) for row in self.rows]
        shown = table(("name", "module", "what happened"), cells)
        asked = any(row.reason == ASKED for row in self.rows)
        return f"{shown}\n{self.bits_per_weight:.3g} bits a weight on average" if asked else shown
