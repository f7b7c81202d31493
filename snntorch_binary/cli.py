"""The command line: `snntorch-binary compare DATASET`, and `fit`, `validate`, `test` and `predict` from YAML files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from snntorch_binary._errors import MissingPackageError, expected, require

_LIGHTNING_COMMANDS = ("fit", "validate", "test", "predict")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a mistake of the user's is one sentence on standard error and a non-zero exit.

    Args:
        arguments: the command line without the program's name; ``sys.argv`` by default.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if arguments and arguments[0] in _LIGHTNING_COMMANDS:
            _run_lightning(arguments)
        else:
            _compare(_parser().parse_args(arguments))
    except MissingPackageError as error:
        return _fail(error)
    except _user_errors() as error:
        return _fail(error)
    return 0


def _fail(error: BaseException) -> int:
    print(f"snntorch-binary: error: {error}", file=sys.stderr)
    return 1


def _user_errors() -> tuple[type[BaseException], ...]:
    """Return the errors that a user can do something about; a bug of ours keeps its traceback."""
    from snntorch_binary.data import CorruptDataError

    kinds: list[type[BaseException]] = [
        ValueError,
        TypeError,
        FileNotFoundError,
        PermissionError,
        CorruptDataError,
    ]
    if "snntorch_binary.lightning.compare" in sys.modules:
        from snntorch_binary.lightning.compare import OutputError
        from snntorch_binary.lightning.modules import NonFiniteLossError

        kinds += [OutputError, NonFiniteLossError]
    return tuple(kinds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="snntorch-binary",
        description="Spiking networks with 1-bit weights: compare learning rules, or train from a YAML file.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    compare = commands.add_parser(
        "compare",
        help="train the same network in full precision, by ST-BiSNN and by Bayes-BiSNN",
        description="Train the same network under each rule; ends with a table, results.json and pictures. "
        "Interrupted, the same command continues.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    compare.add_argument(
        "dataset", metavar="DATASET", nargs="?", default="digits", help=f"one of {', '.join(_datasets())}"
    )
    compare.add_argument(
        "--data-dir", metavar="D", help="folder with the data set, or zip/tar archives of it"
    )
    compare.add_argument("--rules", type=_words, default="full-precision,st,bayes", help="rules to compare")
    compare.add_argument(
        "--classes", type=_classes, default="all", help='classes to keep, as "6,7,8,9", or "all"'
    )
    compare.add_argument(
        "--limit-per-class", type=int, metavar="N", help="at most N examples of each class and part"
    )
    compare.add_argument("--epochs", type=int, metavar="N", help="epochs; by default the data set's recipe")
    compare.add_argument(
        "--seeds", type=_integers, default="0,1,2", help="one run of every rule for each seed"
    )
    compare.add_argument("--folds", type=int, metavar="K", help="cross-validate with K folds")
    compare.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for results; by default results/DATASET"
    )
    compare.add_argument("--download", action="store_true", help="download the data set if it is not found")
    for name in _LIGHTNING_COMMANDS:
        commands.add_parser(
            name, help=f"{name} a LightningModule from a YAML file (--config)", add_help=False
        )
    return parser


def _datasets() -> tuple[str, ...]:
    from snntorch_binary.data import names

    return names()


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
    for package in ("lightning", "torchmetrics", "rich", "matplotlib"):
        require(package, "lightning")
    from rich.console import Console

    from snntorch_binary.lightning.compare import Settings, prepare_output, train_all
    from snntorch_binary.lightning.progress import ComparisonProgress
    from snntorch_binary.lightning.report import report

    settings = Settings(
        options.dataset,
        options.data_dir,
        options.rules,
        options.classes,
        options.limit_per_class,
        options.epochs,
        options.seeds,
        options.folds,
        options.download,
    )
    out = options.out or Path("results") / settings.dataset
    prepare_output(out, settings)
    console = Console()
    num_runs = len(settings.rules) * len(settings.seeds) * (settings.folds or 1)
    progress = ComparisonProgress(console, num_runs, settings.epochs or settings.recipe.epochs)
    report(settings, train_all(settings, out, progress), out, console)


def _run_lightning(arguments: list[str]) -> None:
    for package in ("lightning", "jsonargparse", "torchmetrics"):
        require(package, "lightning")
    from lightning.pytorch.cli import LightningCLI

    from snntorch_binary.lightning import SpikeDataModule, SpikingClassifier

    LightningCLI(
        SpikingClassifier,
        SpikeDataModule,
        subclass_mode_model=True,
        args=_shipped_configs(arguments),
        save_config_kwargs={"overwrite": True},
    )


def _shipped_configs(arguments: list[str]) -> list[str]:
    """Let ``--config digits-bayes`` name a file that ships with the package.

    Raises:
        ValueError: there is neither such a file nor such a shipped one.
    """
    shipped = {path.stem: path for path in (Path(__file__).parent / "lightning" / "configs").glob("*.yaml")}
    resolved = list(arguments)
    for index, word in enumerate(resolved[:-1]):
        name = resolved[index + 1]
        if word in ("--config", "-c") and not Path(name).exists():
            if name not in shipped:
                raise ValueError(expected("--config", f"a YAML file or one of {sorted(shipped)}", repr(name)))
            resolved[index + 1] = str(shipped[name])
    return resolved
