"""What a population does, as a frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from snntorch_binary._errors import expected
from snntorch_binary.tune.checks import is_integer, is_number

SEED = "an integer in 0 ... 2^20 - 1"


def is_seed(value: object) -> bool:
    """Say whether a value can be the seed of a population."""
    return is_integer(value) and 0 <= value < 2**20


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _is_factor(value: object) -> bool:
    return is_number(value) and value > 0


def _is_setting(value: object) -> bool:
    return isinstance(value, Mapping) and all(map(is_number, value.values()))


@dataclass(frozen=True)
class Plan:
    """How a population learns. Equal plans with equal modules, data and spaces mean equal results.

    Every ``interval`` epochs members are ranked by ``metric``. One of the worst ``quantile`` takes the weights, the
    optimizer's state and the hyper-parameters of one of the best ``quantile``, at random; then each hyper-parameter is
    multiplied by one of ``factors`` or, with probability ``resample``, drawn anew (truncation selection, and the
    paper's perturb and resample). Nothing else changes hyper-parameters.

    Attributes:
        metric: a score that the module logs in validation, such as ``"val_ensemble_nll"``.
        mode: ``"min"`` or ``"max"``: which scores are better.
        epochs: passes over the training part of each member; a multiple of the interval.
        interval: epochs between two rankings.
        population: members N, at least 2.
        quantile: share of members that is replaced, in (0, 0.5]; at least one member.
        resample: probability of a hyper-parameter to be drawn anew, in [0, 1].
        factors: perturbed values are so many times the old ones.
        start: values that the first members begin with, by name; all others are drawn from the space.
        perturb: ``False`` trains the first settings as they are: the same number of fixed trials.
        synchronous: rank when all members have come so far. ``False`` ranks whenever one has, as in the paper; for
            machines of unequal speed, and dependent on it.
        seed: of settings, first weights, perturbations, and torch's own noise in each step.

    Raises:
        ValueError: a value is out of its range.
    """

    metric: str
    mode: Literal["min", "max"]
    epochs: int
    interval: int
    population: int = 8
    quantile: float = 0.25
    resample: float = 0.25
    factors: tuple[float, float] = (0.8, 1.2)
    start: tuple[dict[str, float], ...] = ()
    perturb: bool = True
    synchronous: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in ("min", "max"):
            raise ValueError(expected("mode", "'min' or 'max'", repr(self.mode)))
        for name in ("epochs", "interval", "population"):
            if not is_integer(value := getattr(self, name)):
                raise ValueError(expected(name, "an integer", repr(value)))
        for name in ("perturb", "synchronous"):
            if not isinstance(value := getattr(self, name), bool):
                raise ValueError(expected(name, "true or false", repr(value)))
        if not isinstance(self.metric, str):
            raise ValueError(expected("metric", "the name of a score", repr(self.metric)))
        if self.population < 2:
            raise ValueError(expected("population", "an integer of at least 2", self.population))
        if self.epochs < 1:
            raise ValueError(expected("epochs", "a positive integer", self.epochs))
        if not 1 <= self.interval <= self.epochs or self.epochs % self.interval:
            what = f"a divisor of the number of epochs, {self.epochs}"
            raise ValueError(expected("interval", what, self.interval))
        if not is_number(self.quantile) or not 0 < self.quantile <= 0.5:
            raise ValueError(expected("quantile", "a float in (0, 0.5]", repr(self.quantile)))
        if not is_number(self.resample) or not 0 <= self.resample <= 1:
            raise ValueError(expected("resample", "a probability", repr(self.resample)))
        if not _is_list(self.factors) or len(self.factors) != 2 or not all(map(_is_factor, self.factors)):
            raise ValueError(expected("factors", "two positive floats", repr(self.factors)))
        if not _is_list(self.start) or not all(map(_is_setting, self.start)):
            what = "a list of settings, numbers by the names of hyper-parameters each"
            raise ValueError(expected("start", what, repr(self.start)))
        if len(self.start) > self.population:
            what = f"at most as many settings as members, {self.population}"
            raise ValueError(expected("start", what, len(self.start)))
        if not is_seed(self.seed):
            raise ValueError(expected("seed", SEED, repr(self.seed)))
        # What comes from a YAML file has lists.
        object.__setattr__(self, "factors", tuple(self.factors))
        object.__setattr__(self, "start", tuple(dict(values) for values in self.start))

    def seed_of(self, member: int) -> int:
        """Return the seed of a member's first weights."""
        return 1000 * self.seed + member

    def better(self, score: float, other: float) -> bool:
        """Say whether a score is better than another; NaN is worse than anything."""
        if score != score or other != other:
            return other != other and score == score
        return score > other if self.mode == "max" else score < other

    @property
    def worst(self) -> float:
        """The score of a member that has failed."""
        return float("-inf") if self.mode == "max" else float("inf")

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "factors": list(self.factors), "start": list(self.start)}
