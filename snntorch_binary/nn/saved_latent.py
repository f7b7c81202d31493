"""What a state dict keeps of a latent, and telling one from a real-valued weight: both have the name `weight`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from snntorch_binary.nn.scale import gain_like
from snntorch_binary.weights.rule import WeightRule

if TYPE_CHECKING:
    from snntorch_binary.weights.draw import Draw

# A tensor that has taken a latent's place is a latent too (an average, a copy in half precision) if its mean size is at
# least half of the latent's, and a real-valued weight if it is less than a tenth: torch starts weights at .01 to .3,
# natural parameters start at 3.
_ALIKE, _UNLIKE = 0.5, 0.1


def marks_of(latent: Tensor) -> list[int]:
    """Return what a latent is known again by: a sum over its bits in float32, and its mean size in units of 1e-9."""
    plain = type(latent) in (Tensor, nn.Parameter) and not latent.is_meta
    if not plain or not latent.is_floating_point() or not latent.numel():
        return [0, 0]
    numbers = latent.detach().float().contiguous()
    mean = float(numbers.abs().mean())
    return [int(numbers.view(torch.int32).sum(dtype=torch.int64)), int(1e9 * mean) if mean < 1e9 else 0]


def is_latent(weight: Tensor, draw: Tensor | None, rule: WeightRule) -> bool | None:
    """Say whether a tensor with the name ``weight`` is a latent, or ``None`` where it cannot be told.

    Args:
        weight: the tensor.
        draw: what was saved as ``weight_draw`` beside it: seed, counter, and :func:`marks_of` the latent. There is
            none, ``None``, beside a weight in full precision.
        rule: of the layer that it is for.
    """
    if draw is None:
        return False
    if draw.dtype != torch.int64 or draw.numel() != 4 or not int(draw[2]):
        return True  # somebody has computed with a whole state dict, or says that the latent has moved
    bits, size = marks_of(weight)
    if int(draw[2]) == bits or torch.equal(rule.initial_latent(weight), weight):
        return True  # the very one, or both readings are one
    ratio = size / max(int(draw[3]), 1)
    return True if ratio >= _ALIKE else False if ratio <= _UNLIKE else None


class SavedLatent(nn.Module):
    """Saving and loading of a binary layer, whose state dict has the latent, its prior, the gain and the draw."""

    gain: nn.Parameter | None
    prior_latent: Tensor
    draw: Draw

    if TYPE_CHECKING:  # what the layer has

        @property
        def latent(self) -> nn.Parameter:
            """The latent."""

        @property
        def rule(self) -> WeightRule:
            """The weight rule."""

        def refresh(self) -> None:
            """Have the weight in force ready."""

        def warn_of_zeros(self, weight: Tensor) -> None:
            """Warn of weights that are zero."""

        def _rebind(self) -> None: ...

    @property
    def weight_draw(self) -> Tensor:
        """What a state dict keeps of the draw, int64 [4].

        Its seed and counter; a sum over the latent's bits, and its mean size in units of 1e-9, by which the latent is
        known again.
        """
        self.refresh()  # takes notice of an update that nobody has looked at yet
        return torch.tensor([self.draw.seed, self.draw.counter, *marks_of(self.latent)], dtype=torch.int64)

    def set_draw(self, state: Tensor) -> None:
        """Take up the draw where a checkpoint left it: its seed and counter come first in ``state``."""
        self.draw.seed, self.draw.counter = (int(value) for value in state[:2])

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "weight_draw"] = self.weight_draw

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        key = prefix + "weight"
        draw = state_dict.pop(prefix + "weight_draw", None)
        older = state_dict.pop(prefix + "_extra_state", None)  # the name of the draw in earlier files
        latent = state_dict.pop(prefix + "latent", None)
        weight = state_dict.get(key)
        if latent is not None:
            state_dict[key] = latent
        elif weight is not None and older is None:
            known = is_latent(weight, draw, self.rule)
            if known is None:
                error_msgs.append(
                    f"The values of {key!r} are not those that '{key}_draw' was saved with: drop '{key}_draw' if they "
                    f"are real-valued weights to start from, or name them '{prefix}latent' if they are latents."
                )
                return
            if not known:
                self._load_weight(state_dict, prefix, weight)
        prior = state_dict.get(prefix + "prior_latent")
        if prior is not None and prior.shape != self.prior_latent.shape and prior.shape in ((), self.latent.shape):
            self.prior_latent = self.prior_latent.new_empty(prior.shape)
        before = self.latent
        self.__dict__["_loading"] = True
        try:
            super()._load_from_state_dict(
                state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
            )
        finally:
            del self.__dict__["_loading"]
        draw = older if draw is None else draw
        if draw is not None and draw.numel() in (2, 4):
            self.set_draw(draw)
        elif draw is not None:
            error_msgs.append(f"Expected '{key}_draw' to be 4 integers, but got shape {tuple(draw.shape)}.")
        self.draw.forget()
        if self.latent is not before:  # loaded with assign=True
            self._rebind()
        self.refresh()

    def _load_weight(self, state_dict: dict[str, Any], prefix: str, weight: Tensor) -> None:
        """Make latents of a real-valued weight in a state dict."""
        state_dict[prefix + "weight"] = self.rule.initial_latent(weight)
        fits = weight.shape == self.latent.shape
        if fits:
            self.warn_of_zeros(weight)
        if "prior_latent" not in self._non_persistent_buffers_set:
            state_dict.setdefault(prefix + "prior_latent", self.prior_latent)
        if self.gain is not None:
            state_dict.setdefault(prefix + "gain", gain_like(self, weight) if fits else self.gain)
