"""`snntorch-binary`: `compare`; `fit`, `validate`, `test`, `predict` from YAML files; `export`, `summary`, `tune`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from snntorch_binary import __version__
from snntorch_binary._errors import MissingPackageError, expected, in_one_line, require
from snntorch_binary.commands import export, federate, predict, summary, tune

_LIGHTNING_COMMANDS = {
    "fit": "train the network of a YAML file",
    "validate": "measure a checkpoint on validation data",
    "test": "measure a checkpoint on test data",
    "predict": "write a checkpoint's answers to test data to a CSV file",
}
_SPLIT_MNIST = "split-mnist"
_EPILOG = """examples:
  snntorch-binary compare digits
  snntorch-binary compare mnist --data-dir data --epochs 5 --seeds 0
  snntorch-binary compare nmnist --data-dir data --classes 6,7,8,9
  snntorch-binary compare nmnist --data-dir data --classes 6,9 --rules vowel-wta,vowel-binary,bayes
  snntorch-binary compare mnist --data-dir data --rules softlif,softlif-st
  snntorch-binary fit --config digits-bayes
  snntorch-binary predict results/mnist/runs/bayes-seed0 pictures --out answers.csv
  snntorch-binary tune digits-bayes-pbt
  snntorch-binary export --to packed results/digits/runs/bayes-seed0/last.ckpt digits.safetensors
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a mistake of the user's is one sentence on standard error and a non-zero exit.

    Args:
        arguments: the command line without the program's name; ``sys.argv`` by default.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if _is_of_lightning(arguments):
            _run_lightning(arguments)
        else:
            options = _parser().parse_args(arguments, argparse.Namespace(arguments=arguments))
            options.run(options)
    except MissingPackageError as error:
        return _fail(error)
    except KeyboardInterrupt:
        return _interrupted(arguments)
    except SystemExit as exit:
        # Lightning answers an interrupt with sys.exit.
        if isinstance(exit.__context__, KeyboardInterrupt):
            return _interrupted(arguments)
        raise
    except _user_errors() as error:
        return _fail(error)
    return 0


def _is_of_lightning(arguments: Sequence[str]) -> bool:
    """Whether a command is one of Lightning's; `predict` is ours where its first word is a checkpoint."""
    if not arguments or arguments[0] not in _LIGHTNING_COMMANDS:
        return False
    return arguments[0] != "predict" or any(word.split("=")[0] in ("-c", "--config") for word in arguments)


def _fail(error: BaseException) -> int:
    print(f"snntorch-binary: error: {in_one_line(str(error))}", file=sys.stderr)
    return 1


def _interrupted(arguments: Sequence[str]) -> int:
    how = "add --ckpt_path with the last checkpoint" if arguments[0] in _LIGHTNING_COMMANDS else "give the same command"
    print(f"snntorch-binary: interrupted; to continue, {how}.", file=sys.stderr)
    return 130


def _user_errors() -> tuple[type[BaseException], ...]:
    """Return the errors that a user can do something about; a bug of ours keeps its traceback."""
    kinds: list[type[BaseException]] = [ValueError, TypeError, OSError]
    if "snntorch_binary.lightning" in sys.modules:
        from snntorch_binary.lightning.settings import OutputError
        from snntorch_binary.lightning.spiking_module import NonFiniteLossError

        kinds += [OutputError, NonFiniteLossError]
    if "snntorch_binary.tune" in sys.modules:
        from snntorch_binary.tune.lineage import PopulationError

        kinds.append(PopulationError)
    return tuple(kinds)


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"snntorch-binary: error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="snntorch-binary",
        description="Spiking networks with 1-bit weights: compare the rules they learn by, or train one network.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"snntorch-binary {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    compare = commands.add_parser(
        "compare",
        help="train the same network in full precision, by ST-BiSNN and by Bayes-BiSNN",
        description="Train the same network under each rule and compare accuracy and calibration on the same "
        "test spikes. Ends with tables, results.json and pictures. Interrupted, the same command continues.",
    )
    compare.add_argument(
        "dataset",
        metavar="DATASET",
        nargs="?",
        default="digits",
        help=f"{', '.join(_datasets())}, {_SPLIT_MNIST} (default: digits, which needs no files)",
    )
    compare.add_argument("--data-dir", metavar="D", help="folder with the data set, or with zip/tar archives of it")
    compare.add_argument(
        "--rules",
        type=_words,
        metavar="RULES",
        help="rules to compare (default: full-precision,st,bayes; vowel-wta and vowel-binary are winner-take-all "
        "networks of event cameras, all rules then at their size; softlif, softlif-st and softlif-bayes are rate "
        "networks of images that also run in spikes; split-mnist has full-precision-ewc and st-ewc, too, "
        "and compares all five)",
    )
    compare.add_argument(
        "--hidden",
        type=_integers,
        metavar="SIZES",
        help="hidden circuits in a comparison with VOWEL's rules; several, as 0,4,16, are compared one after another",
    )
    compare.add_argument(
        "--credit",
        choices=("through-time", "local", "online"),
        default="through-time",
        help="how weights learn of the error: through all layers and time steps (default), from readouts of each layer "
        "with one update a sequence (local), or one a time step (online, BiSNN's rule)",
    )
    compare.add_argument(
        "--classes", type=_classes, metavar="LABELS", default="all", help='as "6,7,8,9" (default: all)'
    )
    compare.add_argument(
        "--limit-per-class",
        type=int,
        metavar="N",
        help="at most N examples of each class in each of the training, validation and test parts",
    )
    compare.add_argument("--epochs", type=int, metavar="N", help="passes over the training part (default: tuned)")
    compare.add_argument(
        "--seeds",
        type=_integers,
        metavar="SEEDS",
        default="0,1,2",
        help="one run of every rule each (default: 0,1,2)",
    )
    compare.add_argument(
        "--folds",
        type=int,
        metavar="K",
        help="cross-validate with K folds (default: 5 for poker-dvs and for all classes of nmnist)",
    )
    compare.add_argument(
        "--paper-exact",
        action="store_true",
        help="two-moons only: the published arithmetic and constants, next to the reference's learning curves",
    )
    compare.add_argument(
        "--ood", metavar="DATASET", help="also answer this other data set, and tell it from its own by uncertainty"
    )
    compare.add_argument(
        "--anytime", action="store_true", help="also score answers after each time step, and early exit"
    )
    compare.add_argument(
        "--coreset",
        type=int,
        metavar="N",
        help="split-mnist: examples of each task that are learned again with every later one (default: 960)",
    )
    compare.add_argument("--out", type=Path, metavar="DIR", help="folder for results (default: results/DATASET)")
    compare.add_argument(
        "--download", action="store_true", help="download mnist or fashion-mnist if it is not in --data-dir"
    )
    compare.set_defaults(run=_compare)
    for name, what in _LIGHTNING_COMMANDS.items():
        if name != "predict":
            commands.add_parser(name, help=what, add_help=False)
    predict.add_to(commands)
    federate.add_to(commands)
    export.add_to(commands)
    summary.add_to(commands)
    tune.add_to(commands)
    return parser


def _datasets() -> tuple[str, ...]:
    from snntorch_binary.data import names

    return tuple(name for name in names() if not name.startswith("cifar"))  # which want convolutions


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in _words(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected integers separated by commas, but got {text!r}") from None


def _classes(text: str) -> tuple[int, ...] | str:
    return text if text == "all" else _integers(text)


def _compare(options: argparse.Namespace) -> None:
    for package in ("matplotlib", "rich", "torchmetrics", "lightning"):  # each imports those before it
        require(package, "lightning")
    if options.dataset == _SPLIT_MNIST:
        _compare_split_mnist(options)
        return
    if options.dataset not in _datasets():
        known = ", ".join((*_datasets(), _SPLIT_MNIST))
        raise ValueError(expected("dataset", f"one of {known}", repr(options.dataset)))
    if options.coreset is not None:
        raise ValueError(expected("--coreset", f"given with {_SPLIT_MNIST} only", options.coreset))
    from rich.console import Console

    from snntorch_binary.lightning.circuits import compare_sizes, draw_circuits
    from snntorch_binary.lightning.compare import train_all
    from snntorch_binary.lightning.elapsed_time import check_anytime, report_anytime
    from snntorch_binary.lightning.out_of_distribution import check_ood, report_ood
    from snntorch_binary.lightning.parity import run_parity
    from snntorch_binary.lightning.progress import ComparisonProgress
    from snntorch_binary.lightning.provenance import write_csv
    from snntorch_binary.lightning.recipes import RULES
    from snntorch_binary.lightning.regression import report_regression
    from snntorch_binary.lightning.report import report
    from snntorch_binary.lightning.settings import Settings
    from snntorch_binary.lightning.soft_lif import draw_spikes
    from snntorch_binary.lightning.surface import draw_surface

    sizes: tuple[int | None, ...] = (None,) if options.hidden is None else options.hidden
    if not sizes or len(set(sizes)) != len(sizes):
        raise ValueError(expected("--hidden", "different integers, at least one", options.hidden))
    several = [
        Settings(
            options.dataset,
            options.data_dir,
            RULES if options.rules is None else options.rules,
            options.classes,
            options.limit_per_class,
            options.epochs,
            options.seeds,
            options.folds,
            options.download,
            options.credit,
            hidden,
        )
        for hidden in sizes
    ]
    settings = several[0]
    variant = "vowel" if settings.vowel else "softlif" if settings.soft_lif else settings.credit
    name = settings.dataset if variant == "through-time" else f"{settings.dataset}-{variant}"
    out = options.out or Path("results") / name
    console = Console()
    if len(several) > 1:
        if options.ood is not None or options.anytime:
            raise ValueError(expected("--hidden", "a single size with --ood or --anytime", options.hidden))
        compare_sizes(several, out, console)
        write_csv(out, options.arguments)
        return
    num_runs = len(settings.rules) * len(settings.seeds) * (settings.folds or 1)
    progress = ComparisonProgress(console, num_runs, settings.epochs or settings.recipe.epochs)
    if options.paper_exact:
        run_parity(settings, options.out or Path("results/two-moons-paper-exact"), console)
        return
    if options.ood is not None:
        check_ood(settings, options.ood)
    if options.anytime:
        check_anytime(settings)
    runs = train_all(settings, out, progress)
    if settings.regression:
        report_regression(settings, runs, out, console)
    else:
        report(settings, runs, out, console)
    write_csv(out, options.arguments)
    if settings.vowel:
        draw_circuits(settings, runs, out, console)
    if settings.soft_lif:
        draw_spikes(settings, runs, out, console)
    if settings.dataset == "two-moons":
        draw_surface(settings, runs, out, console)
    if options.ood is not None:
        report_ood(settings, options.ood, runs, out, console)
    if options.anytime:
        report_anytime(settings, runs, out, console)


def _compare_split_mnist(options: argparse.Namespace) -> None:
    from rich.console import Console

    from snntorch_binary.lightning.progress import ComparisonProgress
    from snntorch_binary.lightning.provenance import write_csv
    from snntorch_binary.lightning.split_mnist import train_all
    from snntorch_binary.lightning.split_mnist_report import report
    from snntorch_binary.lightning.split_mnist_settings import RULES, SplitSettings

    fixed = {"credit": "through-time", "classes": "all", "folds": None, "ood": None, "anytime": False}
    for name, value in fixed.items():
        if getattr(options, name) != value:
            raise ValueError(expected(f"--{name}", f"left out with {_SPLIT_MNIST}", getattr(options, name)))
    settings = SplitSettings(
        options.data_dir,
        RULES if options.rules is None else options.rules,
        SplitSettings.coreset if options.coreset is None else options.coreset,
        options.limit_per_class,
        SplitSettings.epochs if options.epochs is None else options.epochs,
        options.seeds,
        options.download,
    )
    out = options.out or Path("results") / _SPLIT_MNIST
    console = Console()
    progress = ComparisonProgress(console, len(settings.rules) * len(settings.seeds), settings.num_epochs)
    report(settings, train_all(settings, out, progress), out, console)
    write_csv(out, options.arguments)


def _run_lightning(arguments: list[str]) -> None:
    for package in ("rich", "jsonargparse", "torchmetrics", "lightning"):
        require(package, "lightning")
    from snntorch_binary.lightning.command import run

    run(arguments, _LIGHTNING_COMMANDS)
