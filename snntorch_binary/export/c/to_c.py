"""`to_c`: a packed network or ensemble as C99 that a microcontroller runs."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.export.c.describe import describe
from snntorch_binary.export.c.errors import CExportError
from snntorch_binary.export.c.example import write_example
from snntorch_binary.export.c.fixed import fixed_arithmetic
from snntorch_binary.export.c.folder import replacing_folder, write_runtime
from snntorch_binary.export.c.names import check_name
from snntorch_binary.export.c.numbers import Fixed, Floats, Numbers
from snntorch_binary.export.c.program import Program, Weighted
from snntorch_binary.export.c.sizes import Sizes
from snntorch_binary.export.c.source import source

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
    arithmetic: Literal["float", "fixed"] = "float",
    data: tuple[Tensor, Tensor] | None = None,
    max_accuracy_loss: float = 0.01,
) -> Sizes:
    r"""Write a packed network or ensemble as C99: ``NAME.h``, ``NAME.c``, and a runtime that is the same for all.

    Beside them is ``example/``, which builds as it is: by ``make`` on a PC, as an Arduino library or a Zephyr module.

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
        sample: an input as the network takes it, which says the sizes between its layers, and whether it is shown
            spikes or real numbers; layers in their order of which the first is linear need none. Layers that many
            of its spikes reach are written for dense spikes.
        time_dim: dimension of time in the sample, 0 or 1; ``None`` where it is shown at every time step.
        readout: of a network that is no ensemble, as :func:`snntorch_binary.inference.logits` takes it.
        readout_scale: the same.
        probabilities: whether answers have probabilities, entropy and mutual information.
        arithmetic: ``"fixed"`` for processors without floating point: potentials are int32 with as many binary places
            as the data leave room for. Spikes may be others then; how many, and the accuracy, are in the header.
        data: inputs as the network takes them and their classes [B], for ``"fixed"``.
        max_accuracy_loss: of fixed arithmetic on these data, in [0, 1]; if more is lost nothing is written.

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
        296
    """
    check_name(name)
    _check_arithmetic(arithmetic, data, max_accuracy_loss)
    program = describe(packed, sample, time_dim=time_dim, readout=readout, readout_scale=readout_scale)
    if program.members > 1 and not probabilities:
        raise ValueError("Expected argument `probabilities` to be True for an ensemble, whose class they decide on.")
    _check_sizes(program)
    numbers, notes = _arithmetic(program, arithmetic, data, time_dim, max_accuracy_loss)
    written = source(program, name, numbers, probabilities, notes)
    files: Mapping[str, str] = {f"{name}.h": written.header, f"{name}.c": written.code}
    with replacing_folder(Path(folder), name) as temporary:
        write_runtime(temporary)
        for file, text in files.items():
            (temporary / file).write_text(text, encoding="ascii")
        write_example(temporary, name, program, numbers, _shown(sample, time_dim), probabilities)
    return written.sizes


def _shown(sample: Tensor | None, time_dim: int | None) -> Tensor | None:
    """Return the first example of a sample, [T, N], or [1, N] where it is shown at every time step."""
    if sample is None or time_dim is None:
        return None if sample is None else sample[:1].flatten(1)
    return sample.select(1 - time_dim, 0).flatten(1)


def _check_arithmetic(arithmetic: Any, data: Any, max_accuracy_loss: Any) -> None:
    if arithmetic not in ("float", "fixed"):
        raise ValueError(expected("arithmetic", "'float' or 'fixed'", repr(arithmetic)))
    if (data is None) != (arithmetic == "float"):
        what = "None with arithmetic='float'" if data is not None else "inputs and classes for arithmetic='fixed'"
        raise ValueError(expected("data", what, "a pair" if data is not None else None))
    if not isinstance(max_accuracy_loss, (int, float)) or not 0 <= max_accuracy_loss <= 1:
        raise ValueError(expected("max_accuracy_loss", "in [0, 1]", max_accuracy_loss))
    if data is None:
        return
    if not isinstance(data, tuple) or len(data) != 2 or not all(isinstance(each, Tensor) for each in data):
        raise TypeError(expected("data", "a pair of tensors, inputs and classes", type(data).__name__))


def _arithmetic(
    program: Program,
    arithmetic: str,
    data: tuple[Tensor, Tensor] | None,
    time_dim: int | None,
    max_accuracy_loss: float,
) -> tuple[Numbers, list[str]]:
    """Return how real numbers are computed with, and what to say of it."""
    if data is None or arithmetic == "float":
        return Floats(), ["Arithmetic: float32, exact against the packed network; compile with -ffp-contract=off."]
    x, labels = data
    if time_dim is None:
        raise CExportError("C cannot express fixed arithmetic of an image that is shown: give a sequence.")
    x = (x if time_dim == 0 else x.transpose(0, 1)).flatten(2)
    if x.dim() != 3 or x.shape[2] != program.input.size or labels.shape != x.shape[1:2] or not x.numel():
        what = f"inputs of {program.input.size} numbers a step and as many classes"
        raise ValueError(expected("data", what, f"shapes {[*data[0].shape]} and {[*labels.shape]}"))
    report = fixed_arithmetic(program, x.float(), labels, max_accuracy_loss)
    return Fixed(report.point), report.lines()


def _check_sizes(program: Program) -> None:
    for node in program.nodes:
        if isinstance(node, Weighted) and node.kind == "sum" and node.fan_in > _LARGEST_FAN_IN:
            raise CExportError(f"A layer sums {node.fan_in} inputs, and C counts up to {_LARGEST_FAN_IN}.")
        if isinstance(node, Weighted) and node.positive.numel() >= _LARGEST:
            raise CExportError(
                f"A layer has {node.positive.numel()} weights, and at most {_LARGEST - 1} can be addressed."
            )
