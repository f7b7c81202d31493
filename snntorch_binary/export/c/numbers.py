"""How real numbers are written and computed with in C: as float32, or as int32 with a point."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from snntorch_binary.export.c.program import Kind


class Floats:
    """float32, each operation rounded once, as the packed network does it."""

    type, is_exact = "float", True

    def literal(self, value: float) -> str:
        """Return a constant with as many digits as say a double, which some machines compute floats with."""
        text = repr(float(torch.tensor(value, dtype=torch.float32)))
        return f"({text}f)" if text.startswith("-") else f"{text}f"

    def stored(self, value: float) -> str:
        """Return a constant as an element of an array, with as many digits as say a float."""
        text = f"{float(torch.tensor(value, dtype=torch.float32)):.9g}"
        return f"{text}f" if any(letter in text for letter in ".e") else f"{text}.0f"

    def of(self, text: str, kind: Kind) -> str:
        """Return an expression of any kind as a real number."""
        return f"({text} ? 1.0f : 0.0f)" if kind == "bit" else f"(float){text}" if kind == "sum" else text

    def binary(self, name: str, a: tuple[str, Kind], b: tuple[str, Kind]) -> str:
        """Return a sum, difference, product or quotient."""
        sign = {"add": "+", "sub": "-", "mul": "*", "div": "/"}[name]
        return f"{self.of(*a)} {sign} {self.of(*b)}"

    def fma(self, a: tuple[str, Kind], b: tuple[str, Kind], c: tuple[str, Kind]) -> str:
        """Return a · b + c with one rounding."""
        return f"snnb_fma({self.of(*a)}, {self.of(*b)}, {self.of(*c)})"


@dataclass(frozen=True)
class Fixed:
    """int32 with ``point`` binary places."""

    point: int
    type = "int32_t"
    is_exact = False

    def literal(self, value: float) -> str:
        """Return the nearest constant."""
        text = self.stored(value)
        return f"({text})" if text.startswith("-") else text

    def stored(self, value: float) -> str:
        """Return a constant as an element of an array."""
        return str(max(-(2**31) + 1, min(2**31 - 1, round(value * 2**self.point))))

    def of(self, text: str, kind: Kind) -> str:
        """Return an expression of any kind as a number with a point."""
        one = self.literal(1.0)
        return f"({text} ? {one} : 0)" if kind == "bit" else f"(int32_t){text} * {one}" if kind == "sum" else text

    def binary(self, name: str, a: tuple[str, Kind], b: tuple[str, Kind]) -> str:
        """Return a sum, difference, product or quotient; a count times a number needs no shift."""
        if name == "mul" and "sum" in (a[1], b[1]):
            count, other = (a, b) if a[1] == "sum" else (b, a)
            return f"(int32_t){count[0]} * {self.of(*other)}"
        if name in ("mul", "div"):
            return f"snnb_fixed_{name}({self.of(*a)}, {self.of(*b)}, {self.point}u)"
        return f"snnb_fixed_{name}({self.of(*a)}, {self.of(*b)})"

    def fma(self, a: tuple[str, Kind], b: tuple[str, Kind], c: tuple[str, Kind]) -> str:
        """Return a · b + c."""
        return f"snnb_fixed_add({self.binary('mul', a, b)}, {self.of(*c)})"


Numbers = Floats | Fixed
