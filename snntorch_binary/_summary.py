"""`summary`: how many bits a model needs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from snntorch_binary._text import table
from snntorch_binary.nn.binary import BinaryLayer
from snntorch_binary.packed import PackedLayer


@dataclass(frozen=True)
class LayerSummary:
    """One row of a :class:`ModelSummary`.

    Attributes:
        name: of the module.
        module: its class.
        rule: of its weights, ``"real"`` or ``"packed"``.
        binary_weights: number of 1-bit weights.
        real_parameters: number of real parameters; weights of a rule that does not say its levels are among them.
        other_weights: number of weights of a rule with more levels than two, of ``bits`` bits each.
        bits: see there.
    """

    name: str
    module: str
    rule: str
    binary_weights: int
    real_parameters: int
    other_weights: int = 0
    bits: int = 1

    @property
    def size(self) -> int:
        """Bytes of the deployed module."""
        return (self.binary_weights + self.bits * self.other_weights + 7) // 8 + 4 * self.real_parameters


@dataclass(frozen=True)
class ModelSummary:
    """Bits, parameters and memory of a model; ``print(summary)`` shows it as a table."""

    rows: tuple[LayerSummary, ...]

    @property
    def binary_weights(self) -> int:
        """Number of 1-bit weights, tied ones once."""
        return sum(row.binary_weights for row in self.rows)

    @property
    def other_weights(self) -> int:
        """Number of weights that take more bits than one and fewer than 32."""
        return sum(row.other_weights for row in self.rows)

    @property
    def real_parameters(self) -> int:
        """Number of real parameters."""
        return sum(row.real_parameters for row in self.rows)

    @property
    def bits_per_weight(self) -> float:
        """Mean bits per parameter of the deployed network, a real parameter counted as 32."""
        total = self.binary_weights + self.other_weights + self.real_parameters
        others = sum(row.bits * row.other_weights for row in self.rows)
        return (self.binary_weights + others + 32 * self.real_parameters) / total if total else 0.0

    @property
    def bytes_binary(self) -> int:
        """Bytes of the deployed network, one bit per binary weight, four bytes per real parameter."""
        return sum(row.size for row in self.rows)

    @property
    def bytes_float32(self) -> int:
        """Bytes of the same network with float32 weights."""
        return 4 * (self.binary_weights + self.other_weights + self.real_parameters)

    def __str__(self) -> str:
        cells = [
            (
                row.name or "(the model)",
                row.module,
                row.rule,
                f"{row.binary_weights:,}",
                *([f"{row.other_weights:,} at {row.bits}" if row.other_weights else ""] if self.other_weights else []),
                f"{row.real_parameters:,}",
            )
            for row in self.rows
        ]
        other = ("bits",) if self.other_weights else ()
        lines = table(("name", "module", "weights", "1-bit", *other, "real"), cells)
        others = f"{self.other_weights:,} of more bits, " if self.other_weights else ""
        ratio = self.bytes_float32 / self.bytes_binary if self.bytes_binary else 1.0
        return (
            f"{lines}\n{self.binary_weights:,} binary weights, {others}{self.real_parameters:,} real parameters, "
            f"{self.bits_per_weight:.2f} bits per weight\n"
            f"{self.bytes_binary:,} bytes deployed, {self.bytes_float32:,} in float32: {ratio:.1f}x smaller"
        )


def summary(model: nn.Module) -> ModelSummary:
    """Count a model's binary weights and real parameters, and its memory against float32.

    A weight counts the bits that its rule says (:attr:`snntorch_binary.weights.WeightRule.bits`).

    A packed layer counts as the layer it was packed from: its weights, of all members of an ensemble, at 1 bit; real
    are the bias, scale and bias of a batch norm, and scales that differ between outputs.

    Args:
        model: any module, packed or not; parameters shared between modules count once.

    Returns:
        The summary; print it.

    Example:
        >>> import snntorch_binary as sb
        >>> result = sb.summary(sb.nn.BinaryLinear(784, 10))
        >>> result.binary_weights, result.real_parameters, result.bytes_binary
        (7840, 10, 1020)
    """
    seen: set[int] = set()
    rows = []
    for name, module in model.named_modules():
        present: list[Tensor] = [value for value in module._parameters.values() if value is not None]
        own = [value for value in present if id(value) not in seen]
        seen.update(id(value) for value in own)
        if isinstance(module, PackedLayer):
            rows.append(LayerSummary(name, type(module).__name__, "packed", module.num_weights, _real_numbers(module)))
        if not own:
            continue
        latent = module.latent if isinstance(module, BinaryLayer) else None
        weights = sum(value.numel() for value in own if value is latent)
        rule, bits = (repr(module.rule), module.rule.bits) if isinstance(module, BinaryLayer) else ("real", 32)
        real = sum(value.numel() for value in own if value is not latent)
        rows.append(
            LayerSummary(
                name,
                type(module).__name__,
                rule,
                binary_weights=weights if bits == 1 else 0,
                real_parameters=real + (weights if bits == 32 else 0),
                other_weights=weights if 1 < bits < 32 else 0,
                bits=bits,
            )
        )
    return ModelSummary(tuple(rows))


def _real_numbers(layer: PackedLayer) -> int:
    """Return how many real numbers a packed layer holds that say more than its sizes do."""
    common = bool((layer.scale == layer.scale[:, :1]).all())
    held = (layer.biases, layer.norm_scale, layer.norm_bias, None if common else layer.scale)
    return sum(value.numel() for value in held if value is not None)
