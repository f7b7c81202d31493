"""What `layer.weight` is: the weight in force, to read as a tensor, and to write to as to torch's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# What fills the target whatever was there before. Other writes (masks, clamps, products) say something only about the
# weights that they change.
_OVERWRITES = {
    "bernoulli_",
    "cauchy_",
    "constant_",
    "copy_",
    "exponential_",
    "fill_",
    "geometric_",
    "log_normal_",
    "normal_",
    "random_",
    "uniform_",
    "zero_",
}
_RESHAPES = {"as_strided_", "resize_", "resize_as_", "set_", "squeeze_", "swapaxes_", "swapdims_", "t_"}
_RESHAPES |= {"transpose_", "unsqueeze_"}
_HOOKS = {"register_hook", "register_post_accumulate_grad_hook", "retain_grad"}
PLACE_OF_THE_GRADIENT = (
    "The weight of a binary layer is computed from its latent: the gradient that learning has, and the place for "
    "hooks, is at `layer.latent`."
)


class WeightView(torch.Tensor):
    """A weight in force, scale included, as an ordinary tensor.

    A write to it, or to a part or an alias of it (``.data``, ``.detach()``, ``weight[0]``), starts the latent anew from
    the values written: ``torch.nn.init``, ``copy_`` and ``fill_`` all of it, masks, clamps and products the weights
    that they change. ``requires_grad`` is that of the latent, ``grad`` the gradient of the weight in force.
    What is read from it by arithmetic is the reader's own.

    ``owner`` is the layer it belongs to, so that ``b.weight = a.weight`` can tie two layers; a part of the weight has
    none.
    """

    owner: Any = None
    _layer: Any = None  # the layer that hears of writes
    _values: Any = None  # the whole weight, of which this is all or a part: the same memory

    @staticmethod
    def of(weight: Tensor, owner: object) -> WeightView:
        """Wrap a weight without copying it."""
        values = weight.detach()
        view = weight.as_subclass(WeightView)
        view.owner = view._layer = owner
        view._values = values
        return view

    def _part(self, tensor: Tensor) -> WeightView:
        part = tensor.as_subclass(WeightView)
        part._layer, part._values = self._layer, self._values
        return part

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _plain(self).clone().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        return memo.setdefault(id(self), _plain(self).clone())

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run any operation as on a plain tensor, and tell the layer of one that writes."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in ("__get__", "__set__"):
            name += "." + getattr(getattr(func, "__self__", None), "__name__", "")
        targets = [view for view in _targets(name, args, kwargs) if view._layer is not None]
        first = args[0] if args and isinstance(args[0], WeightView) and args[0]._layer is not None else None
        if first is not None and name == "__get__.grad":
            return None if first.owner is None else first.owner._gradient_of_weight()
        if first is not None and name in _HOOKS:
            raise RuntimeError(PLACE_OF_THE_GRADIENT)
        if first is not None and (name == "requires_grad_" or name.startswith("__set__.")):
            return _set(first, name, *args[1:], **kwargs)
        if targets:
            if name in _RESHAPES:
                raise RuntimeError(
                    f"The weight of a binary layer cannot change its shape, but `{name}` was called on it."
                )
            return _write(func, name, targets, args, kwargs)
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **kwargs)
        if first is None:
            return result
        if name in ("numpy", "__array__") and hasattr(result, "flags"):
            result.flags.writeable = False  # nobody would hear of a write
        if isinstance(result, (tuple, list)):
            return type(result)(_wrapped(first, part) for part in result) if type(result) in (tuple, list) else result
        return _wrapped(first, result)


def _plain(view: Tensor) -> Tensor:
    with torch._C.DisableTorchFunctionSubclass():
        return view.detach().as_subclass(Tensor)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _wrapped(view: WeightView, result: Any) -> Any:
    """Return a result as a part of the weight where it is one: the same memory."""
    if type(result) is not Tensor or torch.compiler.is_compiling() or result.layout != torch.strided:
        return result
    return view._part(result) if _memory(result) == _memory(view._values) else result


def _targets(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[WeightView]:
    """Return the weights that an operation writes to."""
    targets: list[Any] = [kwargs["out"]] if "out" in kwargs else []
    # `weight += 1` comes as `add_`, like all arithmetic.
    if name in ("__setitem__", "__ilshift__", "__irshift__") or (name.endswith("_") and not name.endswith("__")):
        named = (kwargs[key] for key in ("tensor", "input", "self") if key in kwargs)
        target = args[0] if args else next(named, None)
        targets += target if isinstance(target, (list, tuple)) else [target]
    return [target for target in targets if isinstance(target, WeightView)]


def _set(view: WeightView, name: str, value: Any = True, *_: Any, **kwargs: Any) -> Any:
    """Set an attribute of a weight: what the latent has goes to the latent."""
    value = kwargs.get("requires_grad", value)
    if name in ("requires_grad_", "__set__.requires_grad"):
        if view.owner is not None:
            view.owner.latent.requires_grad_(bool(value))
            return view
        # Of an alias, as of torch's `weight.data`, it says nothing about the weight: nn.Parameter(weight.data).
        own = _plain(view).clone().as_subclass(WeightView)
        with torch._C.DisableTorchFunctionSubclass():
            return own.requires_grad_(bool(value))
    if name == "__set__.grad":
        if value is not None or view.owner is None:
            raise RuntimeError(PLACE_OF_THE_GRADIENT)
        view.owner.latent.grad = None
        return None
    if name == "__set__.data":
        if view.owner is None:
            raise RuntimeError("Expected `.data` to be set on a whole weight, but got a part or an alias of one.")
        view.owner.weight = value
        return None
    with torch._C.DisableTorchFunctionSubclass():
        return setattr(view, name.partition(".")[2], value)


def _write(
    func: Callable[..., Any], name: str, targets: list[WeightView], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run an operation that writes, and start the latents of the weights it has written anew."""
    before = [view._values.clone() for view in targets]
    for view, values in zip(targets, before, strict=True):
        if name in _OVERWRITES or "out" in kwargs or getattr(func, "__module__", None) == "torch.nn.init":
            own = _plain(view)
            offset = own.storage_offset() - view._values.storage_offset()
            values.as_strided(own.size(), own.stride(), offset).fill_(float("nan"))  # equal to nothing
    with torch.no_grad():
        result = func(*map(_bare, args), **{key: _bare(value) for key, value in kwargs.items()})
    for view, values in zip(targets, before, strict=True):
        view._layer._written(view._values, values)
    return targets[0] if isinstance(result, Tensor) else result


def _bare(value: Any) -> Any:
    if isinstance(value, WeightView):
        return _plain(value)
    if type(value) in (list, tuple) and any(isinstance(part, WeightView) for part in value):
        return type(value)(map(_bare, value))
    return value


_BY_CHANCE = 1e-5
"""Share of zeros that nobody meant: uniform float32 numbers have one in 10 million."""


def describes_zeros(weight: Tensor) -> str | None:
    """Say how many weights are exactly zero, which binary weights cannot be, or ``None`` where none is meant to be."""
    zeros = int((weight == 0).sum())
    if zeros <= weight.numel() * _BY_CHANCE:
        return None
    return f"{zeros:,} of {weight.numel():,} weights are exactly 0 (pruned or masked), which a binary weight cannot be"
