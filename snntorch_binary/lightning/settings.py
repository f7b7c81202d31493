"""What is compared, and where the results may go."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from snntorch_binary._errors import expected, in_one_line
from snntorch_binary._files import DamagedFileError, read_json, remove_parts, write_json
from snntorch_binary.data import describe
from snntorch_binary.lightning.recipes import (
    ALL_RULES,
    RECIPES,
    RULES,
    SOFT_LIF_RECIPES,
    SOFT_LIF_RULES,
    VOWEL_RULES,
    Recipe,
    recipe,
)
from snntorch_binary.lightning.spiking_module import CREDITS, Credit

FORMAT = 1
"""Format of folders of results."""


class OutputError(RuntimeError):
    """The results cannot be written where they should go."""


@dataclass(frozen=True)
class Settings:
    """What is compared. Equal settings mean equal results; ``None`` takes the data set's recipe.

    Attributes:
        dataset: one of :func:`snntorch_binary.data.names` that has a recipe.
        data_dir: folder with the set or archives of it.
        rules: of ``"full-precision"``, ``"st"``, ``"bayes"``, ``"vowel-wta"`` and ``"vowel-binary"``; or of
            ``"softlif"``, ``"softlif-st"`` and ``"softlif-bayes"``, whose networks see pixels and no spikes.
        classes: ``"all"`` or the classes to keep.
        limit_per_class: at most that many examples of each class and part.
        epochs: passes over the training part.
        seeds: one run of every rule each.
        num_folds: cross-validate with so many folds.
        download: let the set be downloaded where that is possible.
        credit: ``"through-time"``, ``"local"`` or ``"online"``, see :class:`SpikingModule`.
        hidden: circuits of the hidden layer, or its neurons, in a comparison with VOWEL.
    """

    dataset: str
    data_dir: str | None = None
    rules: tuple[str, ...] = RULES
    classes: tuple[int, ...] | str = "all"
    limit_per_class: int | None = None
    epochs: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    num_folds: int | None = None
    download: bool = False
    credit: Credit = "through-time"
    hidden: int | None = None

    def __post_init__(self) -> None:
        if self.dataset not in RECIPES:
            raise ValueError(expected("dataset", f"one of {', '.join(RECIPES)}", repr(self.dataset)))
        if self.credit not in CREDITS:
            raise ValueError(expected("credit", f"one of {', '.join(CREDITS)}", repr(self.credit)))
        for rule in self.rules:
            if rule not in ALL_RULES:
                raise ValueError(expected("rules", f"some of {', '.join(ALL_RULES)}", repr(rule)))
        if not self.rules or len(set(self.rules)) != len(self.rules):
            raise ValueError(expected("rules", "different rules, at least one", self.rules))
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(expected("seeds", "different integers of at least 0", self.seeds))
        if self.classes != "all" and len(self.classes) < 2:
            raise ValueError(expected("classes", "all or at least two different labels", self.classes))
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(expected("epochs", "a positive integer", self.epochs))

        if "vowel-wta" in self.rules and not describe(self.dataset).polarities:
            what = f"without vowel-wta for {self.dataset}, whose spikes have no sign"
            raise ValueError(expected("rules", what, self.rules))
        if self.vowel and (self.regression or self.credit != "through-time"):
            what = f"without {' and '.join(VOWEL_RULES)} in a regression or with --credit {self.credit}"
            raise ValueError(expected("rules", what, self.rules))
        if self.soft_lif:
            others = [rule for rule in self.rules if rule not in SOFT_LIF_RULES]
            if others:
                what = f"without {others[0]} beside {', '.join(SOFT_LIF_RULES)}, which see pixels and no spikes"
                raise ValueError(expected("rules", what, self.rules))
            if self.dataset not in SOFT_LIF_RECIPES or self.credit != "through-time":
                what = f"without {SOFT_LIF_RULES[0]} but for {', '.join(SOFT_LIF_RECIPES)} with --credit through-time"
                raise ValueError(expected("rules", what, self.rules))
        if self.hidden is not None and (self.hidden < 0 or not self.vowel):
            what = "an integer of at least 0, in a comparison with vowel-wta or vowel-binary"
            raise ValueError(expected("hidden", what, self.hidden))

    @property
    def recipe(self) -> Recipe:
        """The data set's recipe."""
        found = recipe(self.dataset, self.classes, self.credit, self.vowel, self.soft_lif)
        if self.hidden is None:
            return found
        return replace(found, hidden_sizes=(self.hidden,) if self.hidden else ())

    @property
    def vowel(self) -> bool:
        """Whether a rule of VOWEL is compared."""
        return bool(set(VOWEL_RULES) & set(self.rules))

    @property
    def soft_lif(self) -> bool:
        """Whether networks of soft LIF neurons are compared."""
        return bool(set(SOFT_LIF_RULES) & set(self.rules))

    @property
    def one_symbol(self) -> bool:
        """Whether a pixel has one polarity only in a time step: every rule sees what VOWEL sees."""
        return self.vowel and describe(self.dataset).polarities

    @property
    def regression(self) -> bool:
        """Whether targets are real numbers."""
        return describe(self.dataset).regression

    @property
    def folds(self) -> int | None:
        """Number of folds, or ``None`` for the set's own split."""
        return self.recipe.num_folds if self.num_folds is None else self.num_folds

    def fingerprint(self) -> dict[str, Any]:
        """Return all that the result of one run depends on, as plain values."""
        used = {**asdict(self.recipe), "epochs": self.epochs or self.recipe.epochs, "num_folds": self.folds}
        one_run = {"dataset": self.dataset, "classes": self.classes, "limit_per_class": self.limit_per_class}
        if self.credit == "through-time":
            used = {key: value for key, value in used.items() if key not in ("burn_in", "tau_mem", "tau_syn")}
        else:
            used["credit"] = self.credit
        for name, needed in (("vowel", self.vowel), ("soft_lif", self.soft_lif)):
            if not needed:
                del used[name]
        return json.loads(json.dumps({**one_run, **used}))


class Fingerprinted(Protocol):
    """Settings that say what their results depend on."""

    def fingerprint(self) -> dict[str, Any]:
        """Return all that the result of one run depends on, as plain values."""
        ...


def check_output(out: Path, settings: Fingerprinted) -> None:
    """Say, before anything is trained, why results could not be written or mixed with those already there.

    Raises:
        OutputError: the folder cannot be written to, or holds runs made with other settings.
    """
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise OutputError(f"The results cannot be written to {out}: {nearest} is no folder.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"The results cannot be written to {out}: no permission to write to {nearest}.")
    path = out / "settings.json"
    if not path.exists():
        return
    before = values_by_name(path)
    if not (out / "runs").is_dir():
        return
    way_out = "give another --out or remove the folder"
    if before.pop("format", None) != FORMAT:
        raise OutputError(f"{out} holds runs of another version of this package; {way_out}.")
    now = settings.fingerprint()
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        others = in_one_line(", ".join(changed), 200)
        raise OutputError(f"{out} holds runs with other settings ({others}); {way_out}.")


def values_by_name(path: Path) -> dict[str, Any]:
    """Return what a file in a folder of results says of it.

    Raises:
        OutputError: it is damaged.
    """
    try:
        values = read_json(path)
    except DamagedFileError:
        values = None
    if not isinstance(values, dict):
        raise OutputError(f"{path} is damaged; give another --out or remove the folder.")
    return values


def write_settings(out: Path, settings: Fingerprinted) -> None:
    """Make the folder of results, and note in it what :func:`check_output` will compare.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_parts(out)
        write_json(out / "settings.json", {"format": FORMAT, **settings.fingerprint()})
    except OSError as error:
        raise OutputError(f"The results cannot be written to {out}: {error.strerror}.") from None
