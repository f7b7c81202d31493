"""`snntorch-binary federate CONFIG`: a whole federation on this machine, from a YAML file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from snntorch_binary._errors import expected, require

_EPILOG = """CONFIG is a YAML file or the name of one that ships with the package; a wrong name lists them. Every method
in it runs once for every seed; ends with a table, results.json, results.csv and pictures. Interrupted, the same command
continues after the last finished round.

examples:
  snntorch-binary federate digits-5-clients
  snntorch-binary federate mnist-10-clients --data-dir data
  snntorch-binary federate fl-snn-nmnist --data-dir data
"""


def add_to(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "federate",
        help="train a network federatedly, by averaging or from posteriors, on this machine",
        description="Train a network on data that is spread over clients, under each method of a YAML file, and "
        "compare accuracy, calibration and the bytes sent.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", metavar="CONFIG", help="a YAML file, or the name of a shipped one")
    parser.add_argument("--data-dir", metavar="D", help="folder with the data set, or with archives of it")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for results (default: results/CONFIG)")
    parser.add_argument("--methods", metavar="NAMES", help="some of the file's methods, as bayes-product,st-one-bit")
    parser.add_argument("--seeds", metavar="SEEDS", help="one run of every method each, as 0,1,2")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds in place of the file's")
    parser.add_argument("--engine", choices=("in-process", "ray"), help="what runs the clients (default: in-process)")
    parser.add_argument("--limit-per-class", type=int, metavar="N", help="at most N examples of each class and part")
    parser.set_defaults(run=run_command)


def run_command(options: argparse.Namespace) -> None:
    """Run the federation, and print and draw what came of it.

    Raises:
        ValueError: the file or an option is wrong.
        OutputError: the results cannot be written, or mixed with those already there.
        MissingPackageError: an optional package is not installed.
    """
    for package in ("matplotlib", "rich", "jsonargparse", "torchmetrics", "lightning"):
        require(package, "lightning")
    require("snntorch_binary.federated.flower", "federated")
    from rich.console import Console

    from snntorch_binary.experiments.progress import RunsProgress
    from snntorch_binary.experiments.provenance import write_csv
    from snntorch_binary.federated.online_settings import is_online
    from snntorch_binary.federated.report import report
    from snntorch_binary.federated.run import run_all
    from snntorch_binary.federated.settings import chosen_settings

    out = options.out or Path("results") / Path(options.config).stem
    console = Console()
    if is_online(options.config):
        _run_online(options, out, console)
        return
    settings = chosen_settings(
        options.config,
        data_dir=options.data_dir,
        methods=options.methods,
        seeds=options.seeds,
        limit_per_class=options.limit_per_class,
        num_rounds=options.rounds,
        engine=options.engine,
    )
    progress = RunsProgress(console, len(settings.methods) * len(settings.seeds), settings.num_rounds)
    report(settings, run_all(settings, out, progress), out, console)
    write_csv(out, options.arguments)


def _run_online(options: argparse.Namespace, out: Path, console: Any) -> None:
    """Run a federation of devices that learn online.

    Raises:
        ValueError: the file or an option is wrong.
        OutputError: the results cannot be written, or mixed with those already there.
    """
    from snntorch_binary.experiments.progress import RunsProgress
    from snntorch_binary.experiments.provenance import write_csv
    from snntorch_binary.federated.online_report import report_online
    from snntorch_binary.federated.online_run import run_online
    from snntorch_binary.federated.online_settings import read_online_settings
    from snntorch_binary.federated.settings import seeds_of

    for name in ("rounds", "engine"):
        if getattr(options, name) is not None:
            raise ValueError(expected(f"--{name}", "left out with online devices", getattr(options, name)))
    settings = read_online_settings(
        options.config,
        data_dir=options.data_dir,
        methods=None if options.methods is None else [word.strip() for word in options.methods.split(",")],
        seeds=None if options.seeds is None else seeds_of(options.seeds),
        limit_per_class=options.limit_per_class,
    )
    progress = RunsProgress(console, len(settings.methods) * len(settings.seeds), 1)
    report_online(settings, run_online(settings, out, progress), out, console)
    write_csv(out, options.arguments)
