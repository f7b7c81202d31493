"""What every layer with weights of one bit shares: a latent, a weight rule, a scale, and the weight in force."""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.nn.saved_latent import SavedLatent
from snntorch_binary.nn.scale import Scale, by_output, check_scale, fan_in_of, gain_like, like_weight, size_of_latents
from snntorch_binary.nn.view import PLACE_OF_THE_GRADIENT, WeightView, describes_zeros
from snntorch_binary.weights.draw import Draw, new_seed
from snntorch_binary.weights.registry import owner_of, register
from snntorch_binary.weights.rule import WeightRule


def check_rule(rule: object) -> WeightRule:
    """Return the rule, or say what a rule is.

    Raises:
        TypeError: it is not a weight rule.
    """
    if not isinstance(rule, WeightRule):
        raise TypeError(expected("weight", "a weight rule such as Sign() or Bernoulli()", repr(rule)))
    return rule


_NOT_TAKEN_APART = (
    "torch.nn.utils.prune, weight_norm, spectral_norm and parametrizations make a weight of other parameters, a binary "
    "layer makes it of its latent: use them on a real layer, or on snntorch_binary.freeze(net)."
)


class BinaryLayer(SavedLatent):
    r"""What every binary layer shares. It comes before torch's class among a layer's bases.

    The layer owns one real Parameter per synapse, its ``latent``: the real-valued weight of ST-BiSNN, the natural
    parameter w_r of Bayes-BiSNN. The attribute ``weight`` is scale · (±1), the effective weight now in force. The
    product is taken with ±1 and scaled afterwards: with spikes as input it is an exact integer. (In float16, whose sums
    would overflow, the scale goes into the weight first.) The bias is real and not scaled.

    The scale is 1/sqrt(fan_in) for ``"fan_in"``, that times a learnable ``gain`` per output channel for ``"channel"``,
    twice the mean magnitude of the latents for ``"latent"``, which learns with them (of rules such as :class:`Sign`,
    whose latents are real weights), or the number given.

    The weight is read like any tensor, and written to like torch's: an assignment, ``torch.nn.init``, ``copy_``, or a
    write through ``weight.data`` starts the latent anew from the values written, as the rule says.
    ``weight.requires_grad = False`` freezes the latent. ``weight.grad`` is the gradient of the weight in force until an
    optimizer steps; the gradient that learning has, and the place for hooks, is at ``latent``.

    Among ``named_parameters()`` and in a ``state_dict`` the latent has the name ``weight``, so that whoever chooses
    parameters by that word (weight decay, part of a checkpoint) finds it. Beside it stand ``bias``, ``gain`` (for
    ``"channel"``), ``prior_latent`` (for :class:`Bernoulli`: the prior's natural parameter, one for all or one per
    weight) and ``weight_draw``, the draw's seed and counter, by which a latent is told from a real-valued weight:
    without it ``weight`` is that of a full-precision checkpoint, and learning starts from it as the rule says.
    """

    draw: Draw
    scale: Scale
    bias: Any  # as torch declares it: a Parameter or None

    # ---- becoming binary -------------------------------------------------------------------------

    def _become_binary(self, rule: WeightRule, scale: Scale) -> None:
        """Turn the float weight this layer holds into a latent, in place.

        The Parameter stays the same object, so that an optimizer made before and a tied layer still hold it.
        """
        self.scale = check_scale(scale, rule)
        if scale == "channel":
            outputs = by_output(self, self.latent).shape[0]
            self.gain = nn.Parameter(torch.ones(outputs, device=self.latent.device, dtype=self.latent.dtype))
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

    def _written(self, weight: Tensor, before: Tensor) -> None:
        """Let learning start from the weights that were written, of those that differ from what was there before."""
        changed = weight != before
        with torch.no_grad():
            start = self.rule.initial_latent(weight).to(self.latent)
            self.latent.copy_(torch.where(changed, start, self.latent))
        self.warn_of_zeros(torch.where(changed, weight, 1.0))
        if self.gain is not None:
            self._set_gain(weight, by_output(self, changed).flatten(1).any(1))
        self.draw.forget()
        self.refresh()

    def _set_gain(self, weight: Tensor, outputs: Any) -> None:
        """Let the gains of outputs follow the magnitude of their weights."""
        assert self.gain is not None
        with torch.no_grad():
            self.gain[outputs] = gain_like(self, weight).to(self.gain)[outputs]

    def warn_of_zeros(self, weight: Tensor) -> None:
        """Warn where learning starts from weights that are zero."""
        free = getattr(self, "zeros_are_masked", False) or not self.rule.takes_signs
        zeros = None if free else describes_zeros(weight)
        if zeros is not None:
            warnings.warn(f"{zeros}: they start as +1.", UserWarning, stacklevel=4)

    def _tie(self, other: Any) -> None:
        """Share latent, prior and draw with another layer."""
        if other.latent.shape != self.latent.shape:
            raise ValueError(expected("weight", f"of shape {tuple(self.latent.shape)}", tuple(other.latent.shape)))
        if other is self:
            return
        self._parameters["weight"] = other.latent
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
    def latent(self) -> nn.Parameter:
        """The real Parameter that learns, of the weight's shape."""
        latent = self.__dict__["_parameters"].get("weight")
        if latent is not None:
            return latent
        if "draw" in self.__dict__:
            raise RuntimeError(f"The weight of a {type(self).__name__} has been taken away. {_NOT_TAKEN_APART}")
        raise AttributeError("latent")

    @property
    def fan_in(self) -> int:
        """Number of inputs that one output sums over; of a transposed convolution with a stride, on average."""
        return fan_in_of(self, self.latent)

    @property
    def weight(self) -> Tensor:
        """The effective weight in force, scale included; a write to it starts the latent anew."""
        if "draw" not in self.__dict__:
            raise AttributeError("weight")  # whereupon torch gives the Parameter, which is real as yet
        try:
            return WeightView.of(self._scaled_weight(), self)
        except AttributeError as error:  # for the same reason
            raise RuntimeError(f"The weight of a {type(self).__name__} is not to be had: {error}") from error

    def _scaled_weight(self) -> Tensor:
        scale = self._scale()
        if isinstance(scale, Tensor):
            scale = like_weight(self, scale, self.latent)
        return self.in_force() * scale

    def _gradient_of_weight(self) -> Tensor | None:
        """Return the gradient of the weight in force, scale included.

        Raises:
            RuntimeError: that of the latent is another one by now: scaled, clipped, or of weights that were in force.
        """
        gradient, held = self.latent.grad, self.draw.held
        if gradient is None:
            return None
        own = None if held is None else held.gradient
        if own is None or held is None:
            raise RuntimeError(PLACE_OF_THE_GRADIENT)
        if self.scale == "latent":  # the latent's gradient has a part that comes by the scale
            return own / like_weight(self, self._scale().detach(), self.latent)  # type: ignore[union-attr]  # a tensor
        passed = own if held.derivative is None else own * held.derivative
        if not torch.allclose(passed.to(gradient), gradient, rtol=1e-4, atol=1e-4 * float(gradient.abs().mean())):
            raise RuntimeError(PLACE_OF_THE_GRADIENT)
        scale = self._scale()
        if isinstance(scale, Tensor):
            scale = like_weight(self, scale.detach(), self.latent)
        return own / scale

    def __setattr__(self, name: str, value: Any) -> None:
        # Module.__setattr__ bypasses properties, so `weight` and `latent` are routed here.
        if name in ("weight", "latent"):
            self._set_weight(name, value)
            return
        super().__setattr__(name, value)
        # Lightning sets the mode of modules after validation by this attribute, without `train()`.
        if name == "training" and "draw" in self.__dict__:
            self.refresh()

    def _set_weight(self, name: str, value: Any) -> None:
        started = "draw" in self.__dict__
        if started and value is self._parameters.get("weight"):
            return  # `layer.latent -= step`, whose content says that it has moved; a name of `named_parameters()`
        if started and hasattr(value, "device_mesh"):
            raise TypeError(
                "Expected parameters that every process has whole, as distributed data parallel keeps them, but got "
                "shards: a binary layer makes its weights of the whole latent."
            )
        if name == "weight" and started and not self.__dict__.get("_loading", False):
            if self.gain is None and sys._getframe(2).f_globals.get("__name__") == "torch.nn.utils.fusion":
                raise TypeError(
                    "Expected a layer of real weights to fold a batch norm into, but got a binary one, whose weights "
                    "have one magnitude: use snntorch_binary.freeze(net) first."
                )
            if isinstance(value, WeightView) and value.owner is not None:
                self._tie(value.owner)
            else:
                self._start_from(value)
                self.warn_of_zeros(value.detach())
                if self.gain is not None:
                    self._set_gain(value, slice(None))
            self.refresh()
            return
        if started and not isinstance(value, nn.Parameter):
            raise TypeError(expected(name, "a Parameter", type(value).__name__))
        self._parameters["weight"] = value
        if started:
            self._rebind()

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Add a parameter, as torch does it; refuse the parts that others make of a weight they have taken away."""
        if name.startswith("weight_") and "draw" in self.__dict__:
            self._parameters.setdefault("weight", self.draw.latent)  # taken away just before
            raise TypeError(f"Expected a layer of real weights, but got a {type(self).__name__}. {_NOT_TAKEN_APART}")
        super().register_parameter(name, param)

    def __delattr__(self, name: str) -> None:
        if name == "weight" and "draw" in self.__dict__:
            raise TypeError(f"Expected a layer of real weights, but got a {type(self).__name__}. {_NOT_TAKEN_APART}")
        super().__delattr__(name)

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
            self.draw.refresh(self.latent, self.training)

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

    # ---- starting --------------------------------------------------------------------------------

    def reset_parameters(self) -> None:
        """Start again: torch's default initialisation, from which the rule makes its latent."""
        weight = self.__dict__["_parameters"]["weight"]
        fan_in = max(1, weight.shape[1:].numel()) if weight.shape[0] else 1
        if weight.numel():
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
        if self.bias is not None:
            nn.init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))
        if "draw" in self.__dict__:
            self._start_from(weight)
            if self.gain is not None:
                nn.init.ones_(self.gain)
            self.refresh()

    # ---- the product -----------------------------------------------------------------------------

    def _scale(self) -> float | Tensor:
        fan_in_scale = 1 / math.sqrt(self.fan_in)
        if self.gain is not None:
            return self.gain * fan_in_scale
        if self.scale == "latent":
            return size_of_latents(self, self.rule, self.latent)
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
