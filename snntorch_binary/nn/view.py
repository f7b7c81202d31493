"""The read-only view that `layer.weight` is: the weight in force, which nobody can write to by mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_SAME_STORAGE = {
    "__get__",
    "__getitem__",
    "detach",
    "view",
    "reshape",
    "flatten",
    "t",
    "transpose",
    "permute",
    "squeeze",
}
_SAME_STORAGE |= {"unsqueeze", "movedim", "swapaxes", "narrow", "select", "expand", "view_as"}


# `weight += 1` comes as `add_`, like all arithmetic.
_IN_PLACE = {"__set__", "__setitem__", "__ilshift__", "__irshift__"}


def _writes(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if isinstance(kwargs.get("out"), WeightView):
        return True
    if name in _IN_PLACE:
        return isinstance(args[0], WeightView)
    if not name.endswith("_") or name.endswith("__"):
        return False
    target = args[0] if args else next((kwargs[key] for key in ("tensor", "input", "self") if key in kwargs), None)
    return isinstance(target, WeightView)


class WeightView(torch.Tensor):
    """A weight in force, scale included, as an ordinary tensor for reading; writing to it raises ``RuntimeError``.

    ``owner`` is the layer it belongs to, so that ``b.weight = a.weight`` can tie two layers; a part of the
    weight has none.
    """

    owner: Any = None

    @staticmethod
    def of(weight: Tensor, owner: object) -> WeightView:
        """Wrap a weight without copying it."""
        view = weight.as_subclass(WeightView)
        view.owner = owner
        return view

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run any operation as on a plain tensor, except one that would write."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if _writes(name, args, kwargs):
            # No TypeError: from `weight *= 2` torch turns one into a try at `weight = weight * 2`.
            raise RuntimeError(
                "The weight of a binary layer is computed from its latent and cannot be written in place; "
                "assign `layer.weight = tensor` to start from other weights, or change `layer.latent`."
            )
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **kwargs)
        if name in _SAME_STORAGE and type(result) is Tensor:
            return result.as_subclass(cls)
        return result
