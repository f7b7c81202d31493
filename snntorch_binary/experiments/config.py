"""Experiments as YAML files: those that ship, and a user's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentParser
from jsonargparse.typing import register_type

from snntorch_binary._errors import expected, in_one_line, misspelt
from snntorch_binary.experiments.experiment import Experiment, make_experiment
from snntorch_binary.experiments.named import said_of
from snntorch_binary.experiments.rules import RULES

_SHIPPED = Path(__file__).parent / "configs"


def shipped(folder: Path = _SHIPPED) -> dict[str, Path]:
    """Return the experiments that ship in a folder, by name."""
    return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}


def path_of(config: str | Path, known: Mapping[str, Path]) -> Path:
    """Return a YAML file by its path, or by its name where it ships.

    Raises:
        ValueError: there is none.
    """
    if Path(config).is_file():
        return Path(config)
    if str(config) not in known:
        raise ValueError(expected("CONFIG", f"a YAML file or one of {', '.join(known)}", misspelt(str(config), known)))
    return known[str(config)]


class _AsWritten:
    """A value that is looked at later; of one of any type jsonargparse makes each class that it finds there."""


register_type(_AsWritten, deserializer=lambda value: value, type_check=lambda value, kind: False)


def _file(
    network: _AsWritten,
    data: _AsWritten,
    rules: _AsWritten | None = None,
    name: str | None = None,
    epochs: int = 20,
    batch_size: int = 50,
    seeds: list[int] = [0, 1, 2],  # noqa: B006  # a signature only, of what a file may say
    num_folds: int | None = None,
    credit: str = "through-time",
    readout: str = "auto",
    readout_scale: float | None = None,
    step: bool | None = None,
    time_dim: int | None = None,
    pictures: list[str] = [],  # noqa: B006  # as above
    fuse: bool = True,
) -> None:
    """What a file may say."""


def read_file(path: str | Path, says: Callable[..., None] = _file, argument: str = "--config") -> dict[str, Any]:
    """Return what a YAML file says of an experiment.

    Args:
        path: the file.
        says: its parameters are what a file of this kind may say.
        argument: what the file is called in errors.

    Raises:
        ValueError: it is no such file, or has unknown keys or values of another type.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(expected(argument, "a YAML file", repr(str(path))))
    parser = ArgumentParser(exit_on_error=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of jsonargparse, about its own future
        parser.add_function_arguments(says, fail_untyped=False)
        try:
            found = parser.parse_string(path.read_text(encoding="utf8"))
        except Exception as error:  # of jsonargparse and of YAML, which have several
            raise ValueError(expected(argument, "an experiment", f"{path}: {said_of(error, says)}")) from None
    values: dict[str, Any] = found.as_dict()
    return values


def read_experiment(path: str | Path, rules: Sequence[str] | None = None, **data: Any) -> Experiment:
    """Return the experiment of a YAML file.

    Args:
        path: the file.
        rules: those of its rules that are wanted, by name; others that there are come with their defaults.
        **data: arguments of its data set that are given elsewhere, such as ``data_dir``; ``None`` is none.

    Raises:
        ValueError: it is no such file, or a value is unknown or out of its range.

    Example:
        >>> experiment = read_experiment(shipped()["digits"])
        >>> experiment.name, [rule.name for rule in experiment.rules]
        ('digits', ['full-precision', 'st', 'bayes'])
    """
    values = read_file(path)
    if rules is not None:
        _check_rules(rules)
        there = _by_name(values["rules"])
        values["rules"] = {name: there.get(name) for name in rules}
    values["data"] = with_arguments(values["data"], data)
    return made_of_file(make_experiment, path, values, ships=Path(path).parent == _SHIPPED)


Made = TypeVar("Made")


def made_of_file(make: Callable[..., Made], path: str | Path, values: Mapping[str, Any], ships: bool) -> Made:
    """Return what a function makes of a file's values, which look for modules beside it; an error names the file.

    Raises:
        ValueError: a value is unknown or out of its range.
    """
    if ships:
        return make(**values, folder=None)
    try:
        return make(**values, folder=str(Path(path).absolute().parent))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def find(name: str, rules: Sequence[str] | None, credit: str) -> Path:
    """Return the shipped experiment of a data set that has all of the rules and this credit.

    Args:
        name: a shipped experiment, or the data set that its name begins with.
        rules: the rules that are wanted, or ``None`` for those it has; what fits any network needs no settings.
        credit: ``"through-time"``, ``"local"`` or ``"online"``.

    Raises:
        ValueError: there is none.
    """
    known = shipped()
    if name not in known:
        what = f"one of {', '.join(known)}, split-mnist, or left out with --config"
        raise ValueError(expected("NAME", what, misspelt(name, (*known, "split-mnist"))))
    if rules is not None:
        _check_rules(rules)
    own = read_file(known[name])
    local, wanted = credit != "through-time", {rule for rule in rules or () if not RULES[rule].fits_any_network}
    if wanted <= _by_name(own["rules"]).keys() and (not local or own["credit"] != "through-time"):
        return known[name]
    others = {each: read_file(path) for each, path in known.items() if each.startswith(f"{name}-")}
    others = {each: values for each, values in others.items() if values["data"]["name"] == own["data"]["name"]}
    for each, values in others.items():
        if wanted <= _by_name(values["rules"]).keys() and local == (values["credit"] != "through-time"):
            return known[each]
    what = f"rules that one of the experiments {', '.join((name, *others))} has"
    raise ValueError(expected("--rules", f"{what} with --credit {credit}", ", ".join(rules or ("all of them",))))


def _check_rules(rules: Sequence[str]) -> None:
    unknown = [rule for rule in rules if rule not in RULES]
    if unknown:
        raise ValueError(expected("rules", f"some of {', '.join(RULES)}", misspelt(unknown[0], RULES)))
    if not rules or len(set(rules)) != len(rules):
        raise ValueError(expected("rules", "different rules, at least one", ", ".join(rules) or "none"))


def _by_name(rules: Any) -> dict[str, Any]:
    if rules is None or isinstance(rules, Mapping):
        return dict(rules or {})
    found: dict[str, Any] = {}
    for each in rules:
        found.update(each if isinstance(each, Mapping) else {str(each): None})
    return found


def with_arguments(data: Any, given: Mapping[str, Any]) -> Any:
    """Return what a file says of its data with arguments that are given elsewhere; ``None`` is none.

    Raises:
        ValueError: there are some, and the data are the user's own.
    """
    more = {name: value for name, value in given.items() if value is not None}
    if not more:
        return data
    if isinstance(data, str) and "." not in data:
        return {"name": data, **more}
    if isinstance(data, Mapping) and "name" in data:
        return {**data, **more}
    what = f"left out with data of your own: give it in init_args ({', '.join(more)})"
    options = ", ".join(f"--{name.replace('_', '-')}" for name in more)
    raise ValueError(expected(options, what, in_one_line(repr(data), 80)))
