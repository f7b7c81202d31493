"""`snntorch-binary federate CONFIG`: a whole federation on this machine, from a YAML file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from snntorch_binary import _processes
from snntorch_binary._errors import expected, require, require_extras
from snntorch_binary.commands.options import integers, words

_EPILOG = """CONFIG is a YAML file or the name of one that ships with the package; a wrong name lists them. Its network
and data are named as in those of compare, and may be your own. Every method in it runs once for every seed; ends with a
table, results.json, results.csv and pictures. Interrupted, the same command continues after the last finished round.

examples:
  snntorch-binary federate digits-5-clients
  snntorch-binary federate mnist-10-clients --data-dir data
  snntorch-binary federate fl-snn-nmnist --data-dir data
"""


def add_to(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "federate",
        help="train a network of many clients that share no data",
        description="Train a network on data that is spread over clients, under each method of a YAML file, and "
        "compare accuracy, calibration and the bytes sent.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", metavar="CONFIG", help="a YAML file, or the name of a shipped one")
    parser.add_argument("--data-dir", metavar="D", help="folder with the data set, or with archives of it")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for results (default: results/CONFIG)")
    parser.add_argument(
        "--methods", type=words, metavar="NAMES", help="some of the file's methods, as bayes-product,st-one-bit"
    )
    parser.add_argument("--seeds", type=integers, metavar="SEEDS", help="one run of every method each, as 0,1,2")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds in place of the file's")
    parser.add_argument("--engine", choices=("in-process", "ray"), help="what runs the clients (default: in-process)")
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="runs under way at once (default: half the cores; 2 of 2)"
    )
    parser.add_argument("--limit-per-class", type=int, metavar="N", help="at most N examples of each class and part")
    parser.set_defaults(run=run_command)


def run_command(options: argparse.Namespace) -> None:
    """Run the federation, and print and draw what came of it.

    Raises:
        ValueError: the file or an option is wrong.
        OutputError: the results cannot be written, or mixed with those already there.
        MissingPackageError: an optional package is not installed.
    """
    require_extras("lightning", also=("federated",))
    from snntorch_binary.experiments import fl_snn
    from snntorch_binary.experiments.fl_snn.config import is_online
    from snntorch_binary.experiments.provenance import write_csv

    out = options.out or Path("results") / Path(options.config).stem
    names = ("data_dir", "limit_per_class", "methods", "seeds")
    given = {name: getattr(options, name) for name in names}
    if is_online(options.config):
        for name in ("rounds", "engine", "jobs"):
            if getattr(options, name) is not None:
                raise ValueError(expected(f"--{name}", "left out with online devices", getattr(options, name)))
        fl_snn.run(fl_snn.read_online_federation(options.config, **given), out)
    else:
        _run(options, given, out)
    write_csv(out, options.arguments)


def _run(options: argparse.Namespace, given: dict[str, Any], out: Path) -> None:
    require("snntorch_binary.federated.flower", "federated")
    from snntorch_binary.experiments import federate
    from snntorch_binary.experiments.federate.config import read_federation

    federation = read_federation(options.config, **given, num_rounds=options.rounds, engine=options.engine)
    jobs = options.jobs
    if jobs is None:
        jobs = 1 if federation.engine == "ray" else _processes.default_jobs()
    federate.run(federation, out, jobs=jobs)
