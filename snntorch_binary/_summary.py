"""`summary`: how many bits a model needs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from snntorch_binary._text import table
from snntorch_binary.nn.binary import BinaryLayer
from snntorch_binary.packed import PackedLayer


@dataclass(frozen=True)
class LayerSummary:
    """One row of a :class:`ModelSummary`."""

    name: str
    module: str
    rule: str
    binary_weights: int
    real_parameters: int


@dataclass(frozen=True)
class ModelSummary:
    """Bits, parameters and memory of a model; ``print(summary)`` shows it as a table."""

    rows: tuple[LayerSummary, ...]

    @property
    def binary_weights(self) -> int:
        """Number of 1-bit weights, tied ones once."""
        return sum(row.binary_weights for row in self.rows)

    @property
    def real_parameters(self) -> int:
        """Number of real parameters."""
        return sum(row.real_parameters for row in self.rows)

    @property
    def bits_per_weight(self) -> float:
        """Mean bits per parameter of the deployed network, a real parameter counted as 32."""
        total = self.binary_weights + self.real_parameters
        return (self.binary_weights + 32 * self.real_parameters) / total if total else 0.0

    @property
    def bytes_binary(self) -> int:
        """Bytes of the deployed network, one bit per binary weight, four bytes per real parameter."""
        return sum((row.binary_weights + 7) // 8 + 4 * row.real_parameters for row in self.rows)

    @property
    def bytes_float32(self) -> int:
        """Bytes of the same network with float32 weights."""
        return 4 * (self.binary_weights + self.real_parameters)

    def __str__(self) -> str:
        cells = [
            (
                row.name or "(the model)",
                row.module,
                row.rule,
                f"{row.binary_weights:,}",
                f"{row.real_parameters:,}",
            )
            for row in self.rows
        ]
        lines = table(("name", "module", "weights", "1-bit", "real"), cells)
        ratio = self.bytes_float32 / self.bytes_binary if self.bytes_binary else 1.0
        return (
            f"{lines}\n{self.binary_weights:,} binary weights, {self.real_parameters:,} real parameters, "
            f"{self.bits_per_weight:.2f} bits per weight\n"
            f"{self.bytes_binary:,} bytes deployed, {self.bytes_float32:,} in float32: {ratio:.1f}x smaller"
        )


def summary(model: nn.Module) -> ModelSummary:
    """Count a model's binary weights and real parameters, and its memory against float32.

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
        binary = sum(value.numel() for value in own if value is latent)
        rule = repr(module.rule) if isinstance(module, BinaryLayer) else "real"
        real = sum(value.numel() for value in own if value is not latent)
        rows.append(LayerSummary(name, type(module).__name__, rule, binary, real))
    return ModelSummary(tuple(rows))


def _real_numbers(layer: PackedLayer) -> int:
    """Return how many real numbers a packed layer holds that say more than its sizes do."""
    common = bool((layer.scale == layer.scale[:, :1]).all())
    held = (layer.bias, layer.norm_scale, layer.norm_bias, None if common else layer.scale)
    return sum(value.numel() for value in held if value is not None)
