"""Fixed arithmetic: where the point is, how many spikes flip for it, and what that costs of accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.export.c.errors import CExportError
from snntorch_binary.export.c.numbers import Fixed, Floats
from snntorch_binary.export.c.program import Const, Delay, Map, Node, Program, Weighted
from snntorch_binary.export.c.simulate import Simulation
from snntorch_binary.inference.predictions import class_probabilities

_MOST_PLACES, _FEWEST_PLACES = 24, 6


@dataclass(frozen=True)
class FixedReport:
    """What fixed arithmetic does on data.

    Attributes:
        point: binary places of real numbers.
        examples: that were answered.
        spikes: neurons times steps times examples times members.
        flips: of these, how many are another than in float32.
        accuracy: in float32.
        fixed_accuracy: in fixed arithmetic.
    """

    point: int
    examples: int
    spikes: int
    flips: int
    accuracy: float
    fixed_accuracy: float

    @property
    def loss(self) -> float:
        """The accuracy that is lost."""
        return self.accuracy - self.fixed_accuracy

    def lines(self) -> list[str]:
        """Return it as lines of text."""
        share = self.flips / max(1, self.spikes)
        return [
            f"Arithmetic: int32 with {self.point} binary places. On {self.examples} examples "
            f"{self.flips:,} of {self.spikes:,}",
            f"spikes ({share:.4%}) are others than in float32; accuracy is {self.fixed_accuracy:.4f} in place of "
            f"{self.accuracy:.4f}.",
        ]


def fixed_arithmetic(program: Program, x: Tensor, labels: Tensor, max_accuracy_loss: float) -> FixedReport:
    """Return where the point is, and what it costs on data.

    Args:
        program: the program.
        x: inputs [T, B, N].
        labels: classes [B].
        max_accuracy_loss: what is accepted.

    Raises:
        CExportError: numbers do not fit, or more accuracy is lost.
    """
    largest, exact, spikes = _in_float32(program, x)
    bound = max(2 * largest, _largest_product(program))
    point = min(_MOST_PLACES, 30 - math.ceil(math.log2(max(bound, 1.0))))
    if point < _FEWEST_PLACES:
        what = f"numbers of up to {bound:.0f} with {_FEWEST_PLACES} binary places in 32 bits"
        raise CExportError(f"C cannot express {what}: use arithmetic='float'.")
    scores, flips, total = [], 0, 0
    for member in range(program.members):
        seen = _Spikes()
        scores.append(Simulation(program, Fixed(point), member, seen).scores(x))
        flips += sum(int((a != b).sum()) for a, b in zip(seen.found, spikes[member], strict=True))
        total += sum(a.numel() for a in seen.found)
    accuracy, fixed = _accuracy(exact, labels), _accuracy(torch.stack(scores), labels)
    report = FixedReport(point, len(labels), total, flips, accuracy, fixed)
    if report.loss > max_accuracy_loss:
        what = f"an accuracy of {fixed:.4f} in fixed arithmetic, where float32 has {accuracy:.4f}"
        raise CExportError(expected("max_accuracy_loss", f"at least {report.loss:.4f} for {what}", max_accuracy_loss))
    return report


class _Spikes:
    """What is seen of neurons: their spikes, and the largest number."""

    def __init__(self) -> None:
        self.found: list[Tensor] = []
        self.largest = 0.0

    def __call__(self, node: Node, value: Tensor) -> None:
        if node.kind == "real":
            self.largest = max(self.largest, float(value.abs().max()))
        # A comparison of a kept potential is the spike of the step before once more.
        elif isinstance(node, Map) and node.name in ("gt", "ge") and not isinstance(node.operands[0], Delay):
            self.found.append(value.bool())


def _in_float32(program: Program, x: Tensor) -> tuple[float, Tensor, list[list[Tensor]]]:
    scores, spikes, largest = [], [], 0.0
    for member in range(program.members):
        seen = _Spikes()
        scores.append(Simulation(program, Floats(), member, seen).scores(x))
        spikes.append(seen.found)
        largest = max(largest, seen.largest)
    stacked = torch.stack(scores)
    total = float(stacked.abs().max()) * (1 if program.reading.over_time == "last" else len(x))
    return max(largest, total), stacked, spikes


def _largest_product(program: Program) -> float:
    """Return the largest number that a count and a constant can make, and the largest constant."""
    largest = 1.0
    for node in program.nodes:
        if not isinstance(node, Map):
            continue
        constants = [float(each.values.abs().max()) for each in node.operands if isinstance(each, Const)]
        counts = [each.fan_in for each in node.sources if isinstance(each, Weighted) and each.kind == "sum"]
        largest = max(largest, *constants, *(count * max([1.0, *constants]) for count in counts), 1.0)
    return largest


def _accuracy(scores: Tensor, labels: Tensor) -> float:
    answers = class_probabilities(scores).mean(0).argmax(-1)
    return float((answers == labels).float().mean())
