"""`snntorch-binary export --to c` and `--to mem`: folders for microcontrollers and FPGAs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.commands import trained

if TYPE_CHECKING:
    from snntorch_binary.experiments.description import TrainedRun

WRITERS = ("c", "mem")
_EXAMPLES = 32
_OPTIONS = ("name", "arithmetic", "max_accuracy_loss", "data", "data_dir")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options of these formats."""
    parser.add_argument("--name", metavar="NAME", help="c, mem: with which all names begin (default: network)")
    parser.add_argument(
        "--arithmetic",
        choices=("float", "fixed"),
        help="c: float32 as in training (default), or int32 for processors without floating point, for which test data "
        "are answered in both",
    )
    parser.add_argument(
        "--max-accuracy-loss",
        type=float,
        metavar="LOSS",
        help="c: of fixed arithmetic on these data, in [0, 1] (default: 0.01)",
    )
    trained.add_data(parser)


def check(options: argparse.Namespace) -> None:
    """Refuse options that are of no use.

    Raises:
        ValueError: there is one.
    """
    allowed: dict[str, tuple[str, ...]] = {"c": _OPTIONS, "mem": ("name",)}
    for name in _OPTIONS:
        if getattr(options, name) is not None and name not in allowed.get(options.to, ()):
            raise ValueError(expected(f"--{name.replace('_', '-')}", "left out", f"--to {options.to}"))
    if options.max_accuracy_loss is not None and options.arithmetic != "fixed":
        raise ValueError(
            expected("--max-accuracy-loss", "left out without --arithmetic fixed", options.max_accuracy_loss)
        )


def write(run: TrainedRun, options: argparse.Namespace, packed: nn.Module, sample: Tensor) -> str:
    """Write the folder, and return what to print.

    Raises:
        ValueError: the network has no form in C, an option is wrong, or the folder holds other files.
        OSError: the folder cannot be written.
    """
    name = "network" if options.name is None else options.name
    try:
        if options.to == "mem":
            from snntorch_binary.export import to_mem

            size = to_mem(packed, options.out, name)
            return f"Written to {options.out}: {size:,} bytes of weights as memory images"
        return _write_c(run, options, packed, sample, name)
    except ValueError as error:  # in the words of the command
        said = str(error).replace("`folder`", "`OUT`").replace("`name`", "`--name`").replace("`sample`", "`RUN`")
        raise type(error)(said.replace("`max_accuracy_loss`", "`--max-accuracy-loss`")) from None


def _write_c(run: TrainedRun, options: argparse.Namespace, packed: nn.Module, sample: Tensor, name: str) -> str:
    from snntorch_binary.export import to_c

    described = run.description
    time_dim = None if described.num_steps is None else 1 if described.data.get("time") == "batch-first" else 0
    reading: dict[str, Any] = {key: described.reading.get(key) for key in ("readout", "readout_scale")}
    reading["readout"] = reading["readout"] or "auto"
    fixed = options.arithmetic == "fixed"
    data = _data(run, options, time_dim, needed=fixed or options.data is not None)
    note = "" if data is not None else "\nWithout the data of the run all layers are written for few spikes."
    more = {} if options.max_accuracy_loss is None else {"max_accuracy_loss": options.max_accuracy_loss}
    arithmetic: dict[str, Any] = {"arithmetic": "fixed", "data": data, **more} if fixed else {}
    sizes = to_c(
        packed,
        options.out,
        name,
        sample=sample if data is None else data[0],
        time_dim=time_dim,
        **reading,
        **arithmetic,
    )
    return f"Written to {options.out}: {name}.h, {name}.c and their runtime in C99\n{sizes.text()}{note}"


def _data(
    run: TrainedRun, options: argparse.Namespace, time_dim: int | None, needed: bool
) -> tuple[Tensor, Tensor] | None:
    """Return test data that the run learned from, or those that are named; ``None`` where they are not at hand."""
    from snntorch_binary.experiments.evaluate import load_for

    try:
        batches = load_for(run, trained.data_of(options, run)).test()
        x, labels = next(iter(batches))
    except (ValueError, OSError, StopIteration):
        if needed:
            raise
        return None
    examples = 1 if time_dim == 0 else 0
    few = x if options.arithmetic == "fixed" else x.narrow(examples, 0, min(_EXAMPLES, x.shape[examples]))
    return few.float(), labels
