"""A network with fixed weights that a training passed through, its binary ones at one bit each."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.kernels.bits import from_words, num_words, to_words

_SIZES: tuple[tuple[int, ...], ...] = ((), (0,), (1,))
"""Dimensions along which the magnitudes of ±1 weights may differ: of a layer, of outputs, of a transposed one's."""
_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Passed:
    """A network that a training passed through.

    Attributes:
        tensors: its state by name; of tensors whose magnitudes are equal, all or those of each output, ``signs`` as
            words of 64 and the ``size``.
        shell: the network without these tensors, for what a state does not hold; of a file there is none.
    """

    tensors: Mapping[str, Any]
    shell: nn.Module | None = None

    @classmethod
    def of(cls, net: nn.Module) -> Passed:
        """Return what is left of a network of one's own, whose tensors are taken; values of others are as they are."""
        state = net.state_dict()
        tensors = {name: _small(value) if isinstance(value, Tensor) else value for name, value in state.items()}
        _empty_(net, {id(value) for value in net.state_dict(keep_vars=True).values() if isinstance(value, Tensor)})
        return cls(tensors, net)

    def network(self, like: nn.Module) -> nn.Module:
        """Return the network again, on the device and in the precision of one like it.

        Args:
            like: a copy of the network as it is now, which is given away.
        """
        now = like.state_dict()
        state = {name: _whole(value, now.get(name)) for name, value in self.tensors.items()}
        if self.shell is None:
            like.load_state_dict(state)
            return like
        net = copy.deepcopy(self.shell)
        device = next((value.device for value in now.values() if isinstance(value, Tensor)), torch.device("cpu"))
        net.load_state_dict({name: _moved(value, now.get(name), device) for name, value in state.items()}, assign=True)
        return net if device.type == "cpu" else net.to(device)

    def check(self, form: Mapping[str, Any], parameters: Collection[str]) -> None:
        """Refuse what is no state of a network.

        Args:
            form: its state now.
            parameters: which of its names are those of parameters.

        Raises:
            ValueError: names, shapes or kinds differ, or there are parameters that are no numbers.
        """
        if not isinstance(self.tensors, Mapping) or self.tensors.keys() != form.keys():
            raise ValueError(expected("state", "the tensors of this network", "others"))
        for name, value in self.tensors.items():
            if not _could_be(value, form[name], name in parameters):
                raise ValueError(expected("state", f"{name} as in this network, of numbers", "another"))


def _empty_(net: nn.Module, kept: Collection[int]) -> None:
    """Put nothing in the place of tensors that are kept elsewhere; tied ones stay tied."""
    nothing: dict[int, Any] = {}
    for module in net.modules():
        for tensors in (module._parameters, module._buffers):
            for name, value in tensors.items():
                if value is None or id(value) not in kept:
                    continue
                if id(value) not in nothing:
                    empty: Any = torch.empty_like(value, device="meta", requires_grad=False)
                    nothing[id(value)] = (
                        nn.Parameter(empty, value.requires_grad) if isinstance(value, nn.Parameter) else empty
                    )
                tensors[name] = nothing[id(value)]


def _moved(value: Any, now: Any, device: torch.device) -> Any:
    if not isinstance(value, Tensor):
        return value
    same = isinstance(now, Tensor) and now.is_floating_point() and value.is_floating_point()
    return value.to(device, now.dtype, copy=True) if same else value.to(device, copy=True)


def _small(value: Tensor) -> Tensor | dict[str, Tensor]:
    value = value.detach()
    if value.layout != torch.strided or value.dtype not in _FLOATS or value.dim() < 2 or value.numel() < 64:
        return value.cpu().clone()
    value = value.cpu()
    magnitudes = value.abs()
    for differ in _SIZES:
        size = magnitudes.amax([dim for dim in range(value.dim()) if dim not in differ], keepdim=True)
        if bool((magnitudes == size).all()) and bool((size > 0).all()) and bool(size.isfinite().all()):
            words = to_words((value > 0).reshape(1, -1, 1)).view(-1)
            return {"signs": words, "size": size.clone(), "shape": torch.tensor(value.shape)}
    return value.clone()


def _whole(value: Any, now: Any) -> Any:
    if not isinstance(value, dict) or not (now is None or isinstance(now, Tensor)):
        return value
    shape = value["shape"].tolist()
    positive = from_words(value["signs"], int(value["shape"].prod())).view(shape) > 0
    return torch.where(positive, value["size"], -value["size"])


def _could_be(value: Any, like: Any, is_parameter: bool) -> bool:
    if not isinstance(like, Tensor):
        return type(value) is type(like)
    if not isinstance(value, dict):
        alike = isinstance(value, Tensor) and value.shape == like.shape and value.dtype == like.dtype
        return alike and (not is_parameter or not value.is_floating_point() or bool(value.isfinite().all()))
    if value.keys() != {"signs", "size", "shape"} or not all(isinstance(part, Tensor) for part in value.values()):
        return False
    signs, size, shape = value["signs"], value["size"], value["shape"]
    sizes = [tuple(n if dim in differ else 1 for dim, n in enumerate(like.shape)) for differ in _SIZES]
    return (
        shape.dtype == torch.int64
        and shape.tolist() == list(like.shape)
        and signs.dtype == torch.int64
        and signs.shape == (num_words(like.numel()),)
        and size.dtype == like.dtype
        and tuple(size.shape) in sizes
        and bool((size > 0).all())
        and bool(size.isfinite().all())
    )
