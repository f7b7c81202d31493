"""The network of a checkpoint that `compare` or `fit` wrote, from its tensors alone."""

from __future__ import annotations

import re
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected, in_one_line
from snntorch_binary._files import DamagedFileError, read_tensors
from snntorch_binary.nn.binary import BinaryLinear
from snntorch_binary.nn.neurons.leaky import Leaky
from snntorch_binary.weights import Bernoulli, Sign, WeightRule

FORMAT = 1
"""Format of the checkpoints of this version; each says its own under the key ``snntorch_binary``."""

_RESETS = ("subtract", "zero", "none")
_KEY = re.compile(r"net\.([0-9]{1,4})\.(\w+)")


class CheckpointError(ValueError):
    """A file is no checkpoint of a network that is known here; the message says in one sentence what it is."""


def load_trained(path: str | Path) -> tuple[nn.Sequential, dict[str, Any]]:
    """Return the network of a checkpoint, in evaluation mode, and the arguments of the LightningModule around it.

    Its layers are read off the names and shapes of its tensors: fully connected ones, in full precision, of ST-BiSNN or
    of Bayes-BiSNN, with ``Leaky`` neurons between them (``snntorch_binary.models.SpikingMLP``). Nothing in the file
    is run, and Lightning is not needed.

    Args:
        path: the checkpoint, or the folder of a run with its ``last.ckpt``.

    Raises:
        CheckpointError: the file is no checkpoint, of a newer version, or holds another network.
        ValueError: there is no such file.
    """
    path = Path(path)
    path = path / "last.ckpt" if path.is_dir() else path
    if not path.exists():
        raise ValueError(expected("CHECKPOINT", "an existing checkpoint", repr(str(path))))
    checkpoint = contents_of(path)
    check_format(checkpoint, path)
    parts = _parts(checkpoint["state_dict"], path)
    options = _options(checkpoint, path)
    layers: list[nn.Module] = [nn.Flatten(2)]
    for index, part in enumerate(parts, start=1):
        try:
            layer = _leaky(part) if index % 2 == 0 else _linear(part, options)
            layer.load_state_dict(part)
        except (KeyError, IndexError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            what = in_one_line(str(error), 200)
            raise CheckpointError(f"{path} is damaged, or of another version: net.{index} ({what}).") from None
        layers.append(layer)
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if any(before.out_features != after.in_features for before, after in pairwise(linear)):
        raise CheckpointError(f"{path} is damaged: the sizes of its layers do not fit together.")
    return nn.Sequential(*layers).eval(), options


def contents_of(path: Path) -> dict[str, Any]:
    """Return a checkpoint's tensors and plain values.

    Raises:
        CheckpointError: it is none.
    """
    try:
        contents = read_tensors(path)
    except DamagedFileError as error:
        raise CheckpointError(f"{str(error).removesuffix('.')}; it is no checkpoint.") from None
    tensors = contents.get("state_dict")
    if not isinstance(tensors, dict) or not all(_is_of_network(*item) for item in tensors.items()):
        raise CheckpointError(f"{path} is no checkpoint of `compare` or `fit`: it has no state_dict of finite numbers.")
    return contents


def _is_of_network(key: Any, value: Any) -> bool:
    if not isinstance(key, str) or not isinstance(value, Tensor):
        return False
    return not key.startswith("net.") or not value.is_floating_point() or bool(torch.isfinite(value).all())


def _options(contents: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the numbers and words among the arguments of the LightningModule; classes and paths are none."""
    arguments = contents.get("hyper_parameters")
    arguments = arguments if isinstance(arguments, dict) else {}
    options = {name: value for name, value in arguments.items() if type(value) in (bool, int, float, str)}
    if isinstance(arguments.get("rule"), dict):
        options["rule"] = arguments["rule"]
    readout, scale = options.get("readout", "membrane"), options.get("readout_scale", 1.0)
    if readout not in ("auto", "membrane", "rate") or type(scale) not in (int, float) or not 0 < scale < 1e30:
        raise CheckpointError(f"{path} is damaged: it has a readout that there is not ({readout!r} times {scale!r}).")
    return options


def check_format(checkpoint: dict[str, Any], path: Path) -> None:
    """Refuse a checkpoint of a format that this version does not know.

    Raises:
        CheckpointError: it is of a newer version, or does not say.
    """
    written = checkpoint.get("snntorch_binary", {"format": FORMAT})
    number = written.get("format") if isinstance(written, dict) else None
    if not isinstance(number, int):
        raise CheckpointError(f"{path} is damaged: it does not say the format of its contents.")
    if number > FORMAT:
        version = in_one_line(str(written.get("version", "of a newer version")), 20)
        raise CheckpointError(f"{path} was written by snntorch-binary {version}, which is newer: update this package.")


def _parts(tensors: dict[str, Tensor], path: Path) -> list[dict[str, Tensor]]:
    """Return the tensors of each module of a `SpikingMLP`: layer, neurons, layer, and so on."""
    found: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None and key.startswith("net."):
            raise _another_network(path, f" ({key!r})")
        if match is not None:
            found.setdefault(int(match[1]), {})[match[2]] = value
    names = [set(found[index]) for index in sorted(found)]
    fits = sorted(found) == list(range(1, len(found) + 1)) and len(found) % 2 == 1
    if not fits or not all(bool(part & {"weight", "latent"}) == (index % 2 == 0) for index, part in enumerate(names)):
        raise _another_network(path)
    return [found[index] for index in sorted(found)]


def _another_network(path: Path, which: str = "") -> CheckpointError:
    way_out = "read it in Python, by the `load_from_checkpoint(path, net=...)` of its LightningModule"
    return CheckpointError(f"{path} holds another network than a SpikingMLP{which}: {way_out}.")


def _linear(part: dict[str, Tensor], options: dict[str, Any]) -> nn.Module:
    outputs, inputs = part["latent" if "latent" in part else "weight"].shape
    if "latent" not in part and "weight_draw" not in part:
        return nn.Linear(inputs, outputs)
    kind: type[WeightRule] = Bernoulli if "prior_latent" in part else Sign
    values = options["rule"] if isinstance(options.get("rule"), dict) else options  # before 0.2: beside all others
    if "rule" in values:
        rule = WeightRule.from_json(values)
        if rule.has_posterior != ("prior_latent" in part):
            raise ValueError(expected("rule", f"one of tensors {sorted(part)}", repr(rule)))
    else:
        rule = kind(**{field.name: values[field.name] for field in fields(kind) if field.name in values})
    scale: Any = "channel" if "gain" in part else options.get("scale")
    return BinaryLinear(inputs, outputs, weight=rule, scale=scale)


def _leaky(part: dict[str, Tensor]) -> Leaky:
    reset = int(part["reset_mechanism_val"])
    if reset not in range(len(_RESETS)):
        raise ValueError(expected("reset_mechanism_val", "0, 1 or 2", reset))
    return Leaky(
        part["beta"],
        part["threshold"],
        graded_spikes_factor=part["graded_spikes_factor"],
        reset_mechanism=_RESETS[reset],
    )
