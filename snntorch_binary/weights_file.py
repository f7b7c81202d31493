"""`save_weights` and `load_weights_`: a network's state as a safetensors file, with its description in JSON."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

import snntorch_binary
from snntorch_binary._errors import expected, require
from snntorch_binary._json import parse_json
from snntorch_binary.convert.binarize import convert_
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.convert.foreign import taken_apart
from snntorch_binary.nn.scale import check_scale
from snntorch_binary.nn.subclasses import binary_class
from snntorch_binary.weights import WeightRule, binary_layers

FORMAT = "snntorch_binary.weights"
VERSION = 1
_LARGEST_SCALE = 1e30  # of float32 the largest number is 3e38, and sums are scaled

Model = TypeVar("Model", bound=nn.Module)


class WeightsFileError(ValueError):
    """A file does not hold the state of a network, or is damaged."""


class WeightsFileVersionError(WeightsFileError):
    """A file was written by a newer version of this package."""


def save_weights(net: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write a network's state (latents, gains, biases, draws, neurons) to a safetensors file, and its rules beside it.

    The JSON file of the same name says, for every binary layer, its class, rule and scale; and the format's version,
    this package's, and a SHA-256 of the tensors and one of itself.

    Args:
        net: any module, with binary layers or not. A wrapper around it, of ``torch.compile``, ``DataParallel``,
            ``DistributedDataParallel`` or activation checkpointing, leaves no trace in the file.
        path: of the file, ending in ``.safetensors``; one that is there is replaced.

    Raises:
        ValueError: the path has another ending, or a :class:`WeightRule` has no name.
        TypeError: the state holds something that is no tensor.
        MissingPackageError: safetensors is not installed.

    Example:
        >>> import tempfile, torch, snntorch_binary as sb
        >>> def make(): return torch.nn.Sequential(torch.nn.Linear(8, 4), sb.nn.Leaky(beta=0.9))
        >>> net = make(); _ = sb.binarize_(net, sb.Bernoulli())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sb.save_weights(net, folder + "/net.safetensors")
        ...     loaded = sb.load_weights_(make(), folder + "/net.safetensors")
        >>> bool((loaded[0].latent == net[0].latent).all()), loaded[0].rule
        (True, Bernoulli())
    """
    weights, description = _files(path)
    safetensors = require("safetensors.torch", "export")
    tensors: dict[str, Tensor] = {}
    plain = plain_names(net)
    layers: dict[str, Any] = {plain(name): layer for name, layer in binary_layers(net).items()}
    aliases: dict[str, str] = {}
    first: dict[tuple[Any, ...], str] = {}
    for name, value in net.state_dict().items():
        name = plain(name)
        if not isinstance(value, Tensor):
            raise TypeError(expected("net", "a network whose state is tensors", f"a {type(value).__name__}, {name!r}"))
        place = (value.data_ptr(), value.shape, value.stride(), value.dtype)
        if value.numel() and place in first:
            aliases[name] = first[place]
        else:
            first[place] = name
            tensors[name] = value.detach().cpu().contiguous().clone()
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "snntorch_binary": snntorch_binary.__version__,
        "sha256": _checksum(tensors),
        "layers": {
            name: {"type": type(layer).__name__, **layer.rule.to_json(), "scale": layer.scale}
            for name, layer in layers.items()
        },
        "aliases": aliases,
    }
    content["sha256_of_this"] = _checksum_of_description(content)
    safetensors.save_file(tensors, os.fspath(weights), {"format": FORMAT, "version": str(VERSION)})
    description.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_weights_(net: Model, path: str | os.PathLike[str]) -> Model:
    """Load what :func:`save_weights` wrote into a network of the same make, in place.

    A float network becomes binary where the saved one was, by the same rules; one that is binary must follow them.
    Reading takes memory for three times the tensors and 64 times the JSON file at most, and for a copy of the network.
    A rule is found by its name among those whose classes are defined (a rule of your own: import its module before).

    Args:
        net: the network; it stays as it was where this raises.
        path: of the ``.safetensors`` file.

    Returns:
        The same network.

    Raises:
        WeightsFileError: a file is damaged or of another format; a ``ValueError``.
        WeightsFileVersionError: it was written by a newer version of this package; a ``WeightsFileError``.
        ValueError: the network is another one than the saved one; says which module.
        OSError: a file cannot be opened.
        MissingPackageError: safetensors is not installed.
    """
    weights, description = _files(path)
    safetensors = require("safetensors", "export")
    with weights.open("rb"):  # what is wrong with the path is said as Python says it
        pass
    if not description.exists():
        raise WeightsFileError(
            f"{weights} has no {description.name} beside it, so that save_weights did not write it; "
            "load_packed reads packed networks."
        )
    layers, aliases, checksum = _described(description)
    try:
        with safetensors.safe_open(os.fspath(weights), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found = _checksum(tensors)
    except (safetensors.SafetensorError, OSError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsFileError(f"{weights} is no readable safetensors file: {_shortly(error)}") from None
    if found != checksum:
        raise WeightsFileError(f"{weights} is damaged, or of another network than {description.name}.")
    for name, other in aliases.items():
        if name in tensors:
            raise WeightsFileError(f"{description} is damaged: {name[:80]!r} is saved, and said to be another.")
        if other not in tensors:
            raise WeightsFileError(f"{description} is damaged: it names {other[:80]!r}, which is not saved.")
        tensors[name] = tensors[other]
    # On a copy first, so that a network that does not fit stays as it was.
    for one in (copy_model(_unwrapped(net)), _unwrapped(net)):
        with taken_apart(one):
            _make_binary_(one, layers)
        plain = plain_names(one)
        there = {plain(name): (name, value) for name, value in one.state_dict().items()}
        for name, value in tensors.items():
            if name in there and not _same_kind(value, there[name][1]):
                raise WeightsFileError(f"{weights} is damaged: {name!r} is of type {value.dtype}.")
        try:
            one.load_state_dict({there.get(name, (name,))[0]: value for name, value in tensors.items()})
        except RuntimeError as error:
            raise ValueError(expected("net", f"the network of {weights.name}", f"another: {_shortly(error)}")) from None
        except (ArithmeticError, TypeError, ValueError) as error:  # of a module that takes up a state of its own
            raise WeightsFileError(f"{weights} is damaged: a module's state does not fit it: {error}") from None
    return net


def _same_kind(first: Any, second: Any) -> bool:
    """Say whether both are real numbers of whatever precision, or both of one other type."""
    if not isinstance(second, Tensor):
        return True  # what it is, the module knows
    return first.dtype == second.dtype or (first.is_floating_point() and second.is_floating_point())


_WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "CheckpointWrapper": "_checkpoint_wrapped_module",
}
"""Classes of torch around a module that compute the same, and the name by which they hold it."""


def _held_as(module: nn.Module) -> str | None:
    return _WRAPPERS.get(type(module).__name__) if type(module).__module__.startswith("torch.") else None


def _unwrapped(net: nn.Module) -> nn.Module:
    """Return the network inside wrappers around the whole of it."""
    while (name := _held_as(net)) is not None:
        net = net._modules[name]  # type: ignore[assignment]
    return net


def plain_names(net: nn.Module) -> Callable[[str], str]:
    """Return the function from a name in this network to the name without wrappers, at whatever depth."""
    held_as = {name: _held_as(module) for name, module in net.named_modules(remove_duplicate=False)}

    def plain(name: str) -> str:
        parts = name.split(".")
        return ".".join(part for at, part in enumerate(parts) if held_as.get(".".join(parts[:at])) != part)

    return plain


def _shortly(error: BaseException) -> str:
    """Return what an error says in one line, without its heading; of a file's thousand names, the first."""
    reason = " ".join(str(error).split("\n", 1)[-1].split())
    return reason if len(reason) <= 400 else f"{reason[:400]}..."


def _files(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    weights = Path(path)
    if weights.suffix != ".safetensors":
        raise ValueError(expected("path", "a name that ends in .safetensors", repr(os.fspath(path))))
    return weights, weights.with_suffix(".json")


def _checksum(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _checksum_of_description(content: dict[str, Any]) -> str:
    """Return the SHA-256 of what a description says, whatever its layout."""
    said = {key: value for key, value in content.items() if key != "sha256_of_this"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _described(path: Path) -> tuple[dict[str, Any], dict[str, str], str]:
    """Return binary layers, aliases and checksum from the JSON file."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsFileError(f"{path} is no readable JSON file: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise WeightsFileError(f"{path} does not describe a network: its format is not {FORMAT!r}.")
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise WeightsFileVersionError(
            f"{path} has version {version} of the format, and this package reads up to {VERSION}: update it."
        )
    # The first files of this package have no such checksum.
    if content.get("sha256_of_this", _checksum_of_description(content)) != _checksum_of_description(content):
        raise WeightsFileError(f"{path} is damaged: its contents do not have the checksum in it.")
    layers: Any = content.get("layers")
    aliases: Any = content.get("aliases")
    checksum = content.get("sha256")
    sound = isinstance(layers, dict) and all(isinstance(layer, dict) for layer in layers.values())
    sound = sound and isinstance(aliases, dict) and all(isinstance(name, str) for name in aliases.values())
    if version != VERSION or not sound or not isinstance(checksum, str):
        raise WeightsFileError(f"{path} is damaged: version, layers, aliases or checksum are missing.")
    return {name: _layer(name, dict(layer), path) for name, layer in layers.items()}, aliases, checksum


def _layer(name: str, values: dict[str, Any], path: Path) -> tuple[str, WeightRule, Any]:
    try:
        kind, scale = str(values.pop("type")), values.pop("scale")
        rule = WeightRule.from_json(values)
        check_scale(scale, rule)
        if not isinstance(scale, str):
            scale = float(scale)
            if scale > _LARGEST_SCALE:
                raise ValueError(expected("scale", f"at most {_LARGEST_SCALE:g}", scale))
        return kind, rule, scale
    except (KeyError, TypeError, ValueError) as error:
        reason = f"layer {name[:80]!r} has no known rule or scale ({_shortly(error)})"
        raise WeightsFileError(f"{path} is damaged: {reason}.") from None


def _make_binary_(net: nn.Module, layers: dict[str, tuple[str, WeightRule, Any]]) -> None:
    """Make those layers binary that are to be, and make sure that those which are follow the rules."""
    plain = plain_names(net)
    modules: dict[str, Any] = {plain(name): module for name, module in net.named_modules()}
    there: dict[str, Any] = {plain(name): layer for name, layer in binary_layers(net).items()}
    for name in {**layers, **there}:
        of_net = f"{there[name].rule!r} in {name!r}" if name in there else f"a real layer {name!r}"
        if name not in layers:
            raise ValueError(expected("net", f"a network whose {name!r} is real", of_net))
        kind, rule, scale = layers[name]
        if name in there:
            if (type(there[name]).__name__, there[name].rule, there[name].scale) != (kind, rule, scale):
                what = f"a network whose {name!r} is a {kind} by {rule!r} of scale {scale!r}"
                raise ValueError(expected("net", what, f"{of_net} of scale {there[name].scale!r}"))
            continue
        module: Any = modules.get(name)
        twin = binary_class(type(module)) if isinstance(module, nn.Module) else None
        if twin is None or twin.__name__ != kind:
            got = "none of that name" if module is None else f"a {type(module).__name__}"
            raise ValueError(expected("net", f"a network whose {name!r} can become a {kind}", got))
        convert_(module, rule, scale)
