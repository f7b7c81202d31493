"""What an ensemble of networks answers, with its uncertainty: a class, several labels, or real values."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary._numbers import is_number

Task = Literal["classes", "labels", "real"]
"""What a network is asked for."""
TASKS: tuple[str, ...] = get_args(Task)


def entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy over the last dimension, in nats."""
    return torch.special.entr(probabilities).sum(-1)


@dataclass(frozen=True)
class _Probabilities:
    """Probabilities [K, B, C] of the members of an ensemble, and how far they agree."""

    samples: Tensor
    mode_probs: Tensor | None = None

    @staticmethod
    def _entropy(probabilities: Tensor) -> Tensor:
        return entropy(probabilities)

    @property
    def probs(self) -> Tensor:
        """The Bayesian predictive distribution [B, C], the mean of the members' probabilities."""
        return self.samples.mean(0)

    @property
    def entropy(self) -> Tensor:
        """Total uncertainty in nats, the entropy of the mean probabilities: [B], of several labels [B, C]."""
        return self._entropy(self.probs)

    @property
    def mutual_information(self) -> Tensor:
        """Disagreement of the members in nats, the total entropy less the members' mean entropy, at least 0."""
        return (self.entropy - self._entropy(self.samples).mean(0)).clamp_min(0)


@dataclass(frozen=True)
class Prediction(_Probabilities):
    """Class probabilities of an ensemble of networks and how far its members agree.

    Attributes:
        samples: probabilities of each member, [K, B, C].
        mode_probs: probabilities of the most probable network, [B, C], or ``None`` where there is no such network.
            Look at both: with a broad posterior the mode can be far worse than the ensemble.
    """

    @property
    def labels(self) -> Tensor:
        """The most probable class [B]."""
        return self.probs.argmax(-1)

    def __repr__(self) -> str:
        members, examples, classes = self.samples.shape
        return f"{type(self).__name__}({members} members, {examples} examples, {classes} classes)"


@dataclass(frozen=True)
class LabelPrediction(_Probabilities):
    """Probabilities of labels that can hold together, each by itself, and how far the members agree.

    Attributes:
        samples: probabilities of each member, [K, B, C].
        mode_probs: those of the most probable network, [B, C], or ``None``.
    """

    @staticmethod
    def _entropy(probabilities: Tensor) -> Tensor:
        return torch.special.entr(probabilities) + torch.special.entr(1 - probabilities)

    @property
    def labels(self) -> Tensor:
        """Whether each label is more probable than not, bool [B, C]."""
        return self.probs > 0.5

    def __repr__(self) -> str:
        members, examples, labels = self.samples.shape
        return f"{type(self).__name__}({members} members, {examples} examples, {labels} labels)"


@dataclass(frozen=True)
class RealPrediction:
    """Real values that an ensemble of networks answers, and how sure it is of them.

    Attributes:
        samples: values of each member, [K, B, D].
        mode: those of the most probable network, [B, D], or ``None``.
        noise: standard deviation of targets around the function that is learned, one number, [D] or [B, D]. The members
            cannot tell it; the root mean squared error on validation data is a good guess.
    """

    samples: Tensor
    mode: Tensor | None = None
    noise: float | Tensor = 0.0

    @property
    def mean(self) -> Tensor:
        """The members' mean, [B, D]."""
        return self.samples.mean(0)

    @property
    def disagreement(self) -> Tensor:
        """The standard deviation over members, [B, D]."""
        return self.samples.std(0, correction=0)

    @property
    def std(self) -> Tensor:
        """The standard deviation of a target, [B, D]: of the members' disagreement and the noise together."""
        return (self.disagreement.square() + torch.as_tensor(self.noise) ** 2).sqrt()

    def interval(self, probability: float = 0.95) -> tuple[Tensor, Tensor]:
        """Return the bounds, [B, D] each, between which a target lies with a probability, if it is normal.

        Raises:
            ValueError: the probability is not between 0 and 1.
        """
        if not 0 < probability < 1:
            raise ValueError(expected("probability", "between 0 and 1, both excluded", probability))
        half = self.std * math.sqrt(2) * float(torch.erfinv(torch.tensor(probability, dtype=torch.float64)))
        return self.mean - half, self.mean + half

    def __repr__(self) -> str:
        members, examples, values = self.samples.shape
        return f"{type(self).__name__}({members} members, {examples} examples, {values} values)"


AnyPrediction = Prediction | LabelPrediction | RealPrediction


def prediction_of(
    task: Task | None, samples: Tensor, mode: Tensor | None = None, noise: float | Tensor = 0.0
) -> AnyPrediction:
    """Return the answer of an ensemble from what its members' outputs are.

    Args:
        task: what was asked for; ``None`` is a class, of a network with more than one output.
        samples: outputs of each member, [K, B, C].
        mode: those of the most probable network, [B, C].
        noise: see :class:`RealPrediction`.

    Raises:
        ValueError: the task is unknown, or has to be given: a network with one output says a class by its sign, a label
            or a real value; or the noise is out of its range, or given where values are not real.
    """
    if task is None and samples.shape[-1] == 1:
        what = "'real' (a value), 'labels' (yes or no) or 'classes' (two, by its sign) for a network with one output"
        raise ValueError(expected("task", what, None))
    if task not in (None, *TASKS):
        raise ValueError(expected("task", f"one of {', '.join(TASKS)}", repr(task)))
    _check_noise(task, noise, samples.shape[1:])
    if task == "real":
        return RealPrediction(samples, mode, noise)
    if task == "labels":
        return LabelPrediction(samples.sigmoid(), None if mode is None else mode.sigmoid())
    _warn_of_probabilities(samples)
    return Prediction(class_probabilities(samples), None if mode is None else class_probabilities(mode))


def _check_noise(task: Task | None, noise: Any, form: torch.Size) -> None:
    """Refuse a noise that is no standard deviation of values of some form, [B, D]."""
    if not isinstance(noise, Tensor) and not is_number(noise):
        raise ValueError(expected("noise", "a number or a tensor", type(noise).__name__))
    deviation = torch.as_tensor(noise if isinstance(noise, Tensor) else float(noise))
    if not bool((deviation >= 0).all() & deviation.isfinite().all()):
        raise ValueError(expected("noise", "finite numbers of at least 0", noise))
    trailing = form[len(form) - deviation.dim() :] if deviation.dim() <= len(form) else None
    if trailing is None or any(own not in (1, size) for own, size in zip(deviation.shape, trailing, strict=True)):
        what = f"one number, or of shape {tuple(form[1:])} or {tuple(form)}"
        raise ValueError(expected("noise", what, f"shape {tuple(deviation.shape)}"))
    if task != "real" and bool(deviation.any()):
        raise ValueError(expected("noise", "0 where the task is not 'real'", noise))


def _warn_of_probabilities(scores: Tensor) -> None:
    """Say so where a network ends in a softmax, and its outputs are no scores."""
    sums_to_one = bool((scores >= 0).all() and ((scores.float().sum(-1) - 1).abs() < 1e-3).all())
    if scores.shape[-1] > 1 and sums_to_one and bool((scores != scores.round()).any()):
        warnings.warn(
            "The outputs of this network sum to one, as those of a Softmax do, and predict takes the softmax of them "
            "again, which leaves it less sure than it is: leave the Softmax out, or read them by a function such as "
            "readout=lambda outputs: outputs.log().",
            stacklevel=4,
        )


def class_probabilities(scores: Tensor) -> Tensor:
    """Return class probabilities from scores [..., C]; of a single one, [..., 1], those of two classes by its sign."""
    return (torch.cat([-scores / 2, scores / 2], -1) if scores.shape[-1] == 1 else scores).softmax(-1)
