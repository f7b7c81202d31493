"""What was counted in one inference, layer by layer, and its energy by the figures of a 45 nm process."""

from __future__ import annotations

from dataclasses import dataclass

from snntorch_binary._text import table

MAC_PJ = 4.6
"""A float32 multiplication (3.7 pJ) and addition (0.9 pJ)."""
FLOAT_ADDITION_PJ = 0.9
"""A float32 addition."""
INTEGER_ADDITION_PJ = 0.1
"""An int32 addition."""
MEMORY_PJ_PER_BYTE = 20 / 8
"""Reading 64 bits from a cache of 32 KB costs 20 pJ."""


@dataclass(frozen=True)
class LayerEnergy:
    """One layer with the neurons behind it, for one example and all its time steps, as a mean over the batch.

    Attributes:
        name: of the layer in the network; of a neuron where no layer stands before it, and of a synaptic trace.
        module: its class.
        binary: whether its weights are 1-bit.
        bits: of one weight, as its rule says.
        dense_macs: multiply-accumulates of a dense product with the same outputs: outputs · fan_in, padding included
            (of a transposed convolution: inputs · fan-out).
        macs: multiply-accumulates done: ``dense_macs`` where the input is not spikes, else 0.
        synaptic_operations: additions of a weight done: the fan-out of every spike, exactly; 0 where ``macs`` are done.
        update_macs: multiply-accumulates done once for each output and step: scale and bias of a binary layer, decays.
        update_additions: additions of the same kind: a real layer's bias, resets, comparisons with the threshold.
        input_density: share of inputs that are not zero, in [0, 1].
        spikes: spikes emitted, or ``None`` where no neuron was seen or it gives other values than 0 and 1.
        firing_rate: spikes for each neuron and step, in [0, 1], or ``None``.
        weight_bytes: of the weights, of so many bits each.
        weight_bytes_float32: of the same weights at 32 bits.
        bytes_moved: see :func:`energy`.
    """

    name: str
    module: str
    binary: bool
    bits: int
    dense_macs: float
    macs: float
    synaptic_operations: float
    update_macs: float
    update_additions: float
    input_density: float
    spikes: float | None
    firing_rate: float | None
    weight_bytes: int
    weight_bytes_float32: int
    bytes_moved: float

    @property
    def operations_nj(self) -> float:
        """Energy of the operations in nJ, in a 45 nm process."""
        synaptic = INTEGER_ADDITION_PJ if self.bits < 32 else FLOAT_ADDITION_PJ
        return 1e-3 * (
            MAC_PJ * (self.macs + self.update_macs)
            + synaptic * self.synaptic_operations
            + FLOAT_ADDITION_PJ * self.update_additions
        )

    @property
    def memory_nj(self) -> float:
        """Energy in nJ of moving the bytes from and to an on-chip memory of 32 KB, in a 45 nm process."""
        return 1e-3 * MEMORY_PJ_PER_BYTE * self.bytes_moved

    @property
    def dense_nj(self) -> float:
        """Energy in nJ of the dense product in float32, in a 45 nm process."""
        return 1e-3 * MAC_PJ * self.dense_macs


@dataclass(frozen=True)
class Energy:
    """What :func:`energy` counted; ``print`` shows it as a table. Totals are those of all layers.

    Attributes:
        rows: the layers, in the order in which they were called first.
        batch_size: number of examples over which was averaged.
        uncounted: modules with weights or an update that are not counted, by name.
    """

    rows: tuple[LayerEnergy, ...]
    batch_size: int
    uncounted: tuple[str, ...] = ()

    @property
    def dense_macs(self) -> float:
        """Multiply-accumulates of dense products."""
        return sum(row.dense_macs for row in self.rows)

    @property
    def macs(self) -> float:
        """Multiply-accumulates done by layers whose input is not spikes."""
        return sum(row.macs for row in self.rows)

    @property
    def synaptic_operations(self) -> float:
        """Additions of a weight done, one for each spike and synapse."""
        return sum(row.synaptic_operations for row in self.rows)

    @property
    def spikes(self) -> float:
        """Spikes emitted by the neurons of which it is known."""
        return sum(row.spikes or 0.0 for row in self.rows)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights, 1 bit each where they are binary, 32 where they are real."""
        return sum(row.weight_bytes for row in self.rows)

    @property
    def weight_bytes_float32(self) -> int:
        """Bytes of the weights at 32 bits."""
        return sum(row.weight_bytes_float32 for row in self.rows)

    @property
    def bytes_moved(self) -> float:
        """Bytes moved, see :func:`energy`."""
        return sum(row.bytes_moved for row in self.rows)

    @property
    def operations_nj(self) -> float:
        """Energy of the operations in nJ, in a 45 nm process."""
        return sum(row.operations_nj for row in self.rows)

    @property
    def memory_nj(self) -> float:
        """Energy in nJ of moving the bytes from and to an on-chip memory of 32 KB, in a 45 nm process."""
        return sum(row.memory_nj for row in self.rows)

    @property
    def dense_nj(self) -> float:
        """Energy in nJ of dense products in float32, in a 45 nm process."""
        return sum(row.dense_nj for row in self.rows)

    def __str__(self) -> str:
        cells = [
            (
                row.name or "(the network)",
                str(row.bits) if row.weight_bytes_float32 else "",
                f"{row.dense_macs:,.0f}",
                f"{row.macs:,.0f}",
                f"{row.synaptic_operations:,.0f}",
                f"{row.update_macs + row.update_additions:,.0f}",
                f"{100 * row.input_density:.1f} %",
                "?" if row.firing_rate is None else f"{100 * row.firing_rate:.1f} %",
                f"{row.weight_bytes:,}",
                f"{row.bytes_moved:,.0f}",
                _short(row.operations_nj),
            )
            for row in self.rows
        ]
        lines = [
            table(_HEADER, cells),
            f"one inference, the mean of {self.batch_size}: {self.synaptic_operations:,.0f} synaptic operations and "
            f"{self.macs:,.0f} MACs for {self.dense_macs:,.0f} dense MACs",
            f"{self.weight_bytes:,} bytes of weights ({self.weight_bytes_float32:,} at 32 bits), "
            f"{self.bytes_moved:,.0f} bytes moved",
            "energy by the operations of a 45 nm process (Horowitz, 2014), not measured: "
            f"{_short(self.operations_nj)} nJ, and {_short(self.memory_nj)} nJ for the bytes moved;",
            f"dense float32 products alone {_short(self.dense_nj)} nJ",
        ]
        if self.uncounted:
            lines.append(f"not counted: {', '.join(self.uncounted)}")
        return "\n".join(lines)


_HEADER = ("layer", "bits", "dense MACs", "MACs", "synaptic", "updates", "input", "firing", "bytes", "moved", "nJ")


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
