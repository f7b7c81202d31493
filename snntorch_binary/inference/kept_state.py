"""What a network keeps between two calls: putting it back, and seeing which modules changed theirs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_OF_EVERY_MODULE = frozenset(nn.Module().__dict__)


class KeptState:
    """The attributes and buffers of a network's modules at one moment; torch's own layers keep none.

    Args:
        net: the network.
    """

    def __init__(self, net: nn.Module) -> None:
        self._kept = [
            (name, values, {key: (value, _contents(value)) for key, value in _own(values).items()})
            for name, module in net.named_modules()
            # A binary layer's draw is put back by `sampled`.
            if not (type(module).__module__.startswith("torch.nn.") or hasattr(module, "draw"))
            for values in (module.__dict__, module._buffers)
        ]

    def changed(self) -> dict[str, list[Tensor]]:
        """Return by name the modules that keep other tensors now, and these."""
        found: dict[str, list[Tensor]] = {}
        for name, values, before in self._kept:
            for key, value in _own(values).items():
                if key not in before or _differs(value, *before[key]):
                    found.setdefault(name, []).extend(tensors_of(value))
        return {name: tensors for name, tensors in found.items() if tensors}

    def put_back(self) -> None:
        """Write back whatever differs, and nothing else: where nothing is kept, threads share a network."""
        for _, values, before in self._kept:
            for key in _own(values).keys() - before.keys():
                del values[key]
            for key, (value, contents) in before.items():
                if _differs(value, value, contents):
                    _write(value, contents)
                if values.get(key) is not value:
                    values[key] = value


@contextmanager
def state_put_back(net: nn.Module) -> Iterator[KeptState]:
    """Give every module the state (membrane potentials) back that it has now."""
    state = KeptState(net)
    try:
        yield state
    finally:
        state.put_back()


def tensors_of(value: Any) -> list[Tensor]:
    """Return the tensors in a value: itself, or those in lists, tuples, dictionaries and data classes."""
    if isinstance(value, Tensor):
        return [] if isinstance(value, nn.Parameter) else [value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, each.name) for each in dataclasses.fields(value)]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for item in items for tensor in tensors_of(item)]


def _own(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in _OF_EVERY_MODULE}


def _contents(value: Any) -> Any:
    """Return a copy of what can be written in a value, or ``None``."""
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        return value.detach().clone()
    if isinstance(value, torch.Generator):
        return value.get_state()
    return value.copy() if isinstance(value, (list, dict)) else None


def _differs(now: Any, before: Any, contents: Any) -> bool:
    if now is not before:
        return True
    if isinstance(contents, Tensor):
        return not torch.equal(now.get_state() if isinstance(now, torch.Generator) else now, contents)
    if isinstance(contents, (list, dict)):
        return _identities(now) != _identities(contents)
    return False


def _identities(value: list[Any] | dict[Any, Any]) -> list[tuple[int, ...]]:
    return [tuple(map(id, item)) for item in (value.items() if isinstance(value, dict) else zip(value))]


def _write(value: Any, contents: Any) -> None:
    if isinstance(value, torch.Generator):
        value.set_state(contents)
    elif isinstance(value, Tensor):
        value.data.copy_(contents)
    elif isinstance(value, list):
        value[:] = contents
    else:
        value.clear()
        value.update(contents)
