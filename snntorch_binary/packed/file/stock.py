"""Layers of torch that a packed graph keeps as they are, as a file holds them: arguments, and float32 tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils.prune import BasePruningMethod

from snntorch_binary.packed.file.entry import Entry, Kinds, NoFormError, PackedFileError, Tensors

_LARGEST = 2**24
_CONV = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
_TRANSPOSED = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "output_padding",
    "groups",
    "dilation",
)
_NORM = ("num_features", "eps")
_MAX_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
_AVERAGE = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")

_ARGUMENTS: dict[type[nn.Module], tuple[str, ...]] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _CONV),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _TRANSPOSED),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _NORM),
    nn.RNN: ("input_size", "hidden_size", "num_layers", "nonlinearity", "bias", "batch_first"),
    **dict.fromkeys((nn.LSTM, nn.GRU), ("input_size", "hidden_size", "num_layers", "bias", "batch_first")),
    nn.LSTMCell: ("input_size", "hidden_size"),
    nn.GRUCell: ("input_size", "hidden_size"),
    nn.LayerNorm: ("normalized_shape", "eps"),
    nn.GroupNorm: ("num_groups", "num_channels", "eps"),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), _MAX_POOL),
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _AVERAGE),
    **dict.fromkeys((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), ("output_size",)),
    **dict.fromkeys((nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d), ("output_size",)),
    **dict.fromkeys((nn.ReLU, nn.Sigmoid, nn.Tanh, nn.SiLU, nn.Mish, nn.Hardtanh, nn.ReLU6, nn.Softsign), ()),
    nn.Identity: (),
    nn.GELU: ("approximate",),
    nn.LeakyReLU: ("negative_slope",),
    nn.ELU: ("alpha",),
    nn.Softmax: ("dim",),
    nn.Flatten: ("start_dim", "end_dim"),
    nn.Unflatten: ("dim", "unflattened_size"),
    nn.Upsample: ("size", "scale_factor", "mode"),
    nn.PixelShuffle: ("upscale_factor",),
}


def _to_record(module: nn.Module, path: str, tensors: Tensors) -> dict[str, Any]:
    kind, names = type(module), _ARGUMENTS[type(module)]
    arguments = {name: getattr(module, name) for name in names}
    with torch.device("meta"):
        plain = kind(**arguments)
    compute_weights_(module, path)
    state = {name: getattr(module, name) for name in (*plain._parameters, *plain._buffers)}
    held = {name: value for name, value in state.items() if value is not None and value.is_floating_point()}
    for name, value in held.items():
        tensors[f"{path}.{name}"] = value.detach().to(torch.float32).clone()
    return {"arguments": [_listed(value) for value in arguments.values()], "tensors": list(held)}


def compute_weights_(module: nn.Module, path: str) -> None:
    """Let a layer's weight be what `weight_norm` and pruning make of its parameters, as they do before a call.

    Raises:
        NoFormError: it has other hooks, which no file can hold.
    """
    hooks = [*module._forward_pre_hooks.values()]
    of_weights = [isinstance(hook, BasePruningMethod) or _is_of_torch(hook) for hook in hooks]
    if not all(of_weights) or module._forward_hooks:
        raise NoFormError(f"A packed file cannot hold hooks of a {type(module).__name__} ({path or 'the network'})")
    for hook in hooks:
        hook(module, ())


def _is_of_torch(hook: Any) -> bool:
    return type(hook).__module__.startswith("torch.nn.utils.")


def _listed(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_listed(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"A packed file cannot hold {value!r} as an argument of a layer.")


def _of(kind: type[nn.Module]) -> Callable[[Entry], nn.Module]:
    def of(entry: Entry) -> nn.Module:
        names, values, held = _ARGUMENTS[kind], entry.values.get("arguments"), entry.values.get("tensors")
        if not isinstance(values, list) or len(values) != len(names) or not all(map(_is_plain, values)):
            raise entry.error("arguments", f"the {len(names)} arguments of a {kind.__name__}")
        if not isinstance(held, list) or not all(isinstance(name, str) for name in held):
            raise entry.error("tensors", "a list of names")
        with torch.device("meta"):  # nothing is allocated before the file has borne it out
            module = kind(**dict(zip(names, map(_tupled, values), strict=True)))
        state = dict(module.named_parameters()) | dict(module.named_buffers())
        for name, value in state.items():
            given = entry.tensor(name, torch.float32) if name in held else None
            if given is not None and given.shape != value.shape:
                raise PackedFileError(f"The tensor {entry.path}.{name} has not the shape {tuple(value.shape)}.")
            if name in module._parameters:
                setattr(module, name, None if given is None else nn.Parameter(given, requires_grad=False))
            else:
                module._buffers[name] = given
        weight = getattr(module, "weight", None)
        if kind in _WITH_WEIGHTS and (weight is None or not weight.numel()):  # which bears out its outputs
            raise entry.error("tensors", "a list with the weights of the layer")
        return module.eval()

    return of


_WITH_WEIGHTS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= 8 and all(map(_is_plain, value))
    if isinstance(value, str):
        return len(value) < 20
    if isinstance(value, bool) or value is None:
        return True
    return isinstance(value, (int, float)) and abs(value) <= _LARGEST


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


STOCK: Kinds = {kind.__name__: (kind, _to_record, _of(kind)) for kind in _ARGUMENTS if kind is not nn.Flatten}
"""Layers of torch beside ``Linear`` and ``Flatten``, which older versions of the format have."""
