"""How an operation or a layer is done at all steps together: by exact kind, as a subclass may do anything else."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from snntorch_binary.graph.events import Event, Operation
from snntorch_binary.nn.binary import BinaryLayer
from snntorch_binary.nn.subclasses import computes_as, leaves_forward

Way = Literal["all", "batch", "norm", "mapped", "steps"]
"""As they are; as one batch; as a batch norm; by ``torch.vmap``; one step after the other."""


def _words(text: str) -> set[str]:
    return set(text.split())


_POINTWISE_LAYERS = (
    *(nn.Identity, nn.Dropout, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Softplus, nn.Softsign, nn.LogSigmoid),
)
ANY_LEADING_DIMENSIONS = (nn.Linear, nn.Identity, nn.Dropout, nn.ReLU, nn.Sigmoid, nn.Tanh)
"""Layers of sequences [T, B, ...] as well as of examples. Exact types: a subclass may do anything else."""
_LAST_DIMENSIONS = (nn.Linear, nn.LayerNorm, nn.Embedding)
_SPATIAL = {
    **dict.fromkeys((nn.Conv1d, nn.ConvTranspose1d, nn.MaxPool1d, nn.AvgPool1d, nn.LPPool1d), 1),
    **dict.fromkeys((nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d), 1),
    **dict.fromkeys((nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d), 2),
    **dict.fromkeys((nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d), 2),
    **dict.fromkeys((nn.Conv3d, nn.ConvTranspose3d, nn.MaxPool3d, nn.AvgPool3d), 3),
    **dict.fromkeys((nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d), 3),
}
_OF_EXAMPLES = (
    *(nn.GroupNorm, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.Upsample, nn.PixelShuffle, nn.PixelUnshuffle),
    *(nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d, nn.Unfold, nn.Fold),
)

_POINTWISE = _words("""
    add sub mul div rsub neg pow exp exp2 expm1 log log1p log2 log10 sqrt rsqrt square abs sign sgn floor ceil
    round trunc relu relu6 elu selu celu gelu silu mish leaky_relu softplus sigmoid logsigmoid tanh hardtanh
    hardsigmoid hardswish erf softsign clamp clip clamp_min clamp_max maximum minimum fmod remainder gt ge lt le
    eq ne greater less greater_equal less_equal not_equal where logical_and logical_or logical_not logical_xor
    __and__ __or__ __xor__ __invert__ bitwise_and bitwise_or bitwise_not __rsub__ __rtruediv__ __pow__ __rpow__
    float double half bfloat16 bool int long to type type_as detach clone contiguous heaviside sin cos atan sinh
    cosh masked_fill zeros_like ones_like full_like zero_like fill_like rand_like randn_like bernoulli dropout
    lerp addcmul addcdiv isnan isinf isfinite nan_to_num logit reciprocal threshold data cpu cuda true_divide
    floor_divide __floordiv__
""")
_EXAMPLES = {
    **dict.fromkeys(_words("conv1d conv_transpose1d max_pool1d avg_pool1d adaptive_avg_pool1d adaptive_max_pool1d"), 1),
    **dict.fromkeys(_words("conv2d conv_transpose2d max_pool2d avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d"), 2),
    **dict.fromkeys(_words("conv3d conv_transpose3d max_pool3d avg_pool3d adaptive_avg_pool3d adaptive_max_pool3d"), 3),
    **dict.fromkeys(_words("dropout1d dropout2d dropout3d group_norm pixel_shuffle interpolate upsample"), 0),
}
_MAPPED = _words("""
    sum mean amax amin prod std var norm softmax log_softmax argmax argmin max min cumsum squeeze unsqueeze
    flatten unflatten transpose movedim permute swapaxes t cat stack chunk split unbind select narrow flip view
    reshape expand expand_as view_as bmm mm einsum T mT repeat tile pad topk sort matmul hstack vstack
    cosine_similarity normalize logsumexp count_nonzero any all diff outer ravel
""")


KNOWN_OPERATIONS = _POINTWISE | set(_EXAMPLES) | _MAPPED | {"linear"}
"""Operations that can be done at all steps together, by name."""


_COUNTING = _words("gt ge lt le eq ne greater less greater_equal less_equal not_equal __gt__ __ge__ __lt__ __le__")


def takes_counts(event: Event) -> bool:
    """Say whether an operation may take the number of the step, as a mask of padded sequences does: ``t < lengths``."""
    return isinstance(event.target, Operation) and event.name in _COUNTING


def way_of_layer(layer: nn.Module, rank: int) -> Way:
    """Return how a layer that keeps no state is done at all steps together.

    Args:
        layer: a layer of torch or of this package.
        rank: number of dimensions of what it takes at one step.
    """
    if isinstance(layer, BinaryLayer):
        known = leaves_forward(type(layer)) or getattr(layer, "step_mode", None) == "s"
        return "all" if known else "steps"
    kind = _kind(layer)
    if kind in _POINTWISE_LAYERS or kind in _LAST_DIMENSIONS:
        return "all"
    if kind in _SPATIAL:
        return "batch" if rank == _SPATIAL[kind] + 2 else "all"
    if isinstance(layer, _BatchNorm) and kind.__module__.startswith("torch.nn."):
        return "norm"
    if kind in (nn.Flatten, nn.Unflatten):
        dim: Any = layer.start_dim if isinstance(layer, nn.Flatten) else layer.dim
        return "batch" if isinstance(dim, int) and dim % max(rank, 1) > 0 else "steps"
    if kind in _OF_EXAMPLES:
        return "batch"
    if kind in (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d) and not layer.track_running_stats:
        return "batch"
    if isinstance(layer, (nn.Softmax, nn.LogSoftmax)) and kind in (nn.Softmax, nn.LogSoftmax):
        return "all" if layer.dim is not None and layer.dim < 0 else "steps"
    return "steps"


def _kind(layer: nn.Module) -> type[nn.Module]:
    """Return the class of torch that says what a layer does: a subclass with another constructor does the same."""
    kind = type(layer)
    if isinstance(getattr(layer, "parametrizations", None), nn.ModuleDict):
        kind = kind.__mro__[1]
    if kind.__module__.startswith("torch.nn."):
        return kind
    if getattr(layer, "step_mode", None) == "s":
        return computes_as(layer)
    base = next((base for base in kind.__mro__ if base.__module__.startswith("torch.nn.")), kind)
    own = [vars(part) for part in kind.__mro__ if part not in base.__mro__]
    harmless = {"__module__", "__init__", "__doc__", "__annotations__", "__static_attributes__", "__firstlineno__"}
    return base if all(set(part) <= harmless | {"__repr__", "extra_repr", "reset_parameters"} for part in own) else kind


def way_of_operation(operation: Operation, rank: int) -> Way:
    """Return how an operation of torch is done at all steps together.

    Args:
        operation: the operation.
        rank: number of dimensions of its first tensor at one step.
    """
    name = operation.name.removeprefix("_")  # as torch calls what has two forms, such as max_pool2d
    if operation.kind == "autograd":
        return "steps"
    if operation.name in _POINTWISE or name == "linear":
        return "all"
    if name in _EXAMPLES:
        return "batch" if _EXAMPLES[name] in (0, rank - 2) else "steps"
    return "mapped" if operation.name in _MAPPED else "steps"
