"""Layers whose weights are one bit: torch's Linear and Conv, with a latent, a weight rule and a scale."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.kernels.product import scaled, scaled_linear
from snntorch_binary.nn.view import WeightView
from snntorch_binary.weights.draw import Draw, new_seed
from snntorch_binary.weights.registry import owner_of, register
from snntorch_binary.weights.rule import WeightRule
from snntorch_binary.weights.sign import Sign

Scale = Literal["fan_in", "channel"] | float


def check_rule(rule: object) -> WeightRule:
    """Return the rule, or say what a rule is.

    Raises:
        TypeError: it is not a weight rule.
    """
    if not isinstance(rule, WeightRule):
        raise TypeError(expected("weight", "a weight rule such as Sign() or Bernoulli()", repr(rule)))
    return rule


def check_scale(scale: object) -> Scale:
    """Return the scale, or say what a scale is.

    Raises:
        ValueError: it is neither a known name nor a positive number.
    """
    number = isinstance(scale, (int, float)) and not isinstance(scale, bool)
    if scale in ("fan_in", "channel") or (number and 0 < scale < math.inf):  # type: ignore[operator]
        return scale  # type: ignore[return-value]
    raise ValueError(expected("scale", "'fan_in', 'channel' or a positive float", repr(scale)))


def gain_like(weight: Tensor) -> Tensor:
    """Return each output's gain with which scale · (±1) has the mean magnitude of real-valued weights."""
    weight = weight.detach()
    gain = weight.flatten(1).abs().mean(1) * max(1, weight[0].numel()) ** 0.5
    return torch.where(gain > 0, gain, torch.ones_like(gain))


class BinaryLayer(nn.Module):
    r"""What every binary layer shares. It comes before torch's class among a layer's bases.

    The layer owns one real Parameter ``latent`` per synapse: the real-valued weight of ST-BiSNN, the natural parameter
    w_r of Bayes-BiSNN. ``weight`` is read-only: scale · (±1), the effective weight now in force. The product is taken
    with ±1 and scaled afterwards: with spikes as input it is an exact integer. The bias is real and not scaled.

    The scale is 1/sqrt(fan_in) for ``"fan_in"``, that times a learnable ``gain`` per output channel for ``"channel"``,
    or the number given.

    State: ``latent``, ``bias``, ``gain`` (for ``"channel"``), ``prior_latent`` (for :class:`Bernoulli`: the prior's
    natural parameter, one for all or one per weight) and the draw's seed and counter. A full-precision checkpoint, with
    the key ``weight``, loads too: learning then starts from it as the rule says.
    """

    latent: nn.Parameter
    gain: nn.Parameter | None
    prior_latent: Tensor
    draw: Draw
    scale: Scale
    bias: Any  # as torch declares it: a Parameter or None

    # ---- becoming binary -------------------------------------------------------------------------

    def _become_binary(self, rule: WeightRule, scale: Scale) -> None:
        """Turn the float weight this layer holds under the name ``weight`` or ``latent`` into a latent, in place.

        The Parameter stays the same object, so that an optimizer made before and a tied layer still hold it.
        """
        parameters = self.__dict__["_parameters"]
        if "weight" in parameters:
            items = [("latent" if name == "weight" else name, value) for name, value in parameters.items()]
            parameters.clear()
            parameters.update(items)
        self.scale = check_scale(scale)
        if scale == "channel":
            self.gain = nn.Parameter(
                torch.ones(self.latent.shape[0], device=self.latent.device, dtype=self.latent.dtype)
            )
        else:
            self.register_parameter("gain", None)
        twin = owner_of(self.latent)
        if twin is not None:
            self._tie(twin)
        else:
            prior = rule.prior_latent
            self.register_buffer(
                "prior_latent",
                torch.tensor(prior or 0.0, device=self.latent.device, dtype=self.latent.dtype),
                persistent=prior is not None,
            )
            self.draw = Draw(rule, new_seed())
            self._start_from(self.latent)
        register(self)
        self.refresh()

    def _start_from(self, weight: Tensor) -> None:
        """Let learning start from a real-valued weight."""
        if not isinstance(weight, Tensor):
            raise TypeError(expected("weight", "a tensor", type(weight).__name__))
        if weight.shape != self.latent.shape:
            raise ValueError(expected("weight", f"of shape {tuple(self.latent.shape)}", tuple(weight.shape)))
        with torch.no_grad():
            self.latent.copy_(self.rule.initial_latent(weight.detach()))
        self.draw.forget()

    def _tie(self, other: Any) -> None:
        """Share latent, prior and draw with another layer."""
        if other.latent.shape != self.latent.shape:
            raise ValueError(expected("weight", f"of shape {tuple(self.latent.shape)}", tuple(other.latent.shape)))
        if other is self:
            return
        nn.Module.__setattr__(self, "latent", other.latent)
        self._buffers.pop("prior_latent", None)
        persistent = "prior_latent" not in other._non_persistent_buffers_set
        self.register_buffer("prior_latent", other.prior_latent, persistent=persistent)
        self.draw = other.draw

    # ---- what is in force ------------------------------------------------------------------------

    @property
    def rule(self) -> WeightRule:
        """The weight rule."""
        return self.draw.rule

    @property
    def fan_in(self) -> int:
        """Number of inputs that one output sums over."""
        return max(1, self.latent[0].numel())

    @property
    def weight(self) -> Tensor:
        """The effective weight in force, scale included; reading only."""
        scale = self._scale()
        if isinstance(scale, Tensor):
            scale = scale.reshape(-1, *(1,) * (self.latent.dim() - 1))
        return WeightView.of(self.in_force() * scale, self)

    def __setattr__(self, name: str, value: Any) -> None:
        # Module.__setattr__ bypasses properties, so `weight` is routed here.
        if name == "weight" and "draw" in self.__dict__:
            if isinstance(value, WeightView) and value.owner is not None:
                self._tie(value.owner)
            else:
                self._start_from(value)
            self.refresh()
            return
        before = self._parameters.get("latent") if name == "latent" else None
        super().__setattr__("latent" if name == "weight" else name, value)
        # Lightning sets the mode of modules after validation by this attribute, without `train()`.
        if name == "training" and "draw" in self.__dict__:
            self.refresh()
        # `layer.latent -= step` assigns the Parameter that is there: its version says that it has moved.
        if name == "latent" and "draw" in self.__dict__ and isinstance(value, nn.Parameter) and value is not before:
            self._rebind()

    def _rebind(self) -> None:
        """After the latent has become another object: share the draw of its owner, or have one alone."""
        twin = owner_of(self.latent, other_than=self)
        if twin is not None:
            self.draw = twin.draw
        else:
            draw = Draw(self.draw.rule, self.draw.seed)
            draw.counter, draw.paper_exact = self.draw.counter, self.draw.paper_exact
            self.draw = draw
        self.refresh()

    def in_force(self) -> Tensor:
        """Return the unscaled weight in force, in [-1, +1], as a node of the autograd graph."""
        if torch.compiler.is_compiling():
            weight = self.draw.compiled_weight(self.latent)
            if weight is not None:
                return weight
        if torch._C._are_functorch_transforms_active():
            return self.draw.functional_weight(self.latent, self.training)
        return self.draw.weight(self.latent, self.training)

    def refresh(self) -> None:
        """Have the weight in force ready now, for compiled graphs that only read it."""
        if not self.latent.is_meta:
            self.draw.weight(self.latent, self.training)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        self.draw.forget()
        self.refresh()
        return self

    def __getstate__(self) -> dict[str, Any]:
        self.refresh()
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        register(self)
        self.refresh()

    # ---- starting and loading --------------------------------------------------------------------

    def reset_parameters(self) -> None:
        """Start again: torch's default initialisation, from which the rule makes its latent."""
        parameters = self.__dict__["_parameters"]
        weight = parameters.get("latent")
        fan_in = max(1, weight[0].numel()) if weight.shape[0] else 1
        if weight.numel():
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
        if self.bias is not None:
            nn.init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))
        if "draw" in self.__dict__:
            self._start_from(weight)
            if self.gain is not None:
                nn.init.ones_(self.gain)
            self.refresh()

    def get_extra_state(self) -> Tensor:
        """Return the draw's seed and counter, int64."""
        self.refresh()  # takes notice of an update that nobody has looked at yet
        return torch.tensor([self.draw.seed, self.draw.counter], dtype=torch.int64)

    def set_extra_state(self, state: Tensor) -> None:
        """Take up the draw where a checkpoint left it."""
        self.draw.seed, self.draw.counter = (int(value) for value in state)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        *args: Any,
    ) -> None:
        if prefix + "weight" in state_dict and prefix + "latent" not in state_dict:
            weight = state_dict.pop(prefix + "weight")
            state_dict[prefix + "latent"] = self.rule.initial_latent(weight)
            state_dict.setdefault(prefix + "_extra_state", self.get_extra_state())
            if "prior_latent" not in self._non_persistent_buffers_set:
                state_dict.setdefault(prefix + "prior_latent", self.prior_latent)
            if self.gain is not None:
                fits = weight.shape == self.latent.shape
                state_dict.setdefault(prefix + "gain", gain_like(weight) if fits else self.gain)
        prior = state_dict.get(prefix + "prior_latent")
        if prior is not None and prior.shape != self.prior_latent.shape and prior.shape in ((), self.latent.shape):
            self.prior_latent = self.prior_latent.new_empty(prior.shape)
        before = self.latent
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, *args)
        self.draw.forget()
        if self.latent is not before:  # loaded with assign=True
            self._rebind()
        self.refresh()

    # ---- the product -----------------------------------------------------------------------------

    def _scale(self) -> float | Tensor:
        fan_in_scale = 1 / math.sqrt(self.fan_in)
        if self.gain is not None:
            return self.gain * fan_in_scale
        return fan_in_scale if self.scale == "fan_in" else float(self.scale)

    def _check_input(self, input: Tensor, size: int, channel_dim: int) -> None:
        name = "in_features" if channel_dim == -1 else "in_channels"
        if not input.is_floating_point():
            raise TypeError(expected("input", "a floating-point tensor", input.dtype))
        if input.dim() < -channel_dim or input.shape[channel_dim] != size:
            shape = tuple(input.shape)
            raise ValueError(expected("input", f"of size {size} ({name}) in dimension {channel_dim}", f"shape {shape}"))

    def extra_repr(self) -> str:
        """Say what torch's layer says, and the rule and scale."""
        return f"{super().extra_repr()}, weight={self.rule!r}, scale={self.scale!r}"


class BinaryLinear(BinaryLayer, nn.Linear):  # type: ignore[override]
    r"""A fully connected layer with weights in {-1, +1}: y = scale · (x W\ :sup:`T`) + b.

    Args:
        in_features: size of each input, N_in.
        out_features: size of each output, N_out.
        bias: learn a real bias.
        device: as in torch.
        dtype: as in torch.
        weight: the weight rule, :class:`Sign` (ST-BiSNN) or :class:`Bernoulli` (Bayes-BiSNN).
        scale: ``"fan_in"`` for 1/sqrt(N_in), ``"channel"`` for that times a learnable gain per output, or a number.

    Shape:
        input [..., N_in] -> output [..., N_out]; so [T, B, N_in], all time steps at once, is one product.

    Raises:
        TypeError: ``weight`` is not a rule, or the input is not floating point.
        ValueError: ``scale`` or the input's shape is wrong.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> layer = sb.nn.BinaryLinear(4, 3, weight=sb.Sign())
        >>> layer(torch.ones(10, 2, 4)).shape
        torch.Size([10, 2, 3])
        >>> layer.weight.abs().unique().tolist()
        [0.5]
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        weight: WeightRule | None = None,
        scale: Scale = "fan_in",
    ) -> None:
        rule, scale = check_rule(Sign() if weight is None else weight), check_scale(scale)
        super().__init__(in_features, out_features, bias, device, dtype)
        self._become_binary(rule, scale)

    def forward(self, input: Tensor) -> Tensor:
        """Return scale · (input Wᵀ) + bias."""
        self._check_input(input, self.in_features, -1)
        return scaled_linear(input, self.in_force(), self._scale(), self.bias)


class _BinaryConv(BinaryLayer):
    """What the three convolutions share; [T, B, C, ...], one dimension more than torch takes, is folded."""

    spatial: int
    in_channels: int

    def __init__(self, *args: Any, weight: WeightRule | None = None, scale: Scale = "fan_in", **kwargs: Any) -> None:
        rule, scale = check_rule(Sign() if weight is None else weight), check_scale(scale)
        super().__init__(*args, **kwargs)
        self._become_binary(rule, scale)

    def forward(self, input: Tensor) -> Tensor:
        """Return scale · (input * W) + bias for [T, B, C, ...], [B, C, ...] or [C, ...]."""
        self._check_input(input, self.in_channels, -1 - self.spatial)
        steps_and_batch = input.shape[:2] if input.dim() == self.spatial + 3 else None
        if steps_and_batch is not None:
            input = input.flatten(0, 1)
        product: Tensor = self._conv_forward(input, self.in_force(), None)  # type: ignore[operator]
        scale, bias, by_channel = self._scale(), self.bias, (-1, *(1,) * self.spatial)
        if isinstance(scale, Tensor):
            scale = scale.reshape(by_channel)
        output = scaled(product, scale, bias if bias is None else bias.reshape(by_channel))
        return output if steps_and_batch is None else output.unflatten(0, steps_and_batch)


class BinaryConv1d(_BinaryConv, nn.Conv1d):  # type: ignore[override]
    """A 1-D convolution with weights in {-1, +1}; ``torch.nn.Conv1d``'s arguments, then ``weight=`` and ``scale=``.

    Shape:
        [T, B, C, L], [B, C, L] or [C, L] to the same with output channels. fan_in is C/groups · kernel size.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> sb.nn.BinaryConv1d(2, 4, 3, padding=1, weight=sb.Bernoulli())(torch.ones(5, 1, 2, 8)).shape
        torch.Size([5, 1, 4, 8])
    """

    spatial = 1


class BinaryConv2d(_BinaryConv, nn.Conv2d):  # type: ignore[override]
    """A 2-D convolution with weights in {-1, +1}; ``torch.nn.Conv2d``'s arguments, then ``weight=`` and ``scale=``.

    Shape:
        [T, B, C, H, W], [B, C, H, W] or [C, H, W] to the same with output channels.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> sb.nn.BinaryConv2d(2, 4, 3, padding=1)(torch.ones(5, 1, 2, 8, 8)).shape
        torch.Size([5, 1, 4, 8, 8])
    """

    spatial = 2


class BinaryConv3d(_BinaryConv, nn.Conv3d):  # type: ignore[override]
    """A 3-D convolution with weights in {-1, +1}; ``torch.nn.Conv3d``'s arguments, then ``weight=`` and ``scale=``.

    Shape:
        [T, B, C, D, H, W], [B, C, D, H, W] or [C, D, H, W] to the same with output channels.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> sb.nn.BinaryConv3d(1, 2, 3)(torch.ones(1, 1, 4, 4, 4)).shape
        torch.Size([1, 2, 2, 2, 2])
    """

    spatial = 3


BINARY_TWINS: dict[type[nn.Module], type[BinaryLayer]] = {
    nn.Linear: BinaryLinear,
    nn.Conv1d: BinaryConv1d,
    nn.Conv2d: BinaryConv2d,
    nn.Conv3d: BinaryConv3d,
}
"""torch's layers and their binary twins."""
