"""Options of the commands that read a trained run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snntorch_binary._errors import expected, require_extras

if TYPE_CHECKING:
    from snntorch_binary.experiments.data import Source
    from snntorch_binary.experiments.description import TrainedRun

RUN = "the folder of a run of compare, fit, federate or tune, or its checkpoint"


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the run, and what names its network where that is the user's own."""
    parser.add_argument("run_path", metavar="RUN", type=Path, help=RUN)
    parser.add_argument(
        "--network",
        metavar="CLASS",
        help="the class or function that made the network, as my_models.ConvNet or path/to/models.py:ConvNet, where it "
        "is none of this package: a file chooses no class",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the YAML file of the experiment, which names network and data"
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add what names data."""
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="a data set by name, or a function of your own as my_data.gestures (default: what it learned from)",
    )
    parser.add_argument("--data-dir", metavar="D", help="folder with the data set, or with zip/tar archives of it")


def load(options: argparse.Namespace, *extras: str) -> TrainedRun:
    """Return the run that the options name, for a command that also needs these extras.

    Raises:
        CheckpointError: the files are none of a run, damaged, or of another network.
        ValueError: an option is wrong.
        MissingPackageError: an optional package is not installed.
    """
    require_extras("lightning", *extras)
    from snntorch_binary.experiments.config import read_experiment
    from snntorch_binary.experiments.description import load_run, read_rule

    if options.config is None:
        return load_run(options.run_path, options.network)
    if options.network is not None:
        raise ValueError(expected("--network", "left out with --config", options.network))
    experiment = read_experiment(options.config)
    named = experiment.network
    rule = read_rule(options.run_path)
    if rule in {each.name for each in experiment.rules}:
        named = experiment.network_of(experiment.rule(rule))
    return load_run(options.run_path, named)


def data_of(options: argparse.Namespace, run: TrainedRun) -> Source:
    """Return the data that the options name, or those that a run learned from.

    Raises:
        ValueError: an option is wrong, or the data are the user's own and not named.
    """
    from snntorch_binary.data import names
    from snntorch_binary.experiments.config import read_experiment
    from snntorch_binary.experiments.data import ShippedData
    from snntorch_binary.experiments.evaluate import own_data, user_data

    given: Any = None
    if options.data in names():
        given = ShippedData(options.data, options.data_dir, run.description.num_steps)
    elif options.data is not None:
        given = user_data(options.data, str(run.description.data.get("time", "first")))
    elif options.config is not None:
        given = read_experiment(options.config, data_dir=options.data_dir).data
    return own_data(run, given, options.data_dir)
