"""`to_mem`: the bits of a packed network as memory images for an FPGA, and a JSON file that says how they lie."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.export.c.constants import words_of
from snntorch_binary.export.c.folder import replacing_folder
from snntorch_binary.export.c.names import check_name
from snntorch_binary.packed.ensemble import PackedEnsemble
from snntorch_binary.packed.layer import PackedLayer


def to_mem(packed: nn.Module, folder: str | PathLike[str], name: str = "network") -> int:
    """Write the weights of a packed network as memory images, which ``$readmemh`` of Verilog reads.

    For each packed layer there is a file ``NAME_PLACE.mem`` with a word of 32 bits in hex on each line. A row of words
    holds the weights of one output: bit b of word w is input 32 w + b, 1 is +1 and 0 is -1, and what is left of the
    last word is 0. Inputs are in the order of torch's weight, [channels / groups, kernel]; rows in the order [members,
    outputs]. ``NAME.json`` says all sizes, and the scales, biases and constants of neurons as numbers.

    Args:
        packed: what :func:`snntorch_binary.pack` or :func:`snntorch_binary.load_packed` returned.
        folder: to write to; it is made, or has to be empty or written so before.
        name: with which the files begin.

    Returns:
        The bytes of all images, four a word.

    Raises:
        TypeError: the network is not packed.
        ValueError: the name is no identifier, or the folder holds other files.
        OSError: the folder cannot be written.

    Example:
        >>> import tempfile, snntorch_binary as sb
        >>> packed = sb.pack(sb.nn.BinaryLinear(64, 10))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sb.export.to_mem(packed, folder + "/bits")
        80
    """
    check_name(name)
    if not isinstance(packed, nn.Module) or not any(isinstance(part, PackedLayer) for part in packed.modules()):
        raise TypeError(expected("packed", "what snntorch_binary.pack returned", type(packed).__name__))
    total, layers = 0, []
    with replacing_folder(Path(folder), name) as temporary:
        for place, (path, layer) in enumerate(_layers(packed)):
            positive = layer.positive
            words = words_of(positive.flatten(2).flatten(0, 1))
            file = f"{name}_{place}.mem"
            (temporary / file).write_text("".join(f"{word:08x}\n" for word in words.tolist()))
            total += 4 * len(words)
            layers.append({"file": file, "name": path, **_layout(layer)})
        about = {"name": name, "members": getattr(packed, "num_members", 1), "word_bits": 32, "layers": layers}
        (temporary / f"{name}.json").write_text(json.dumps(about, indent=2) + "\n")
    return total


def _layers(packed: nn.Module) -> list[tuple[str, PackedLayer]]:
    inside = packed.net if isinstance(packed, PackedEnsemble) else packed
    return [(name, module) for name, module in inside.named_modules() if isinstance(module, PackedLayer)]


def _layout(layer: PackedLayer) -> dict[str, Any]:
    layout, geometry = layer.layout, layer.geometry
    found: dict[str, Any] = {
        "rows": layout.members * layout.outputs,
        "words_a_row": (layout.inputs + 31) // 32,
        "shape": list(layer.positive.shape),
        "order": "members, outputs, inputs of each" + (", kernel" if geometry.spatial else ""),
        "groups": layer.groups,
        "stride": list(geometry.stride),
        "padding": [list(pair) for pair in geometry.padding],
        "dilation": list(geometry.dilation),
        "spread": list(geometry.spread),
        "scale": _numbers(layer.scale),
        "bias": _numbers(layer.biases),
        "norm_scale": _numbers(layer.norm_scale),
        "norm_bias": _numbers(layer.norm_bias),
        "neuron": None,
    }
    constants = layer.neuron_constants
    if constants is not None:
        names = ("alpha", "beta", "gamma", "threshold", "fires_above")
        kind, reset = ("leaky", "synaptic", "srm")[constants.kind], ("none", "subtract", "zero")[constants.reset]
        values = {name: value.tolist() for name, value in zip(names, constants.values, strict=True)}
        found["neuron"] = {"kind": kind, "reset": reset, **values}
    return found


def _numbers(values: Tensor | None) -> Any:
    return None if values is None else values.tolist()
