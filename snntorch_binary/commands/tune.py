"""`snntorch-binary tune CONFIG`: population based training of the network of a YAML file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from snntorch_binary._errors import require_extras
from snntorch_binary.commands.options import integers

_EPILOG = """CONFIG is a YAML file, or the name of one that ships: toy-quadratic, digits-bayes-pbt or
nmnist-bayes-pbt. It names network, rule and data, which may be your own, the space with a range for
each hyper-parameter, the metric, the interval. Ends with tables, a picture of the lineage, and
schedule.yaml, which fit replays without Ray.

examples:
  snntorch-binary tune digits-bayes-pbt
  snntorch-binary tune nmnist-bayes-pbt --data-dir data --slots 2
  snntorch-binary fit --config results/digits-bayes-pbt/seed0/pbt/schedule.yaml
"""


def add_to(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "tune",
        help="find a schedule of hyper-parameters by a population",
        description="Train a population of networks on Ray Tune, whose worse members copy better ones and change "
        "their hyper-parameters, and as many fixed settings. Interrupted, the same command continues.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", metavar="CONFIG", help="a YAML file, or the name of one that ships")
    parser.add_argument("--data-dir", metavar="D", help="folder with the data set")
    parser.add_argument("--population", type=int, metavar="N", help="members (default: as CONFIG says, or 8)")
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the training part of each member")
    parser.add_argument("--interval", type=int, metavar="N", help="epochs between two rankings")
    parser.add_argument("--seeds", type=integers, metavar="SEEDS", help="one population each, as 0,1,2")
    parser.add_argument("--slots", type=int, metavar="N", help="trials at a time (default: one on each processor)")
    parser.add_argument("--address", metavar="A", help="a Ray cluster, as 10.0.0.1:6379 or auto")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for results (default: results/CONFIG)")
    parser.set_defaults(run=run_command)


def run_command(options: argparse.Namespace) -> None:
    """Read the configuration, train, and report.

    Raises:
        ValueError: before anything starts, when it cannot be trained.
    """
    require_extras("lightning", "tune")
    from snntorch_binary.experiments.provenance import write_csv
    from snntorch_binary.experiments.tune import run
    from snntorch_binary.experiments.tune.config import read_tuning

    names = ("data_dir", "population", "epochs", "interval", "seeds", "slots", "address")
    tuning = read_tuning(options.config, **{name: getattr(options, name) for name in names})
    out = options.out or Path("results") / tuning.name
    run(tuning, out)
    write_csv(out, options.arguments)
