"""What a network takes on a device: bytes of flash and RAM, operations of a time step, and where it fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from snntorch_binary.export.c.constants import Constants
from snntorch_binary.export.c.plan import Plan, words
from snntorch_binary.export.c.program import Delay, Map, Weighted

BOARDS = (
    ("STM32F103, 64 KB flash, 20 KB RAM", 64, 20),
    ("nRF52832 and STM32L4, 256 KB, 64 KB", 256, 64),
    ("nRF52840, 1 MB, 256 KB", 1024, 256),
)
_CODE = 6 * 1024
"""Runtime and steps, as -Os makes them for Cortex-M; of the mathematical library as much again."""


@dataclass(frozen=True)
class Sizes:
    """See the lines.

    Attributes:
        weights: bytes of weights, in flash.
        constants: bytes of other constants, in flash.
        state: bytes of the state, in RAM.
        additions: of weights, at a step at which every input spikes.
        updates: operations on single elements at a step.
    """

    weights: int
    constants: int
    state: int
    additions: int
    updates: int

    def lines(self) -> list[str]:
        """Return them as text."""
        return [
            f"Flash: {self.weights:,} bytes of weights, {self.constants:,} of other constants, and the code.",
            f"RAM: {self.state:,} bytes, the size of the state on a machine of 32 bits; no heap.",
            f"A time step: {self.updates:,} operations on single numbers, and at most {self.additions:,} additions of",
            "weights, if every input spikes: as many fewer as inputs are silent, and 32 outputs at once.",
        ]

    def boards(self) -> list[tuple[str, bool, float, float]]:
        """Return whether it fits on boards, and which shares of flash and RAM it takes."""
        flash = self.weights + self.constants + 2 * _CODE
        return [
            (
                name,
                flash <= 1024 * of_flash and self.state + 2048 <= 1024 * of_ram,
                flash / 1024 / of_flash,
                self.state / 1024 / of_ram,
            )
            for name, of_flash, of_ram in BOARDS
        ]

    def text(self) -> str:
        """Return what it takes, and the boards, as lines of text."""
        return "\n".join(["  " + line for line in self.lines()] + [self.table()])

    def table(self) -> str:
        """Return the boards as lines of text."""
        rows = [
            f"  {name:<36} {'fits' if fits else 'does not fit':<13} {flash:>6.0%} of flash {ram:>6.0%} of RAM"
            for name, fits, flash, ram in self.boards()
        ]
        return "\n".join(rows)


def sizes_of(planned: Plan, constants: Constants, readout: Any) -> Sizes:
    """Return the sizes of a program."""
    program = planned.program
    delays = [node for node in program.nodes if isinstance(node, Delay)]
    member = readout.bytes + sum(4 * (words(node.size) if node.kind == "bit" else node.size) for node in delays)
    rooms = planned.rooms
    shared = 4 * (rooms["bits"] + rooms["reals"] + planned.scratch) + 4 * ((rooms["sums"] + 1) // 2)
    shared += 4 * words(program.input.size) if program.input.kind == "bit" else 0
    layers = [node for node in program.nodes if isinstance(node, Weighted)]
    additions = program.members * sum(node.num_sums * node.fan_in for node in layers)
    updates = program.members * sum(node.size for node in program.nodes if isinstance(node, Map))
    other = constants.bytes - constants.bytes_of_weights
    return Sizes(constants.bytes_of_weights, other, 4 + program.members * member + shared, additions, updates)
