"""`snntorch-binary compare NAME` or `compare --config FILE`: a network trained under each rule, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from snntorch_binary import _processes
from snntorch_binary._errors import expected, require_extras
from snntorch_binary.commands.options import integers, labels, words

_SPLIT_MNIST = "split-mnist"
_EPILOG = """a file of your own says what is trained and on what, as those that ship do:
  network: {class_path: my_models.ConvNet, init_args: {channels: 12}}
  data: {class_path: my_data.gestures}     # a function that returns training, validation and test parts
  rules: [full-precision, st, bayes]
  epochs: 20

examples:
  snntorch-binary compare digits
  snntorch-binary compare --config mine.yaml --jobs 4
  snntorch-binary compare mnist --data-dir data --epochs 5 --seeds 0
  snntorch-binary compare nmnist --data-dir data --classes 6,7,8,9 --shift
  snntorch-binary compare nmnist-conv --data-dir data --classes 6,7,8,9
  snntorch-binary compare nmnist --data-dir data --classes 6,9 --rules vowel-wta,vowel-binary,bayes
"""


def add_to(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "compare",
        help="train one network by each rule; tables and pictures",
        description="Train the same network under each rule and compare accuracy and calibration on the same "
        "test data. Ends with tables, results.json and pictures. Interrupted, the same command continues.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help="an experiment that ships, as digits (which needs no files), mnist, nmnist-conv or split-mnist; "
        "an unknown one gets the list of all (default: digits)",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="a YAML file in place of NAME")
    parser.add_argument("--data-dir", metavar="D", help="folder with the data set, or with zip/tar archives of it")
    parser.add_argument(
        "--rules",
        type=words,
        metavar="RULES",
        help="rules to compare (default: those of the experiment; of mnist, for one, full-precision,st,bayes, or "
        "softlif,softlif-st,softlif-bayes; of nmnist also vowel-wta,vowel-binary; balanced, balanced-bayes and "
        "trajectory go with each; split-mnist has full-precision-ewc and st-ewc, too)",
    )
    parser.add_argument(
        "--hidden",
        type=integers,
        metavar="SIZES",
        help="sizes of the hidden layer; several, as 0,4,16, are compared one after another",
    )
    parser.add_argument(
        "--credit",
        choices=("through-time", "local", "online"),
        default="through-time",
        help="how weights learn of the error: through all layers and time steps (default), from readouts of each layer "
        "with one update a sequence (local), or one a time step (online, BiSNN's rule)",
    )
    parser.add_argument("--classes", type=labels, metavar="LABELS", help='as "6,7,8,9" (default: all)')
    parser.add_argument(
        "--limit-per-class",
        type=int,
        metavar="N",
        help="at most N examples of each class in each of the training, validation and test parts",
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the training part (default: tuned)")
    parser.add_argument("--seeds", type=integers, metavar="SEEDS", help="one run of every rule each (default: 0,1,2)")
    parser.add_argument(
        "--folds",
        type=int,
        metavar="K",
        help="cross-validate with K folds (default: 5 for poker-dvs and for all classes of nmnist)",
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="runs that are trained at once (default: half the cores; 2 of 2)"
    )
    parser.add_argument(
        "--no-fuse",
        action="store_true",
        help="train a network that goes step by step as it is, not with all time steps at once, which is faster",
    )
    parser.add_argument(
        "--paper-exact",
        action="store_true",
        help="two-moons only: the published arithmetic and constants, next to the reference's learning curves",
    )
    parser.add_argument(
        "--ood", metavar="DATASET", help="also answer this other data set, and tell it from its own by uncertainty"
    )
    parser.add_argument(
        "--anytime", action="store_true", help="also score answers after each time step, and early exit"
    )
    parser.add_argument(
        "--shift",
        type=words,
        nargs="?",
        const=(),
        metavar="CORRUPTIONS",
        help="also answer the test part as a failing sensor sees it, under each corruption or those of some names, as "
        "noise_spikes,dead_pixels",
    )
    parser.add_argument(
        "--coreset",
        type=int,
        metavar="N",
        help="split-mnist: examples of each task that are learned again with every later one (default: 960)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for results (default: results/NAME)")
    parser.add_argument(
        "--download", action="store_true", help="download mnist or fashion-mnist if it is not in --data-dir"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Carry out the comparison.

    Raises:
        ValueError: the file or an option is wrong.
        OutputError: the results cannot be written, or mixed with those already there.
        MissingPackageError: an optional package is not installed.
    """
    jobs = _processes.default_jobs() if options.jobs is None else options.jobs
    if options.name != _SPLIT_MNIST and not options.paper_exact:
        _processes.warm_up(jobs)
    require_extras("lightning")
    if options.name is not None and options.config is not None:
        raise ValueError(expected("NAME", "left out with --config", repr(options.name)))
    if options.name == _SPLIT_MNIST:
        _split_mnist(options)
        return
    if options.coreset is not None:
        raise ValueError(expected("--coreset", f"given with {_SPLIT_MNIST} only", options.coreset))
    if options.paper_exact:
        _paper_exact(options)
        return
    from rich.console import Console

    from snntorch_binary.experiments.compare import run as carry_out
    from snntorch_binary.experiments.compare import sizes
    from snntorch_binary.experiments.provenance import write_csv

    experiment = _experiment(options)
    out = options.out or Path("results") / experiment.name
    console = Console()
    several = options.hidden or ()
    shift = False if options.shift is None else options.shift or True
    sizes.check_sizes(experiment, several)
    if len(several) > 1 and (options.ood is not None or options.anytime or shift is not False):
        raise ValueError(expected("--hidden", "a single size with --ood, --anytime or --shift", options.hidden))
    of_sizes = [sizes.of_size(experiment, size) for size in several]
    if len(several) > 1:
        for size, of_size in zip(several, of_sizes, strict=True):
            carry_out(of_size, sizes.folder_of_size(out, size), console, jobs)
        sizes.report_sizes(several, out)
        console.print(f"Written to {out}: results.json, sizes.png", highlight=False, markup=False, soft_wrap=True)
    else:
        try:
            carry_out(of_sizes[0] if of_sizes else experiment, out, console, jobs, options.ood, options.anytime, shift)
        except BrokenPipeError:  # whoever reads the tables has seen enough
            if (out / "results.json").is_file():
                write_csv(out, options.arguments)
            raise
    write_csv(out, options.arguments)


def _experiment(options: argparse.Namespace) -> Any:
    from dataclasses import replace

    from snntorch_binary.experiments.config import find, read_experiment

    path = options.config or find(options.name or "digits", options.rules, options.credit)
    given = {name: getattr(options, name) for name in ("data_dir", "classes", "limit_per_class")}
    given["download"] = options.download or None
    experiment = read_experiment(path, options.rules, **given)
    if experiment.data.label == "nmnist" and options.config is None and options.classes not in (None, "all"):
        experiment = replace(experiment, num_folds=None)  # of all ten digits there are few recordings
    experiment = experiment.with_changes(epochs=options.epochs, seeds=options.seeds, num_folds=options.folds)
    if options.no_fuse:
        experiment = experiment.with_changes(fuse=False)
    if options.credit != "through-time":
        experiment = experiment.with_changes(credit=options.credit)
    if options.config is not None:
        return experiment
    plain = options.credit == "through-time"
    return replace(experiment, name=path.stem if plain else f"{experiment.data.label}-{options.credit}")


def _paper_exact(options: argparse.Namespace) -> None:
    from rich.console import Console

    from snntorch_binary.experiments.compare.parity import run_parity

    if options.name != "two-moons":
        raise ValueError(expected("--paper-exact", "used with two-moons, whose reference is known", options.name))
    out = options.out or Path("results/two-moons-paper-exact")
    run_parity(options.rules or ("st", "bayes"), options.seeds or (0, 1, 2), options.epochs, out, Console())


def _split_mnist(options: argparse.Namespace) -> None:
    from rich.console import Console

    from snntorch_binary.experiments.progress import RunsProgress
    from snntorch_binary.experiments.provenance import write_csv
    from snntorch_binary.experiments.split_mnist.report import report
    from snntorch_binary.experiments.split_mnist.run import train_all
    from snntorch_binary.experiments.split_mnist.settings import RULES, SplitSettings

    unused = {
        "credit": "through-time",
        "classes": None,
        "folds": None,
        "ood": None,
        "anytime": False,
        "shift": None,
        "hidden": None,
        "no-fuse": False,
    }
    for name, value in unused.items():
        got = getattr(options, name.replace("-", "_"))
        if got != value:
            raise ValueError(expected(f"--{name}", f"left out with {_SPLIT_MNIST}", got))
    settings = SplitSettings(
        options.data_dir,
        tuple(RULES) if options.rules is None else options.rules,
        SplitSettings.coreset if options.coreset is None else options.coreset,
        options.limit_per_class,
        SplitSettings.epochs if options.epochs is None else options.epochs,
        options.seeds or SplitSettings.seeds,
        options.download,
    )
    out = options.out or Path("results") / _SPLIT_MNIST
    console = Console()
    progress = RunsProgress(console, len(settings.rules) * len(settings.seeds), settings.num_epochs)
    report(settings, train_all(settings, out, progress), out, console)
    write_csv(out, options.arguments)
