"""Which rows of `tutorials/results.csv` stand behind which table of README and guide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

Where = Mapping[str, str]


class Score(NamedTuple):
    """A column of results.csv as a cell shows it: times a factor, of rows that also have these values.

    The value `spiking` is no column: such rows are of the same networks in spikes.
    """

    name: str
    factor: float = 1.0
    where: Where = MappingProxyType({})


@dataclass(frozen=True)
class Table:
    """A table of a page.

    Attributes:
        page: the file, from the root.
        heading: what its first line has in it.
        columns: for each cell behind the first its scores, in order; `None`: rows of figures.csv of this table, line
            and column, see `name`.
        lines: for each line the values that its rows have.
        where: values that all rows have.
        name: of the table in figures.csv, which holds what was kept without rows of single seeds.
    """

    page: str
    heading: str
    columns: tuple[tuple[Score, ...] | None, ...]
    lines: tuple[Where, ...] = ()
    where: Where = field(default_factory=dict)
    name: str = ""


ACCURACY, ECE, NLL, BRIER = Score("accuracy", 100), Score("ece", 100), Score("nll"), Score("brier")
BITS = Score("bits_per_weight")
FULL, SCALED, ST, MODE, ENSEMBLE = (
    {"rule": rule, "prediction": prediction}
    for rule, prediction in (
        ("full-precision", "single"),
        ("temperature-scaled", "single"),
        ("st", "single"),
        ("bayes", "mode"),
        ("bayes", "ensemble"),
    )
)
DRAW = {"rule": "bayes", "prediction": "draw"}
FIVE, FOUR = (FULL, SCALED, ST, MODE, ENSEMBLE), (FULL, ST, MODE, ENSEMBLE)


def run(command: str, commit: str) -> dict[str, str]:
    return {"command": f"snntorch-binary {command}", "commit": commit}


MNIST = run("compare mnist --data-dir data --ood fashion-mnist", "f859aec")
NMNIST = run("compare nmnist --data-dir data --classes 6,7,8,9 --ood poker-dvs", "2895835")
SHIFT = run("compare nmnist --data-dir data --classes 6,7,8,9 --shift --seeds 0,1,2,3,4,5,6,7,8,9", "5c23be8")
LATER = run(
    "compare nmnist --data-dir data --classes 6,7,8,9 --shift --seeds 0,1,2,3,4,5,6,7,8,9 "
    "--rules full-precision,st,bayes,balanced,trajectory",
    "ec1b91b",
)
SPOKEN = run("compare spoken-digits --data-dir data", "0838bea")
WHY = {"command": "python -m tests.benchmarks.why_noise_helps --data-dir data", "commit": "940944d"}
TEN = {"trainings": "10"}


def of(scores: tuple[Score, ...], **where: str) -> tuple[Score, ...]:
    return tuple(score._replace(where={**score.where, **where}) for score in scores)


def each(*scores: Score) -> tuple[tuple[Score, ...], ...]:
    return tuple((score,) for score in scores)


def shifted(corruption: str, strength: str) -> dict[str, str]:
    return {"corruption": corruption, "strength": strength}


def clients(*pairs: tuple[str, str]) -> tuple[Where, ...]:
    return tuple({"method": method, "prediction": prediction} for method, prediction in pairs)


THREE = (ACCURACY, ECE, NLL)
ONCE = {"trainings": "1", "scaled": "False"}
NOISE = shifted("noise_spikes", "0.05")
RESULTS, SOUNDS, FEDERATIONS = (f"docs/guide/{page}.md" for page in ("results", "sounds_and_voices", "federations"))
WHY_SCORES = (ACCURACY, NLL)
PER_BASIS = each(Score("tau"), Score("num_selected"), Score("bytes", 1e-3), ACCURACY)

TABLES = (
    Table(
        "README.md",
        "| | `snntorch_binary` | opponent |",
        ((), ()),  # each cell has rows of its own, see README_CELLS
    ),
    Table(RESULTS, "`compare mnist --data-dir D`", each(ACCURACY, ECE, NLL, BRIER, BITS), FIVE, MNIST),
    Table(RESULTS, "`compare nmnist --data-dir D", each(ACCURACY, ECE, NLL, BRIER, BITS), FIVE, NMNIST),
    Table(
        RESULTS,
        "`compare digits --seeds 0,1,2,3,4,5,6,7,8,9`",
        each(ACCURACY, ECE, NLL, BRIER, BITS),
        tuple(
            {**line, "trainings": trainings, "scaled": scaled}
            for line, trainings, scaled in (
                (FULL, "1", "False"),
                (FULL, "1", "True"),
                (ST, "1", "False"),
                (ST, "1", "True"),
                (ST, "10", "False"),
                (MODE, "1", "False"),
                (DRAW, "1", "False"),
                (ENSEMBLE, "1", "False"),
                (ENSEMBLE, "1", "True"),
            )
        ),
        run("compare digits --seeds 0,1,2,3,4,5,6,7,8,9", "cf0e4f0"),
    ),
    Table(
        "docs/guide/when_the_sensor_fails.md",
        "| test input |",
        tuple(
            of(THREE, **where)
            for where in (
                {**FULL, **ONCE},
                {**FULL, **TEN, "scaled": "False"},
                {**ST, **ONCE},
                {**ST, **TEN, "scaled": "False"},
                {**ST, **TEN, "scaled": "True"},
                {**MODE, **ONCE},
                {**DRAW, **ONCE},
                {**ENSEMBLE, **ONCE},
                {**LATER, "rule": "balanced", "prediction": "single", **ONCE},
                {**LATER, "rule": "trajectory", "prediction": "single", **ONCE},
                {**LATER, "rule": "trajectory", "prediction": "ensemble", **ONCE},
            )
        ),
        (
            NOISE,
            shifted("noise_spikes", "0.15"),
            shifted("hot_pixels", "0.05"),
            shifted("dead_pixels", "0.3"),
            shifted("spikes_lost", "0.3"),
            shifted("spikes_lost", "0.6"),
        ),
        SHIFT,
    ),
    Table(
        "docs/guide/when_the_sensor_fails.md",
        "| the ensemble against the best of its opponents |",
        (None,) * 5,
        name="when the sensor fails",
    ),
    Table(
        SOUNDS,
        "`compare spoken-digits --data-dir D`",
        each(ACCURACY, ECE, NLL, BITS),
        tuple(
            {**line, "trainings": "1", "scaled": scaled}
            for line, scaled in (
                (FULL, "False"),
                (FULL, "True"),
                (ST, "False"),
                (ST, "True"),
                (MODE, "False"),
                (DRAW, "False"),
                (ENSEMBLE, "False"),
                (ENSEMBLE, "True"),
            )
        ),
        SPOKEN,
    ),
    Table(
        SOUNDS,
        "`compare spoken-digits-by-speaker --data-dir D`",
        each(ACCURACY, ECE, NLL, BITS),
        FIVE,
        run("compare spoken-digits-by-speaker --data-dir data", "fcbf01e"),
    ),
    Table(
        "docs/guide/why_noise_helps.md",
        "| | clean |",
        (
            of(WHY_SCORES, **shifted("none", "0")),
            of(WHY_SCORES, **NOISE),
            of(WHY_SCORES, **shifted("noise_spikes", "0.15")),
            of(WHY_SCORES, **shifted("dead_pixels", "0.3")),
            of(WHY_SCORES, **shifted("spikes_lost", "0.6")),
            (),
        ),
        (
            {"rule": "ST"},
            {"rule": "ST, noise on latents"},
            {"rule": "ST, dropout of the input"},
            {"rule": "ST, noise spikes in training"},
            {"rule": "ST, constant rates", "commit": "dbbacf6"},
            {"rule": "balanced ST", "prediction": "single", "commit": "dbbacf6"},
            {"rule": "balanced ST, constant rates", "prediction": "single", "commit": "dbbacf6"},
            {"rule": "balanced ST, constant rates", "prediction": "ensemble", "commit": "dbbacf6"},
            {"rule": "Bayes", "prediction": "mode"},
            {"rule": "Bayes", "prediction": "one draw"},
            {"rule": "Bayes", "prediction": "ensemble"},
            {"rule": "Bayes without gains", "prediction": "one draw"},
        ),
        WHY,
        name="why noise helps",
    ),
    Table("docs/guide/out_of_distribution.md", "| | AUROC (%) |", (None, None), name="out of distribution"),
    Table("docs/guide/out_of_distribution.md", "| of letters |", (None, None), name="out of distribution, letters"),
    Table(
        "docs/guide/estimators_priors_tasks.md",
        "`compare split-mnist",
        each(ACCURACY, ECE, NLL, BRIER),
        (
            FULL,
            {**FULL, "rule": "full-precision-ewc"},
            ST,
            {**ST, "rule": "st-ewc"},
            MODE,
            ENSEMBLE,
        ),
        {**run("compare split-mnist --data-dir data", "4d3b1b7"), "after_task": "8/9"},
    ),
    Table(
        "docs/guide/local_and_online.md",
        "`compare two-moons --credit online`",
        each(ACCURACY, ECE, NLL),
        FOUR,
        run("compare two-moons --credit online", "def9631"),
    ),
    Table(
        "docs/guide/local_and_online.md",
        "`compare nmnist --data-dir D --classes 6,7,8,9 --credit online`",
        each(ACCURACY, ECE, NLL, BRIER),
        FOUR,
        run("compare nmnist --data-dir data --classes 6,7,8,9 --credit online", "2895835"),
    ),
    Table(
        "docs/guide/local_and_online.md",
        "`compare regression-1d --credit online`",
        (
            *(of((Score(name),), where=where) for where in ("inside", "outside") for name in ("rmse", "nll")),
            (Score("spread", where={"where": "inside"}), Score("spread", where={"where": "outside"})),
        ),
        FOUR,
        run("compare regression-1d --credit online", "8d6216e"),
    ),
    Table(
        "docs/guide/winner_take_all.md",
        "--rules vowel-wta,vowel-binary,bayes`",
        each(ACCURACY, ECE, NLL, BRIER),
        (
            {"rule": "vowel-wta", "prediction": "single"},
            {"rule": "vowel-wta", "prediction": "ensemble"},
            {"rule": "vowel-binary", "prediction": "single"},
            {"rule": "vowel-binary", "prediction": "ensemble"},
            MODE,
            ENSEMBLE,
        ),
        run("compare nmnist --data-dir data --classes 6,9 --rules vowel-wta,vowel-binary,bayes", "3a1f39c"),
    ),
    Table(
        "docs/guide/soft_lif.md",
        "`compare digits --rules softlif,softlif-st,softlif-bayes`",
        tuple(of((score,), spiking=kind) for score in (ACCURACY, ECE) for kind in ("", "spiking")),
        (
            {"rule": "softlif", "prediction": "single"},
            {"rule": "softlif-st", "prediction": "single"},
            {"rule": "softlif-bayes", "prediction": "mode"},
            {"rule": "softlif-bayes", "prediction": "ensemble"},
        ),
        run("compare digits --rules softlif,softlif-st,softlif-bayes --seeds 0,1,2", "dcd3977"),
    ),
    Table(
        "docs/guide/soft_lif.md",
        "`compare mnist --data-dir D --rules softlif,softlif-st --seeds 0`",
        tuple(of((score,), spiking=kind) for score in (ACCURACY, ECE) for kind in ("", "spiking")),
        ({"rule": "softlif", "prediction": "single"}, {"rule": "softlif-st", "prediction": "single"}),
        run("compare mnist --data-dir data --rules softlif,softlif-st --seeds 0", "223d811"),
    ),
    Table(
        "docs/guide/population_based_training.md",
        "| ensemble of 10 |",
        (
            *(of((score,), rule=rule) for rule in ("PBT", "best fixed") for score in (ACCURACY, NLL)),
            None,
        ),
        (
            {**run("tune digits-bayes-pbt", "a784890"), "prediction": "ensemble"},
            {**run("tune nmnist-bayes-pbt --data-dir data", "14e2545"), "prediction": "ensemble"},
        ),
        name="population based training",
    ),
    Table(
        FEDERATIONS,
        "`federate mnist-10-clients --data-dir D`",
        each(ACCURACY, ECE, NLL, Score("bytes_up", 1e-3)),
        clients(
            ("full-precision", "single"),
            ("bayes-product", "mode"),
            ("bayes-product", "ensemble"),
            ("bayes-average", "mode"),
            ("bayes-average", "ensemble"),
            ("bayes-one-bit", "mode"),
            ("bayes-one-bit", "ensemble"),
            ("st-average", "single"),
            ("st-one-bit", "single"),
        ),
        run("federate mnist-10-clients --data-dir data", "36e43a0"),
    ),
    Table(
        FEDERATIONS,
        "| less full precision (points, 95 % interval) |",
        ((ACCURACY,), (ECE,), None),
        clients(
            ("full-precision", "single"),
            ("bayes-product", "ensemble"),
            ("bayes-average", "ensemble"),
            ("bayes-one-bit", "ensemble"),
            ("st-average", "single"),
            ("st-one-bit", "single"),
        ),
        run("federate mnist-100-clients --data-dir data", "7ce54aa"),
        name="100 clients",
    ),
    Table(
        FEDERATIONS,
        "| spiking VGG9 (%) |",
        (*(of((ACCURACY,), method=method) for method in ("snn", "ann")), None),
        (
            run("federate fedsnn-cifar10-iid --data-dir data --seeds 0,1,2", "c5ede9f"),
            run("federate fedsnn-cifar10-dirichlet --data-dir data --seeds 0,1,2", "c5ede9f"),
            run("federate fedsnn-cifar10-stragglers --data-dir data --seeds 0", "c5ede9f"),
            run("federate fedsnn-cifar10-noise --data-dir data --seeds 0", "c5ede9f"),
        ),
        name="spiking VGG9",
    ),
    Table(
        FEDERATIONS,
        "| τ | n | kB |",
        (
            *(of(scores, prediction="single") for scores in PER_BASIS),
            *(of((score,), prediction="ensemble") for score in (ACCURACY, ECE)),
        ),
        tuple(
            {"method": method}
            for method in (
                "separate",
                "everything",
                *(f"{how}-{n}" for how in ("turns", "latest") for n in (4, 2, 1)),
                *(f"rare-{steps}" for steps in (16, 32, 64)),
            )
        ),
        run("federate fl-snn-nmnist --data-dir data", "bc4b489"),
    ),
    Table("docs/guide/fast_and_small.md", "| work | against | ratio |", ((), None), name="fast and small"),
    Table(
        "docs/guide/fast_and_small.md",
        "| training step, ST, fused |",
        (None, None),
        name="fast and small, fused",
    ),
    Table("docs/guide/microcontroller.md", "| 2312-512-4 | 1 bit |", (None,) * 3, name="microcontroller"),
    Table(
        "docs/guide/microcontroller.md",
        "| convolutional networks | 1 bit |",
        (None,) * 3,
        name="microcontroller, convolutions",
    ),
    Table("docs/recipes.rst", "| network | float | ST |", (None,) * 10, name="one line"),
    Table("docs/recipes.rst", "| network | balanced | balanced Bayes, ensemble |", (None,) * 6, name="latents at 5e-3"),
    Table("docs/recipes.rst", "| network | float | float, passed |", (None,) * 5, name="networks passed"),
    Table("docs/recipes.rst", "| ensemble of 10, one training |", (None,) * 4, name="posterior trials"),
)

_ENSEMBLE, _FULL = {**SHIFT, **ENSEMBLE, **ONCE}, {**SHIFT, **FULL, **ONCE}
_LOST = shifted("spikes_lost", "0.6")
_PAIR, _NLL = (ACCURACY, NLL), (NLL,)
# Of each line of the README's table both cells: the scores of their figures in order, each with the values of its rows;
# a name instead of a score is a figure of "fast and small" in figures.csv.
README_CELLS = (
    (
        of(_PAIR, **_ENSEMBLE, **NOISE),
        of(_PAIR, **SHIFT, **ST, **TEN, scaled="False", **NOISE)
        + of(_NLL, **SHIFT, **ST, **TEN, scaled="True", **NOISE),
    ),
    (
        of(_PAIR, **LATER, rule="trajectory", prediction="ensemble", **ONCE, **NOISE),
        of(_PAIR, **SHIFT, **FULL, **ONCE, **NOISE),
    ),
    (
        of(_PAIR, **SHIFT, **DRAW, **ONCE, **NOISE),
        of(_PAIR, **LATER, rule="trajectory", prediction="single", **ONCE, **NOISE)
        + of(_PAIR, **SHIFT, **ST, **ONCE, **NOISE),
    ),
    (of(_PAIR, **_ENSEMBLE, **_LOST), of(_PAIR, **_FULL, **_LOST)),
    (of(_PAIR, **MNIST, **ST), of(_PAIR, **MNIST, **FULL)),
    (of(_PAIR, **MNIST, **ENSEMBLE), of(_PAIR, **MNIST, **SCALED)),
    (
        of((ACCURACY,), **SPOKEN, **MODE, **ONCE),
        (*of((ACCURACY,), **SPOKEN, **ST, **ONCE), *of((ACCURACY,), **SPOKEN, **FULL, **ONCE)),
    ),
    (("training step 784-256-256-10, T = 100, B = 64, ST",), ()),
    (("packed 2312-512-10, T = 100, from spikes to class", "weights in memory / file of it"), ()),
)
