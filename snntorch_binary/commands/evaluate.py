"""`snntorch-binary evaluate RUN`: accuracy and calibration of a trained network on test data, its own or others."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from snntorch_binary._errors import expected
from snntorch_binary._files import write_json
from snntorch_binary.commands import trained

_EPILOG = """examples:
  snntorch-binary evaluate results/digits/runs/bayes-seed0
  snntorch-binary evaluate results/mine/runs/st-seed0 --network my_models.ConvNet --data my_data.gestures
"""


def add_to(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "evaluate",
        help="measure a run's network on test data",
        description="Answer the test part of the data a run learned from, or of other data, and print accuracy and "
        "calibration of each prediction.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    trained.add_run(parser)
    trained.add_data(parser)
    parser.add_argument("--members", type=int, metavar="K", help="networks of the ensemble (default: as it was tested)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the scores to a JSON file")
    parser.set_defaults(run=run_command)


def run_command(options: argparse.Namespace) -> None:
    """Measure, and print the table.

    Raises:
        ValueError: the run is none, the data cannot be read, or do not fit it.
        OSError: the file cannot be written.
    """
    if options.members is not None and options.members < 1:
        raise ValueError(expected("--members", "a positive integer", options.members))
    run = trained.load(options)
    from rich.console import Console

    from snntorch_binary.experiments.evaluate import evaluate_run, load_for
    from snntorch_binary.metrics import results_table

    source = trained.data_of(options, run)
    rows = evaluate_run(run, load_for(run, source), source.label, options.members)
    Console().print(results_table(rows))
    if options.out is not None:
        write_json(options.out, rows)
