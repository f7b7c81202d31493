"""`to_c`: a packed network or ensemble as C99 that a microcontroller runs."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from snntorch_binary.export.c.describe import describe
from snntorch_binary.export.c.errors import CExportError
from snntorch_binary.export.c.folder import replacing_folder, write_runtime
from snntorch_binary.export.c.names import check_name
from snntorch_binary.export.c.program import Program, Weighted
from snntorch_binary.export.c.sizes import Sizes
from snntorch_binary.export.c.source import numbers_of, source

_LARGEST_FAN_IN = 2**15 - 1
_LARGEST = 2**31


def to_c(
    packed: nn.Module,
    folder: str | PathLike[str],
    name: str = "network",
    *,
    sample: Tensor | None = None,
    time_dim: int | None = 0,
    readout: Literal["auto", "rate", "membrane"] = "auto",
    readout_scale: float | None = None,
    probabilities: bool = True,
) -> Sizes:
    r"""Write a packed network or ensemble as C99: ``NAME.h``, ``NAME.c``, and a runtime that is the same for all.

    The code allocates nothing and needs ``stdint.h`` and ``string.h``, for probabilities ``math.h``. Weights are
    constants of one bit each; the state is one struct of constant size. Spikes, potentials and spike counts equal the
    packed network's bit for bit at every time step, if the compiler keeps to float32 (``-ffp-contract=off``). Sums of
    real numbers are added in the order of time or of the inputs, where torch's order depends on the number of examples
    and the machine: a mean of potentials over time, and a first layer that is shown real numbers. The latter is exact
    where float32 holds the sums, as of pixels in steps of 1/256.

    Args:
        packed: what :func:`snntorch_binary.pack` or :func:`snntorch_binary.load_packed` returned.
        folder: to write to; it is made, or has to be empty or written by ``to_c`` before.
        name: with which all names in C begin.
        sample: an input as the network takes it, which says the sizes between its layers, and whether it is shown spikes
            or real numbers; layers in their order of which the first is linear need none. Layers that many of its
            spikes reach are written for dense spikes.
        time_dim: dimension of time in the sample, 0 or 1; ``None`` where it is shown at every time step.
        readout: of a network that is no ensemble, as :func:`snntorch_binary.inference.logits` takes it.
        readout_scale: the same.
        probabilities: whether answers have probabilities, entropy and mutual information.

    Returns:
        What it takes on a device; ``print(sizes.table())`` shows on which boards it fits.

    Raises:
        CExportError: something of the network has no form in C; a ``ValueError``.
        ValueError: the name is no identifier, or the folder holds other files.
        TypeError: the network is not packed, or the sample no tensor.
        OSError: the folder cannot be written.

    Example:
        >>> import tempfile, torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(sb.nn.BinaryLinear(64, 32), sb.nn.Leaky(beta=0.9), sb.nn.BinaryLinear(32, 10))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sizes = sb.export.to_c(sb.pack(net), folder + "/digits", "digits")
        >>> sizes.weights
        384
    """
    check_name(name)
    program = describe(packed, sample, time_dim=time_dim, readout=readout, readout_scale=readout_scale)
    if program.members > 1 and not probabilities:
        raise ValueError("Expected argument `probabilities` to be True for an ensemble, whose class they decide on.")
    _check_sizes(program)
    written = source(program, name, numbers_of("float", 0), probabilities, [])
    files: Mapping[str, str] = {f"{name}.h": written.header, f"{name}.c": written.code}
    with replacing_folder(Path(folder), name) as temporary:
        write_runtime(temporary)
        for file, text in files.items():
            (temporary / file).write_text(text, encoding="ascii")
    return written.sizes


def _check_sizes(program: Program) -> None:
    for node in program.nodes:
        if isinstance(node, Weighted) and node.kind == "sum" and node.fan_in > _LARGEST_FAN_IN:
            raise CExportError(f"A layer sums {node.fan_in} inputs, and C counts up to {_LARGEST_FAN_IN}.")
        if isinstance(node, Weighted) and node.positive.numel() >= _LARGEST:
            raise CExportError(f"A layer has {node.positive.numel()} weights, and at most {_LARGEST - 1} can be addressed.")
