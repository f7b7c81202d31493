"""What a run's weights are of, in a file beside them; and the network it says, with these weights."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import snntorch_binary
from snntorch_binary._errors import expected, in_one_line
from snntorch_binary._files import DamagedFileError, RunFolder, read_json, read_tensors, write_json
from snntorch_binary.checkpoint import FORMAT as CHECKPOINT_FORMAT
from snntorch_binary.checkpoint import CheckpointError, check_format, contents_of, load_trained
from snntorch_binary.convert import binarize_
from snntorch_binary.experiments.named import Named, make_network
from snntorch_binary.inference.norms import NormsOfDraws
from snntorch_binary.inference.training_scale import scale_in
from snntorch_binary.inference.trajectory import Trajectory
from snntorch_binary.models import symbol_network
from snntorch_binary.nn import WTANetwork
from snntorch_binary.weights import WeightRule, binary_layers

FILE = "description.json"
NORMS = "norms.pt"
"""Statistics of batch norms for the mode and each member of an ensemble, beside a checkpoint."""
FORMAT = 1
READING = ("readout", "readout_scale", "step", "time_dim")
"""How a network's outputs are read; see :class:`SpikingModule`."""
_NET = "net."
_OURS = ("snntorch_binary.models.", "snntorch_binary.nn.")
_WORD = re.compile(r"[\w-]*")
_MOST_VALUES = 100
_TOO_LARGE = 2.0  # a network has at most so many numbers more than its file


@dataclass(frozen=True)
class RunDescription:
    """What a run is: enough to make its network anew, and to answer other data with it.

    Attributes:
        network: its class and arguments.
        rule: what it learned by.
        weights: its weight rule and scale as JSON, or ``None`` in full precision.
        num_classes: classes C, or ``None`` for real targets.
        class_names: C names, or none.
        data: what it learned from, as plain values.
        input_shape: shape of an example in one time step.
        num_steps: time steps T.
        reading: ``readout``, ``readout_scale``, ``step`` and ``time_dim``; see :class:`SpikingModule`.
        num_members: members of its ensemble.
        part: ``seed``, ``fold`` and ``num_folds`` of the data it learned from; nothing where it does not say.
        shown_numbers: whether inputs are real numbers, and not spikes alone.
    """

    network: Named
    rule: str
    weights: Mapping[str, Any] | None
    num_classes: int | None
    class_names: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    input_shape: tuple[int, ...] = ()
    num_steps: int | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    num_members: int = 10
    part: Mapping[str, Any] = field(default_factory=dict)
    shown_numbers: bool = False

    def write(self, folder: Path) -> None:
        """Write it to a run's folder.

        Raises:
            OSError: it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        values = {key: value for key, value in vars(self).items() if key != "network"}
        about = {"format": FORMAT, "version": snntorch_binary.__version__, "network": self.network.plain()}
        write_json(folder / FILE, {**about, **values})


@dataclass(frozen=True)
class TrainedRun:
    """A trained network, in evaluation mode, and what its run says of itself."""

    net: nn.Module
    description: RunDescription
    path: Path
    norms: NormsOfDraws | None = None
    """Statistics of its batch norms for the mode and each member, where there are members."""
    passed: Trajectory | None = None
    """Networks that its training passed, which answer together, where its rule answers so."""
    _members: dict[int, dict[int, nn.Module]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def num_members(self) -> int:
        """Members of its ensemble as it was tested."""
        said = self.description.num_members
        return said if self.passed is None else min(said, self.passed.num_held)

    def members(self, count: int) -> dict[int, nn.Module]:
        """Return so many networks that its training passed by their step, of those that were tested where these do.

        Raises:
            ValueError: there are not so many.
        """
        assert self.passed is not None
        if count not in self._members:
            tested = self.num_members
            found = self.passed.networks(max(count, tested))
            if count < tested:
                chosen = [list(found)[tested * (index + 1) // count - 1] for index in range(count)]
                found = {step: found[step] for step in chosen}
            self._members[count] = found
        return self._members[count]


def has_numbers(x: Tensor) -> bool:
    """Say whether inputs hold anything but 0 and 1."""
    return not bool(((x == 0) | (x == 1)).all())


def weights_of(net: nn.Module) -> dict[str, Any] | None:
    """Return how a network's weights are binary, as its first binary layer is, or ``None`` where they are not."""
    layer: Any = next(iter(binary_layers(net).values()), None)
    return None if layer is None else {"rule": layer.rule.to_json(), "scale": layer.scale}


def write_weights(files: RunFolder, name: str, net: nn.Module) -> None:
    """Write a network's tensors to a run's folder, as checkpoints have them.

    Raises:
        OSError: they cannot be written.
    """
    files.write_tensors(name, {"state_dict": state_of(net.state_dict()), **written_by()})


def state_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a network's tensors under the names that they have in the checkpoints of all runs."""
    return {f"{_NET}{name}": value for name, value in state.items()}


def network_state(contents: Mapping[str, Any]) -> dict[str, Any]:
    """Return the network's tensors in the contents of a checkpoint."""
    state = contents["state_dict"].items()
    return {name.removeprefix(_NET): value for name, value in state if name.startswith(_NET)}


def written_by() -> dict[str, Any]:
    """Return what a checkpoint says of the package that wrote it."""
    return {"snntorch_binary": {"format": CHECKPOINT_FORMAT, "version": snntorch_binary.__version__}}


def load_run(path: str | Path, network: Any = None, folder: str | None = None) -> TrainedRun:
    """Return the network of a run of ``compare``, ``fit``, ``federate`` or ``tune`` with its weights.

    A file chooses no class: that is one of this package, or the one that is named here.

    Args:
        path: a run's folder, or its checkpoint.
        network: the class or function that made the network, or its name, where it is none of this package.
        folder: where it is looked for beside Python's path.

    Raises:
        CheckpointError: the files are none of a run, damaged, or of another network.
        ValueError: there is no such file, or the network has no such name.

    Example:
        >>> run = load_run("results/digits/runs/bayes-seed0")  # doctest: +SKIP
        >>> run.net  # doctest: +SKIP
    """
    checkpoint, described = _files(Path(path))
    if described is None:
        return _before_descriptions(checkpoint)
    description = read_description(described)
    named = _allowed(description.network, network, folder, described)
    if named.find("network") in (symbol_network, WTANetwork):
        what = "a winner-take-all network, which is read in Python, by its module VOWEL"
        raise CheckpointError(f"{checkpoint} is of {what}.")
    contents = contents_of(checkpoint)
    check_format(contents, checkpoint)
    state = network_state(contents)
    try:
        net = _float_network(named, state, network is None)
        if description.weights is not None:
            rule = WeightRule.from_json(description.weights.get("rule"))  # type: ignore[arg-type]  # looked at there
            binarize_(net, rule, scale=description.weights.get("scale"))
        net.load_state_dict(state)
    except CheckpointError:
        raise
    except Exception as error:  # whatever values of a stranger's file make of a constructor
        why = in_one_line(f"{error}", 200)
        raise CheckpointError(f"{checkpoint} does not fit the network of {described}, or is damaged: {why}") from None
    reading = description.reading
    if reading.get("readout_scale") is None:
        reading = {**reading, "readout_scale": scale_in(contents)}
    described_so = replace(description, network=named, reading=reading)
    passed = _passed(contents, net.eval(), checkpoint)
    drawn = any(layer.rule.is_drawn for layer in binary_layers(net).values())
    norms = _norms(checkpoint, net) if drawn or passed is not None else None
    return TrainedRun(net, described_so, checkpoint, norms, passed)


def _passed(contents: Mapping[str, Any], net: nn.Module, checkpoint: Path) -> Trajectory | None:
    """Return the networks that a run's training passed, where its checkpoint has such."""
    said = contents.get("snntorch_binary")
    state = said.get("trajectory") if isinstance(said, Mapping) else None
    if state is None:
        return None
    try:
        found = Trajectory(net)
        found.load_state_dict(state)
    except (ValueError, TypeError) as error:
        why = in_one_line(f"{error}", 200)
        raise CheckpointError(f"{checkpoint} has members of another network, or is damaged: {why}") from None
    return found if found.num_held else None


def _norms(checkpoint: Path, net: nn.Module) -> NormsOfDraws | None:
    """Return the statistics of batch norms beside a checkpoint; the network gets those of the mode."""
    path = checkpoint.with_name(NORMS)
    if not path.is_file():
        return None
    try:
        found = NormsOfDraws.of_state(read_tensors(path), net)
    except (DamagedFileError, ValueError) as error:
        raise CheckpointError(f"{path} does not fit the network, or is damaged: {in_one_line(error, 200)}") from None
    found.put_(net, "mode")
    return found


def read_rule(path: str | Path) -> str | None:
    """Return the name of the rule of a run, where it has a description.

    Raises:
        CheckpointError: its description is damaged.
        ValueError: there is no such run.
    """
    _, described = _files(Path(path))
    return None if described is None else read_description(described).rule


def _files(path: Path) -> tuple[Path, Path | None]:
    """Return a run's checkpoint and its description; that of ``fit`` is a folder above."""
    if not path.exists():
        raise ValueError(expected("RUN", "the folder of a run, or its checkpoint", repr(str(path))))
    places = ("last.ckpt", "checkpoints/last.ckpt", "winner.ckpt")
    if path.is_dir():
        found = next((path / place for place in places if (path / place).is_file()), None)
        if found is None:
            runs = sorted(each.name for each in (path / "runs").glob("*/last.ckpt")) if (path / "runs").is_dir() else []
            what = f"the folder of one run, as {path / 'runs'}/..." if runs or (path / "runs").is_dir() else "a run"
            devices = sorted(path.glob("device*.ckpt"))
            what = f"the network of one device, as {devices[0]}, or {what}" if devices else what
            raise ValueError(expected("RUN", f"{what}, with {' or '.join(places)}", repr(str(path))))
        path = found
    above = (path.parent, path.parent.parent) if path.parent.name == "checkpoints" else (path.parent,)
    return path, next((folder / FILE for folder in above if (folder / FILE).is_file()), None)


def read_description(path: Path) -> RunDescription:
    """Return what a file says of a run; nothing in it is imported or run.

    Raises:
        CheckpointError: it is damaged, or of a newer version.
    """
    try:
        values = read_json(path)
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            raise ValueError("it has another format")
        values.pop("version", None)
        network = Named.of("network", values.pop("network"))
        found = RunDescription(network=network, **values)
        _check(found)
    except (DamagedFileError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged, or of another version: {in_one_line(error, 150)}") from None
    shape, names = tuple(found.input_shape), tuple(found.class_names)
    return replace(found, input_shape=shape, class_names=names)


def _check(found: RunDescription) -> None:
    def whole(value: Any, low: int, high: int) -> bool:
        return type(value) is int and low <= value <= high

    reading = found.reading
    fits = [
        isinstance(found.rule, str),
        found.weights is None or isinstance(found.weights, dict),
        found.num_classes is None or whole(found.num_classes, 2, 2**20),
        found.num_steps is None or whole(found.num_steps, 1, 2**20),
        whole(found.num_members, 1, 10_000),
        isinstance(found.data, dict),
        isinstance(found.shown_numbers, bool),
        all(isinstance(name, str) for name in found.class_names),
        all(whole(size, 0, 2**24) for size in found.input_shape),
        isinstance(reading, dict) and reading.keys() <= set(READING),
        reading.get("readout", "auto") in ("auto", "rate", "membrane"),
        reading.get("step") in (None, True, False),
        reading.get("time_dim") is None or whole(reading["time_dim"], 0, 8),
        isinstance(found.part, dict) and found.part.keys() <= {"seed", "fold", "num_folds"},
        all(whole(value, 0, 2**63) or (name == "num_folds" and value is None) for name, value in found.part.items()),
    ]
    scale = reading.get("readout_scale")
    fits.append(scale is None or (type(scale) in (int, float) and 0 < scale < 1e30))
    if not all(fits):
        raise ValueError("a value is of another type or out of its range")


def _allowed(recorded: Named, given: Any, folder: str | None, path: Path) -> Named:
    """Return the network of a description with a class that the user has named, or that is of this package."""
    named = recorded if given is None else Named.of("network", given, folder)
    own = {} if given is None else named.init_args
    if not all(_is_plain(value) for name, value in recorded.init_args.items() if name not in own):
        why = "arguments of its network name what is none of this package"
        raise CheckpointError(f"{path} is refused: {why}; where they are yours, give the experiment by --config.")
    if given is not None:
        return Named(named.class_path, {**recorded.init_args, **own}, named.folder, named.target)
    if is_ours(recorded.class_path):
        return Named(recorded.class_path, recorded.init_args)
    name = in_one_line(recorded.class_path, 80)
    raise CheckpointError(
        f"{path} is of the network {name}, which is none of this package, and a file chooses no class: "
        f"name it yourself, as --network {name}"
    )


def is_ours(class_path: str) -> bool:
    """Say whether a name is that of a public network, or a part of one, of this package."""
    if not isinstance(class_path, str) or not class_path.startswith(_OURS):
        return False
    room, _, name = class_path.rpartition(".")
    if room not in (each.rstrip(".") for each in _OURS) or name.startswith("_") or not name.isidentifier():
        return False
    found = getattr(importlib.import_module(room), name, None)
    return (inspect.isclass(found) or inspect.isfunction(found)) and found.__module__.startswith(_OURS)


def _is_plain(value: Any) -> bool:
    """Say whether values have no class but of ours, and no words that could be the name of one, or a path."""
    if isinstance(value, Mapping):
        rest = {key: of for key, of in value.items() if key != "class_path"}
        return ("class_path" not in value or is_ours(value["class_path"])) and all(map(_is_plain, rest.values()))
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None
    return all(map(_is_plain, value)) if isinstance(value, (list, tuple)) else True


def _float_network(named: Named, state: Mapping[str, Any], of_stranger: bool) -> nn.Module:
    """Return the network, having made sure that it is not much larger than the file that it is for."""
    if of_stranger:
        there = sum(value.numel() for value in state.values())
        if _num_values(named.init_args) > _MOST_VALUES + len(state):  # each may be a layer, which takes time to make
            raise CheckpointError(f"The description has more values than a network of {len(state)} tensors needs.")
        with torch.device("meta"):
            sizes = sum(parameter.numel() for parameter in named.call("network").parameters())
        if sizes > _TOO_LARGE * there + 1_000:
            raise CheckpointError(f"The description asks for {sizes:,} parameters, and the checkpoint has {there:,}.")
    return make_network(named)


def _num_values(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_num_values, value.values()))
    return sum(map(_num_values, value)) if isinstance(value, (list, tuple)) else 1


def _before_descriptions(path: Path) -> TrainedRun:
    """Return a `SpikingMLP` from a checkpoint that has no description, from the names of its tensors."""
    net, arguments = load_trained(path)
    layers = [module for module in net if isinstance(module, nn.Linear)]
    reading = {"readout": arguments.get("readout", "membrane"), "readout_scale": arguments.get("readout_scale")}
    described = RunDescription(
        Named("snntorch_binary.models.SpikingMLP"),
        "",
        weights_of(net),
        layers[-1].out_features,
        input_shape=(layers[0].in_features,),
        num_steps=10,
        reading=reading,
    )
    return TrainedRun(net, described, path)
