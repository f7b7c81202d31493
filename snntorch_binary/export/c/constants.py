"""Constant arrays of a network: weights at one bit each, numbers of neurons and channels, positions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from snntorch_binary.export.c.numbers import Numbers
from snntorch_binary.export.c.program import Const, Weighted, Window
from snntorch_binary.kernels.bits import to_words

_LINE = 118


class Constants:
    """The arrays of a network, each once.

    Args:
        name: of the network, with which their names begin.
        numbers: how real numbers are written.

    Attributes:
        bytes_of_weights: what the weights take in flash.
        bytes: what all arrays take.
    """

    def __init__(self, name: str, numbers: Numbers) -> None:
        self._name, self._numbers = name, numbers
        self._arrays: dict[tuple[str, str], str] = {}
        self.bytes = self.bytes_of_weights = 0

    def declarations(self) -> list[str]:
        """Return the declarations of all arrays."""
        return [f"static const {kind} {name} = {content};" for (kind, content), name in self._arrays.items()]

    def _array(self, what: str, kind: str, content: str, shape: str, size: int) -> str:
        key = (kind, content)
        if key not in self._arrays:
            self._arrays[key] = f"{self._name}_{what}{len(self._arrays)}{shape}"
            self.bytes += size
        return self._arrays[key].partition("[")[0]

    def number(self, constant: Const) -> str:
        """Return the expression of a constant for element ``i`` of member ``k``."""
        values = constant.values
        if values.numel() == 1:
            return self._numbers.literal(float(values))
        rows = values if values.dim() == 2 else values[None]
        rows, apart = _without_repeats(rows)
        texts = [[self._numbers.stored(float(each)) for each in row] for row in rows]
        place = "[0]" if rows.shape[1] == 1 else "[i]" if apart == 1 else f"[i / {apart}u]"
        return self._rows("number", self._numbers.type, texts, 4, values.dim() == 2) + place

    def _rows(self, what: str, kind: str, texts: list[list[str]], size: int, by_member: bool) -> str:
        """Return the expression of the row of a member."""
        flat = [text for row in texts for text in row]
        shape = f"[{len(texts)}]" if by_member else ""
        inner = f"[{len(texts[0])}]"
        content = "{\n" + ",\n".join(map(braces, texts)) + "}" if by_member else braces(flat)
        return self._array(what, kind, content, shape + inner, size * len(flat)) + ("[k]" if by_member else "")

    def weights(self, node: Weighted) -> str:
        """Return the expression of the weights of member ``k``."""
        rows = torch.stack([_bits_of(node, positive) for positive in node.positive])
        texts = [[f"0x{word:08X}u" for word in row.tolist()] for row in rows]
        self.bytes_of_weights += 4 * rows.numel()
        return self._rows("weights", "uint32_t", texts, 4, len(rows) > 1)

    def window(self, window: Window) -> str:
        """Return the expression of the address of a window."""
        geometry = window.geometry

        def three(sides: Sequence[int], fill: int) -> str:
            return "{" + ", ".join(map(str, [*(fill,) * (3 - len(sides)), *sides])) + "}"

        rows = [(window.before, 1), (window.after, 1), (geometry.kernel, 1), (geometry.stride, 1)]
        padding = tuple(before for before, _ in geometry.padding)
        rows += [(geometry.dilation, 1), (padding, 0), (geometry.spread or (1,) * geometry.spatial, 1)]
        content = "{" + ", ".join(three(sides, fill) for sides, fill in rows) + "}"
        return "&" + self._array("window", "snnb_window", content, "", 42)

    def places(self, values: Tensor) -> str:
        """Return the name of an array of places."""
        kind, size = ("uint16_t", 2) if int(values.max()) < 2**16 else ("uint32_t", 4)
        texts = [[f"{each}u" for each in values.tolist()]]
        return self._rows("places", kind, texts, size, False)


def _without_repeats(rows: Tensor) -> tuple[Tensor, int]:
    """Return rows with each element once that stands several times in a row everywhere, and how often."""
    changes = (rows[:, 1:] != rows[:, :-1]).any(0).nonzero().flatten() + 1
    apart = math.gcd(rows.shape[1], *changes.tolist())
    return rows[:, ::apart], apart


def _bits_of(node: Weighted, positive: Tensor) -> Tensor:
    """Return the words of one member's weights [outputs, inputs, taps] in the order of the runtime."""
    if node.dense:
        return words_of(positive.flatten(1))
    outputs = positive.view(node.groups, -1, *positive.shape[1:])  # [groups, outputs, inputs, taps]
    if node.kind == "sum" and node.window is not None:  # along a row of places, what one sees is one run of taps
        *across, along = node.window.geometry.kernel
        rows = outputs.unflatten(3, (math.prod(across), along)).permute(0, 4, 3, 2, 1).flatten(0, 3)
    else:
        rows = outputs.permute(0, 2, 3, 1).flatten(0, 2)
    in_words = node.kind == "sum" and node.window is None and rows.shape[1] >= 32
    return words_of(rows if in_words else rows.reshape(1, -1))


def words_of(rows: Tensor) -> Tensor:
    """Return bool [rows, bits] as words of 32, the first bit the lowest, each row from a new word on."""
    width = (rows.shape[1] + 31) // 32
    words = to_words(rows.to(torch.uint8)[:, :, None]).reshape(len(rows), -1)  # of 64
    halves = torch.stack([words & 0xFFFFFFFF, (words >> 32) & 0xFFFFFFFF], -1).flatten(1)
    return halves[:, :width].flatten()


def braces(texts: list[str]) -> str:
    """Return the elements of an array, in lines."""
    lines, line = [], ""
    for text in texts:
        if len(line) + len(text) + 2 > _LINE:
            lines.append(line.rstrip())
            line = ""
        line += text + ", "
    return "{" + "\n".join([*lines, line.rstrip(", ")]) + "}"
