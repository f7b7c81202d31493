"""A layer of 1-bit weights, alone or with the neurons behind it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snntorch_binary._errors import expected
from snntorch_binary.kernels.engine import compiled
from snntorch_binary.kernels.memory import empty
from snntorch_binary.packed.by_torch import of_transposed, padding_of_transposed, product_of
from snntorch_binary.packed.geometry import Geometry
from snntorch_binary.packed.kept import Kept
from snntorch_binary.packed.layout import Layout
from snntorch_binary.packed.maps import Maps, goes_by_lines
from snntorch_binary.packed.neurons import fused_constants
from snntorch_binary.packed.rounding import addition_of, norm_addition_of
from snntorch_binary.packed.spikes import SpikeBits

_MOST_TAPS = 2**26  # of which a table is made; beyond, torch finds its way without one


class PackedLayer(nn.Module):
    r"""A linear or convolutional layer with weights in {-1, +1} at one bit each: :math:`y = s \cdot (W x) + b`.

    The input is spikes, so that :math:`W x` is an exact integer, counted on bits; scale and bias follow in float32, in
    the order and rounding of :class:`snntorch_binary.nn.BinaryLinear`. With a neuron, currents become spikes in the
    same pass and no float tensor of either is made. :func:`snntorch_binary.pack` builds it.

    With ``real_input`` the input is real numbers, such as traces or averaged spikes. Weights are kept at one bit then,
    too, and unpacked for a product that multiplies.

    Args:
        positive: bool [K, C_out, C_in / groups, kernel], True where a weight is +1; K members at once. Of a transposed
            convolution, too: in the order in which an output position sees its inputs.
        scale: float32 [K, C_out].
        bias: float32 [K, C_out], or ``None``.
        neuron: a ``Leaky``, ``Synaptic`` or ``SRM`` of this package, or ``None`` for currents.
        geometry: of a convolution, transposed or not; a linear layer has none.
        groups: of a convolution.
        shared: whether the input is one for all members, or each member has its own.
        ensemble: whether outputs have a dimension of members.
        packed_output: give spikes as :class:`SpikeBits` (needs a neuron).
        fused_bias: scale and bias in one rounding, as layers with a gain per channel do it, or in two.
        norm: of a batch norm behind the layer, scale and bias float32 [K, C_out] each; rounded as torch does it.
        real_input: take float32 numbers instead of spikes; the same for all members.

    Shape:
        spikes [..., C_in, positions], a tensor of zeros and ones or :class:`SpikeBits`, to currents or spikes
        [..., C_out, positions], of an ensemble [K, ..., C_out, positions]. With a neuron, ... is T, B.

    Raises:
        TypeError: the input of a layer with ``real_input`` is no float32 tensor.
        ValueError: the input is not of this shape, or holds other values than 0 and 1.
    """

    weight_bits: Tensor
    scale: Tensor
    biases: Tensor | None
    norm_scale: Tensor | None
    norm_bias: Tensor | None

    def __init__(
        self,
        positive: Tensor,
        scale: Tensor,
        bias: Tensor | None = None,
        neuron: nn.Module | None = None,
        geometry: Geometry | None = None,
        *,
        groups: int = 1,
        shared: bool = True,
        ensemble: bool = False,
        packed_output: bool = False,
        fused_bias: bool = False,
        norm: tuple[Tensor, Tensor] | None = None,
        real_input: bool = False,
    ) -> None:
        super().__init__()
        if real_input and not shared:
            raise ValueError(expected("shared", "True where the input is real numbers", shared))
        geometry = Geometry() if geometry is None else geometry
        members, outputs, channels = positive.shape[:3]
        self.geometry, self.groups, self.ensemble = geometry, groups, ensemble
        self.in_channels, self.out_channels = channels * groups, outputs
        # What torch's layers say of themselves.
        if geometry.spatial:
            self.kernel_size, self.dilation = geometry.kernel, geometry.dilation
            self.stride = geometry.spread or geometry.stride
            even = all(before == after for before, after in geometry.padding)
            self.padding = tuple(before for before, _ in geometry.padding) if even else "same"
            if geometry.spread:
                self.padding, self.output_padding = padding_of_transposed(geometry)
        else:
            self.in_features, self.out_features = self.in_channels, self.out_channels
        self.layout = Layout(members, outputs, channels * geometry.num_taps, groups, shared)
        self.packed_output, self.fused_bias, self.real_input = packed_output, fused_bias, real_input
        # The inputs of an output in the order in which a kernel gathers them: tap by tap, all channels of each.
        inputs = positive.flatten(3).transpose(2, 3) if geometry.spatial else positive
        self.register_buffer("weight_bits", self.layout.pack(inputs.reshape(members, outputs, -1)))
        self.register_buffer("scale", scale.detach().clone())
        self.register_buffer("biases", None if bias is None else bias.detach().clone())
        self.register_buffer("norm_scale", None if norm is None else norm[0].detach().clone())
        self.register_buffer("norm_bias", None if norm is None else norm[1].detach().clone())
        self.name = ""  # in the network that was packed, for messages
        self.neuron = neuron
        self.neuron_constants = None if neuron is None else fused_constants(neuron, outputs, geometry.spatial)
        self._prepared: tuple[Any, ...] | None = None
        self._kept_maps: Kept[Maps] | None = None
        self._prepared_neurons: tuple[Any, ...] | None = None
        self._taps: tuple[torch.Size, tuple[int, ...], Any] | None = None

    # ---- what it is --------------------------------------------------------------------------------

    @property
    def positive(self) -> Tensor:
        """The weights as bool [K, C_out, C_in / groups, kernel], True for +1."""
        layout, geometry = self.layout, self.geometry
        positive = layout.unpack(self.weight_bits)
        if not geometry.spatial:
            return positive
        by_tap = positive.view(layout.members, layout.outputs, geometry.num_taps, -1)
        return by_tap.transpose(2, 3).unflatten(3, geometry.kernel)

    @property
    def weight(self) -> Tensor:
        """The weights as torch's layer has them, scale · (±1); of an ensemble [K, ...]. Unpacked at every call."""
        positive = self.positive
        scale = self.scale.reshape(*self.scale.shape, *(1,) * (positive.dim() - 2))
        weight = torch.where(positive, scale, -scale)
        if self.geometry.spread:
            weight = torch.stack([of_transposed(member, self.groups) for member in weight])
        return self._of_members(weight)

    @property
    def bias(self) -> Tensor | None:
        """The bias as torch's layer has it, [C_out]; of an ensemble [K, C_out]."""
        return None if self.biases is None else self._of_members(self.biases)

    def _of_members(self, value: Tensor) -> Tensor:
        return value if self.ensemble else value[0]

    @property
    def num_weights(self) -> int:
        """Number of 1-bit weights of all members."""
        return self.layout.members * self.layout.outputs * self.layout.inputs

    def extra_repr(self) -> str:
        """Say the sizes and what comes out."""
        layout, geometry = self.layout, self.geometry
        parts = [f"{self.in_channels} -> {self.out_channels}"]
        if geometry.spatial:
            parts += [f"kernel={geometry.kernel}", f"stride={self.stride}", f"padding={geometry.padding}"]
            parts += ["transposed"] if geometry.spread else []
        if self.groups > 1:
            parts.append(f"groups={self.groups}")
        if self.ensemble:
            parts.append(f"members={layout.members}")
        if self.real_input:
            parts.append("real input")
        output = "currents" if self.neuron is None else "bits" if self.packed_output else "float spikes"
        parts.append(f"bias={self.biases is not None}")
        if self.norm_scale is not None:
            parts.append("batch norm")
        return ", ".join([*parts, f"gives {output}"])

    # ---- the product -------------------------------------------------------------------------------

    @torch.no_grad()
    def forward(self, input: Tensor | SpikeBits, output_size: Any = None) -> Any:
        """Return currents or spikes, see the class; ``output_size`` can only be the one that there is."""
        spikes = self.entered(input)
        if output_size is not None:
            spatial = self.geometry.spatial
            size = spikes.shape[spikes.dim() - spatial :] if isinstance(spikes, Tensor) else spikes.positions
            own = self.geometry.output_size(tuple(size))
            if tuple(output_size)[-spatial:] != own:
                raise ValueError(expected("output_size", f"{list(own)}, as the packed layer gives", list(output_size)))
        if isinstance(spikes, Tensor):
            return self._by_torch(spikes[None])
        on_cpu = spikes.words.device.type == "cpu"
        kernels = compiled("packed_maps") if on_cpu else None
        if kernels is not None and goes_by_lines(self.geometry, self.groups, spikes.positions):
            maps = self._as_maps()
            if self.neuron is None:
                return self._shaped(maps.currents(kernels, spikes))
            return self._as_asked(maps.spikes(kernels, spikes))
        kernels = compiled("packed") if on_cpu else None
        taps = math.prod(self.geometry.output_size(spikes.positions)) * self.geometry.num_taps
        if kernels is None or taps > _MOST_TAPS:
            # One tensor of all members, if each of them has its own.
            return self._by_torch(SpikeBits(spikes.words, spikes.channels, spikes.spatial, ensemble=True).unpack())
        positions, places = self._positions(spikes.positions)
        return (self._currents if self.neuron is None else self._spikes)(kernels, spikes, positions, places)

    def entered(self, x: Tensor | SpikeBits) -> Tensor | SpikeBits:
        """Return the input as bits, real numbers as they are, or say what is wrong with it."""
        spatial, place = self.geometry.spatial, -1 - self.geometry.spatial
        if isinstance(x, Tensor) and (x.dim() < -place or x.shape[place] != self.in_channels):
            what = f"of size {self.in_channels} in dimension {place}"
            raise ValueError(expected("input", what, f"shape {tuple(x.shape)}"))
        if self.real_input:
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            if kind != torch.float32:
                raise TypeError(expected("input", "a float32 tensor", kind))
        else:
            if not isinstance(x, SpikeBits):
                try:
                    x = SpikeBits.of(x, spatial)
                except ValueError as error:
                    name = repr(self.name)
                    way_out = f"If layer {name} is to get real numbers, say so: pack(net, real_input=[{name}])."
                    raise ValueError(f"{error} {way_out}") from None
            members = 1 if self.layout.shared else self.layout.members
            if (x.channels, x.spatial, x.members) != (self.in_channels, spatial, members):
                what = f"spikes of {self.in_channels} channels, {spatial} spatial dimensions and {members} members"
                raise ValueError(expected("input", what, f"shape {tuple(x.shape)}"))
        lead = x.lead if isinstance(x, SpikeBits) else x.shape[:place]
        if self.neuron is not None and len(lead) != 2:
            raise ValueError(expected("input", "time-first, [T, B, ...]", f"shape {tuple(x.shape)}"))
        return x

    def _positions(self, size: torch.Size) -> tuple[tuple[int, ...], Any]:
        if self._taps is None or self._taps[0] != size:
            self._taps = (size, self.geometry.output_size(size), self.geometry.taps(size).numpy())
        return self._taps[1:]

    def _weights(self) -> tuple[Any, ...]:
        """Return what the kernels take beside spikes and taps; kept, as a small layer would wait for it."""
        if self._prepared is None:
            layout = self.layout
            scale, bias = self._filled(self.scale), self._filled(self.biases)
            addition = addition_of(self.biases is not None, self.fused_bias)
            norm = norm_addition_of(self.norm_scale is not None)
            taps = self.geometry.num_taps
            self._prepared = (
                0 if taps == layout.groups == 1 else layout.inputs // taps,
                layout.blocks(taps).numpy(),
                self.weight_bits.numpy(),
                layout.kind,
                (layout.inputs, layout.block_outputs),
                scale,
                bias,
                addition,
                (norm, self._filled(self.norm_scale), self._filled(self.norm_bias)),
            )
        return self._prepared

    def _as_maps(self) -> Maps:
        """Return what the kernels of convolutions over maps take; kept for the same reason."""
        if self._kept_maps is None:
            self._kept_maps = Kept()
        norm = None if self.norm_scale is None or self.norm_bias is None else (self.norm_scale, self.norm_bias)
        tensors = [self.weight_bits, self.scale, *(each for each in (self.biases, *(norm or ())) if each is not None)]
        return self._kept_maps.of_tensors(tensors, lambda: Maps.of(self, None, norm, self.neuron_constants))

    def _filled(self, value: Tensor | None) -> Any:
        """[K, C_out] with every member filled up to whole words of zeros; nothing, where there is no value."""
        if value is None:
            value = torch.zeros_like(self.scale)
        return F.pad(value, (0, self.layout.width - self.layout.outputs)).flatten().numpy()

    def _neurons(self) -> tuple[Any, ...]:
        if self._prepared_neurons is None:
            neuron = self.neuron_constants
            assert neuron is not None
            values = neuron.per_member(self.layout.members, self.layout.width)
            self._prepared_neurons = (neuron.kind, neuron.reset, values.numpy())
        return self._prepared_neurons

    def _currents(self, kernels: Any, spikes: SpikeBits, positions: tuple[int, ...], taps: Any) -> Tensor:
        layout, words = self.layout, spikes.words
        rows, size = math.prod(spikes.lead), math.prod(positions)
        out = empty(rows * size, layout.members, layout.outputs)
        if out.numel():
            flat = words.reshape(rows, 1, -1, words.shape[-2] * words.shape[-1]).contiguous()
            kernels.currents(flat.numpy(), taps, *self._weights(), out.numpy())
        out = out.view(*spikes.lead, *positions, layout.members, layout.outputs)
        return self._shaped(out)

    def _spikes(self, kernels: Any, spikes: SpikeBits, positions: tuple[int, ...], taps: Any) -> Tensor | SpikeBits:
        layout, words = self.layout, spikes.words
        (steps, batch), size = spikes.lead, math.prod(positions)
        out = torch.empty((steps, batch, size, layout.members * layout.width // 64), dtype=torch.int64)
        if out.numel():
            flat = words.reshape(steps, batch, -1, words.shape[-2] * words.shape[-1]).contiguous()
            kernels.spikes(flat.numpy(), taps, *self._weights(), *self._neurons(), out.numpy())
        out = out.view(steps, batch, *positions, layout.members, layout.width // 64)
        return self._as_asked(out)

    def _as_asked(self, words: Tensor) -> Tensor | SpikeBits:
        bits = SpikeBits(words, self.layout.outputs, self.geometry.spatial, self.ensemble)
        return bits if self.packed_output else bits.unpack()

    def _shaped(self, out: Tensor) -> Tensor:
        """[..., positions, K, C] to [K, ..., C, positions], or without members to [..., C, positions].

        Members are laid out one after the other, so that a mean over time adds up as it does for one network. The
        channels of a convolution stay last in memory (torch's channels_last).
        """
        members = out.dim() - 2
        out = out.movedim(members, 0).contiguous() if self.ensemble else out.squeeze(members)
        return out.movedim(-1, -1 - self.geometry.spatial)

    def _by_torch(self, given: Tensor) -> Any:
        """Compute the same by ±1 weights and torch's product, member by member, of [K or 1, ..., C_in, positions]."""
        spatial, layout = self.geometry.spatial, self.layout
        split = given.dim() - 1 - spatial
        lead = given.shape[1:split]
        self.geometry.output_size(given.shape[split + 1 :])  # says what is wrong with the size
        weight = torch.where(self.positive, 1.0, -1.0)
        outputs = []
        for member in range(layout.members):
            x = given[0 if layout.shared else member]
            rows = x.reshape(math.prod(lead), *x.shape[len(lead) :])
            product = product_of(rows, weight[member], self.geometry, self.groups)
            current = self._scaled(product, member)
            current = current.unflatten(0, lead) if lead else current[0]
            outputs.append(current if self.neuron is None else self.neuron(current))
        result = torch.stack(outputs) if self.ensemble else outputs[0]
        if not self.packed_output:
            return result
        bits = SpikeBits.of(result, spatial)
        words = bits.words.squeeze(-2).movedim(0, -2) if self.ensemble else bits.words
        return SpikeBits(words.contiguous(), layout.outputs, spatial, self.ensemble)

    def _scaled(self, product: Tensor, member: int) -> Tensor:
        """Scale a member's product [N, C_out, positions], add the bias, and pass it through the batch norm."""

        def per_channel(value: Tensor) -> Tensor:
            return value[member].view(-1, *(1,) * self.geometry.spatial)

        scale = per_channel(self.scale)
        if self.biases is None:
            current = product * scale
        elif self.fused_bias:
            current = torch.addcmul(per_channel(self.biases), product, scale)
        else:
            current = product * scale + per_channel(self.biases)
        if self.norm_scale is not None and self.norm_bias is not None:
            current = torch.addcmul(per_channel(self.norm_bias), current, per_channel(self.norm_scale))
        return current

    # ---- staying consistent ------------------------------------------------------------------------

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self._prepared = self._kept_maps = None
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if prefix + "bias" in state_dict:  # as it was named before
            state_dict[prefix + "biases"] = state_dict.pop(prefix + "bias")
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._prepared = self._kept_maps = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | dict.fromkeys(("_prepared", "_kept_maps", "_prepared_neurons", "_taps"))
