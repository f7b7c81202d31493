"""torch's Linear, Conv and ConvTranspose layers with weights of one bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snntorch_binary.kernels.convolution import event_convolution
from snntorch_binary.kernels.pooled_convolution import pooled_event_convolution
from snntorch_binary.kernels.product import scaled, scaled_linear
from snntorch_binary.nn.binary_layer import BinaryLayer as BinaryLayer
from snntorch_binary.nn.binary_layer import check_rule as check_rule
from snntorch_binary.nn.scale import Scale, check_scale, sums_in_half
from snntorch_binary.weights.rule import WeightRule
from snntorch_binary.weights.sign import Sign


class BinaryLinear(BinaryLayer, nn.Linear):  # type: ignore[override]
    r"""A fully connected layer with weights in {-1, +1}: y = scale · (x W\ :sup:`T`) + b.

    Args:
        in_features: size of each input, N_in.
        out_features: size of each output, N_out.
        bias: learn a real bias.
        device: as in torch.
        dtype: as in torch.
        weight: the weight rule, :class:`Sign` (ST-BiSNN) or :class:`Bernoulli` (Bayes-BiSNN).
        scale: ``"fan_in"`` for 1/sqrt(N_in), ``"channel"`` for that times a learnable gain per output, ``"latent"`` for
            twice the mean magnitude of the latents, or a number. Without one, the rule's.

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
        scale: Scale | None = None,
    ) -> None:
        rule = check_rule(Sign() if weight is None else weight)
        scale = check_scale(scale, rule)
        super().__init__(in_features, out_features, bias, device, dtype)
        self._become_binary(rule, scale)

    def forward(self, input: Tensor) -> Tensor:
        """Return scale · (input Wᵀ) + bias."""
        self._check_input(input, self.in_features, -1)
        if sums_in_half(input):
            return F.linear(input, self._scaled_weight(), self.bias)
        return scaled_linear(input, self.in_force(), self._scale(), self.bias)


class _AnyBinaryConv(BinaryLayer):
    """What all convolutions share; [T, B, C, ...], one dimension more than torch takes, is folded."""

    spatial: int
    in_channels: int

    def __init__(self, *args: Any, weight: WeightRule | None = None, scale: Scale | None = None, **kwargs: Any) -> None:
        rule = check_rule(Sign() if weight is None else weight)
        scale = check_scale(scale, rule)
        super().__init__(*args, **kwargs)
        self._become_binary(rule, scale)

    def _convolved(
        self,
        input: Tensor,
        convolve: Callable[[Tensor, Tensor, Tensor | None], Tensor],
        of_events: Callable[[Tensor, Tensor], Tensor | None] | None = None,
    ) -> Tensor:
        """Return what a function of input, weight and bias makes of the weight in force, scale and bias.

        Args:
            input: the input.
            convolve: the function.
            of_events: of input and weight in force, the whole result where the input is few spikes, else ``None``.
        """
        self._check_input(input, self.in_channels, -1 - self.spatial)
        steps_and_batch = input.shape[:2] if input.dim() == self.spatial + 3 else None
        if steps_and_batch is not None:
            input = input.flatten(0, 1)
        if sums_in_half(input):
            output = convolve(input, self._scaled_weight(), self.bias)
        else:
            weight = self.in_force()
            found = None if of_events is None else of_events(input, weight)
            output = self._scaled(convolve(input, weight, None)) if found is None else found
        return output if steps_and_batch is None else output.unflatten(0, steps_and_batch)

    def _scaled(self, product: Tensor) -> Tensor:
        scale, bias, by_channel = self._scale(), self.bias, (-1, *(1,) * self.spatial)
        if isinstance(scale, Tensor):
            scale = scale.reshape(by_channel)
        return scaled(product, scale, bias if bias is None else bias.reshape(by_channel))


class _BinaryConv(_AnyBinaryConv):
    """What the three convolutions share."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: str | tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    padding_mode: Literal["zeros", "reflect", "replicate", "circular"]

    def forward(self, input: Tensor, any_order: bool = False) -> Tensor:
        """Return scale · (input * W) + bias for [T, B, C, ...], [B, C, ...] or [C, ...].

        Args:
            input: the input.
            any_order: whether the result may lie channels-last in memory, which is faster for few spikes.
        """

        def of_events(images: Tensor, weight: Tensor) -> Tensor | None:
            return self._of_events(images, weight, any_order)

        return self._convolved(input, self._conv_forward, of_events)  # type: ignore[arg-type]

    def pooled(self, input: Tensor, window: tuple[int, int], step: tuple[int, int]) -> Tensor | None:
        """Return the max pooling of what :meth:`forward` returns, channels-last; ``None`` where that is not faster.

        Args:
            input: [T, B, C, H, W] or [B, C, H, W], which is faster where it is few spikes.
            window: height and width of what is pooled.
            step: from one window to the next.
        """
        images = input.flatten(0, 1) if input.dim() == self.spatial + 3 else input
        padding = self._padding_of_events(images)
        if self.spatial != 2 or padding is None or sums_in_half(images):
            return None
        self._check_input(input, self.in_channels, -1 - self.spatial)
        geometry = ((self.stride[0], self.stride[1]), (padding[0], padding[1]))
        layer = (self.in_force(), self._scale(), self.bias)
        output = pooled_event_convolution(images, *layer, *geometry, window, step)
        return output if output is None or images is input else output.unflatten(0, input.shape[:2])

    def _padding_of_events(self, input: Tensor) -> tuple[int, ...] | None:
        """Return the padding with zeros where the geometry is one that lists of spikes are taken in."""
        if self.spatial == 3 or input.dim() != self.spatial + 2:
            return None
        if self.groups != 1 or self.padding_mode != "zeros" or set(self.dilation) != {1}:
            return None
        if self.padding == "same" and any(taps % 2 == 0 for taps in self.kernel_size):
            return None  # another border on either side
        if isinstance(self.padding, str):
            return tuple((taps - 1) // 2 if self.padding == "same" else 0 for taps in self.kernel_size)
        return self.padding

    def _of_events(self, input: Tensor, weight: Tensor, any_order: bool) -> Tensor | None:
        """Return the result where the input is few spikes."""
        padding = self._padding_of_events(input)
        if padding is None:
            return None
        any_order = any_order or _lies_channels_last(input) or _lies_channels_last(weight)  # as torch's own does
        if self.spatial == 2:
            geometry = ((self.stride[0], self.stride[1]), (padding[0], padding[1]))
            output = event_convolution(input, weight, self._scale(), self.bias, *geometry)
        else:
            geometry = ((1, self.stride[0]), (0, padding[0]))
            output = event_convolution(input.unsqueeze(2), weight.unsqueeze(2), self._scale(), self.bias, *geometry)
            output = None if output is None else output.squeeze(2)
        return output if any_order or output is None else output.contiguous()


def _lies_channels_last(maps: Tensor) -> bool:
    return maps.dim() == 4 and maps.is_contiguous(memory_format=torch.channels_last) and not maps.is_contiguous()


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


class _BinaryConvTranspose(_AnyBinaryConv):
    """What the three transposed convolutions share."""

    _transpose: ClassVar[Callable[..., Tensor]]

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Return scale · (input * W) + bias; ``output_size`` as of torch's layer."""
        size = None if output_size is None else list(output_size)[-self.spatial :]

        def convolve(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            geometry: tuple[Any, ...] = (self.stride, self.padding, self.kernel_size, self.spatial, self.dilation)
            more = self._output_padding(input, size, *geometry)  # type: ignore[operator]
            options = (self.stride, self.padding, more, self.groups, self.dilation)
            return type(self)._transpose(input, weight, bias, *options)

        return self._convolved(input, convolve)


class BinaryConvTranspose1d(_BinaryConvTranspose, nn.ConvTranspose1d):  # type: ignore[override]
    """A 1-D transposed convolution with weights in {-1, +1}; torch's arguments, then ``weight=`` and ``scale=``.

    Shape:
        [T, B, C, L], [B, C, L] or [C, L] to the same with output channels. fan_in is C/groups · kernel size / stride,
        as many inputs as an output sums over on average.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> sb.nn.BinaryConvTranspose1d(2, 4, 2, stride=2, weight=sb.Bernoulli())(torch.ones(5, 1, 2, 8)).shape
        torch.Size([5, 1, 4, 16])
    """

    spatial = 1
    _transpose = F.conv_transpose1d


class BinaryConvTranspose2d(_BinaryConvTranspose, nn.ConvTranspose2d):  # type: ignore[override]
    """A 2-D transposed convolution with weights in {-1, +1}; torch's arguments, then ``weight=`` and ``scale=``.

    Shape:
        [T, B, C, H, W], [B, C, H, W] or [C, H, W] to the same with output channels.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> layer = sb.nn.BinaryConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1)
        >>> layer(torch.ones(5, 1, 2, 7, 7)).shape
        torch.Size([5, 1, 4, 14, 14])
    """

    spatial = 2
    _transpose = F.conv_transpose2d


class BinaryConvTranspose3d(_BinaryConvTranspose, nn.ConvTranspose3d):  # type: ignore[override]
    """A 3-D transposed convolution with weights in {-1, +1}; torch's arguments, then ``weight=`` and ``scale=``.

    Shape:
        [T, B, C, D, H, W], [B, C, D, H, W] or [C, D, H, W] to the same with output channels.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> sb.nn.BinaryConvTranspose3d(1, 2, 2, stride=2)(torch.ones(1, 1, 2, 2, 2)).shape
        torch.Size([1, 2, 4, 4, 4])
    """

    spatial = 3
    _transpose = F.conv_transpose3d


BINARY_TWINS: dict[type[nn.Module], type[BinaryLayer]] = {
    nn.Linear: BinaryLinear,
    nn.Conv1d: BinaryConv1d,
    nn.Conv2d: BinaryConv2d,
    nn.Conv3d: BinaryConv3d,
    nn.ConvTranspose1d: BinaryConvTranspose1d,
    nn.ConvTranspose2d: BinaryConvTranspose2d,
    nn.ConvTranspose3d: BinaryConvTranspose3d,
}
"""torch's layers and their binary twins."""
