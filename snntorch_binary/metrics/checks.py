"""What the functions of this folder accept: finite scores, probabilities that sum to 1, labels that exist."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from snntorch_binary._errors import expected

# A softmax in float32 or float16 sums to one within this, one in bfloat16 within its precision; rates do not.
_SUM_TOLERANCE = 1e-3


def check_finite(name: str, values: Tensor, shape: str) -> Tensor:
    """Return finite values in float64 on the CPU, or say what is wrong.

    Args:
        name: of the argument.
        values: a floating-point tensor.
        shape: its dimensions, for example ``"[K, N, C]"``: at least 2 along C (classes), 1 along the others.
    """
    if not isinstance(values, Tensor) or not values.is_floating_point():
        got = str(values.dtype) if isinstance(values, Tensor) else type(values).__name__
        raise TypeError(expected(name, "a floating-point tensor", got))
    _check_dense(name, values)
    dimensions = shape.strip("[]").split(", ")
    least = [2 if dimension == "C" else 1 for dimension in dimensions]
    if values.ndim != len(least) or any(size < fewest for size, fewest in zip(values.shape, least, strict=True)):
        others = ", ".join(dimension for dimension in dimensions if dimension != "C")
        classes = " and C >= 2" if "C" in dimensions else ""
        raise ValueError(expected(name, f"of shape {shape} with {others} >= 1{classes}", list(values.shape)))
    values = values.detach().to("cpu", torch.float64)
    if not values.isfinite().all():
        raise ValueError(expected(name, "finite", "NaN or infinite values"))
    return values


def _check_dense(name: str, values: Tensor) -> None:
    if values.layout != torch.strided or values.is_meta:
        raise ValueError(
            expected(name, "a dense tensor with data", "a meta tensor" if values.is_meta else values.layout)
        )


def check_probabilities(name: str, probabilities: Tensor, shape: str) -> Tensor:
    """Return probabilities in float64 on the CPU, or say what is wrong; the last dimension sums to 1."""
    given = probabilities
    probabilities = check_finite(name, given, shape)
    if (probabilities < 0).any():
        raise ValueError(expected(name, "non-negative", f"the value {probabilities.min().item():g}"))
    sums = probabilities.sum(dim=-1).flatten()
    worst = sums[(sums - 1).abs().argmax()].item()
    if abs(worst - 1) > max(_SUM_TOLERANCE, torch.finfo(given.dtype).eps):
        raise ValueError(expected(name, "rows that sum to 1", f"a row that sums to {worst:g}"))
    return probabilities


def check_labels(labels: Tensor, num_examples: int, num_classes: int) -> Tensor:
    """Return labels [N] in int64 on the CPU, or say what is wrong."""
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dtype == torch.bool:
        got = str(labels.dtype) if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(expected("labels", "an integer tensor", got))
    _check_dense("labels", labels)
    if labels.shape != (num_examples,):
        raise ValueError(expected("labels", f"of shape [{num_examples}]", list(labels.shape)))
    labels = labels.detach().to("cpu", torch.int64)
    if labels.min() < 0 or labels.max() >= num_classes:
        wrong = labels.min().item() if labels.min() < 0 else labels.max().item()
        raise ValueError(expected("labels", f"in 0..{num_classes - 1}", f"the label {wrong}"))
    return labels


def check_predictions(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities [N, C] in float64 and labels [N] in int64 on the CPU, or say what is wrong."""
    probabilities = check_probabilities("probabilities", probabilities, "[N, C]")
    return probabilities, check_labels(labels, *probabilities.shape)


def check_count(name: str, value: int) -> int:
    """Return a positive integer, or say what is wrong."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(expected(name, "a positive integer", value))
    return value


def check_positive(name: str, value: float) -> float:
    """Return a positive finite number, or say what is wrong."""
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(expected(name, "a positive finite number", value))
    return value
