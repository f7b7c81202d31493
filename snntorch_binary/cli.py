"""`snntorch-binary`: `compare`; `fit`, `validate`, `test` from YAML files; what reads a run; `federate`, `tune`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from snntorch_binary import __version__
from snntorch_binary._errors import MissingPackageError, in_one_line, require_extras
from snntorch_binary.commands import compare, evaluate, export, federate, predict, summary, tune

_LIGHTNING_COMMANDS = {
    "fit": "train the network of a YAML file",
    "validate": "measure a checkpoint on validation data",
    "test": "measure a checkpoint on test data",
}
_YOURS = "docs/guide/your_network.md"
_EPILOG = """begin with:
  snntorch-binary compare digits               no files needed, about a minute
  snntorch-binary compare --config mine.yaml   your own network and data
  snntorch-binary COMMAND --help               its options and examples
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
        if arguments and arguments[0] in _LIGHTNING_COMMANDS:
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
        of_a_file = type(error) is ValueError and any(word.split("=")[0] == "--config" for word in arguments)
        return _fail(error, _YOURS if of_a_file else None)
    return 0


def _fail(error: BaseException, page: str | None = None) -> int:
    """Say an error, and the page of the guide that helps: its own, or the one that is given."""
    page = getattr(error, "page", page)
    where = "" if page is None else f" See {page}."
    print(f"snntorch-binary: error: {in_one_line(str(error))}{where}", file=sys.stderr)
    return 1


def _interrupted(arguments: Sequence[str]) -> int:
    how = "add --ckpt_path with the last checkpoint" if arguments[0] in _LIGHTNING_COMMANDS else "give the same command"
    print(f"snntorch-binary: interrupted; to continue, {how}.", file=sys.stderr)
    return 130


def _user_errors() -> tuple[type[BaseException], ...]:
    """Return the errors that a user can do something about; a bug of ours keeps its traceback."""
    kinds: list[type[BaseException]] = [ValueError, TypeError, OSError]
    if "snntorch_binary.lightning" in sys.modules:
        from snntorch_binary._files import OutputError
        from snntorch_binary._processes import ProcessEndedError
        from snntorch_binary.lightning.spiking_module import NonFiniteLossError

        kinds += [OutputError, ProcessEndedError, NonFiniteLossError]
    if "snntorch_binary.tune" in sys.modules:
        from snntorch_binary.tune.lineage import PopulationError

        kinds.append(PopulationError)
    return tuple(kinds)


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"snntorch-binary: error: {message} (see {self.prog} --help)\n")


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help with a column that is wide enough for commands: argparse forgets that they are indented."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = len("  validate  ")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="snntorch-binary",
        usage="snntorch-binary [--help] [--version] COMMAND ...",
        description="Spiking networks with 1-bit weights: compare rules, train, answer, export.",
        epilog=_EPILOG,
        formatter_class=_Help,
        add_help=False,
    )
    # Said by the usage: the whole help fits a screen of 24 lines.
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    version = f"snntorch-binary {__version__}"
    parser.add_argument("--version", action="version", version=version, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(
        prog="snntorch-binary", title="commands", dest="command", required=True, metavar="COMMAND"
    )
    compare.add_to(commands)
    for name, what in _LIGHTNING_COMMANDS.items():
        commands.add_parser(name, help=what, add_help=False)
    predict.add_to(commands)
    evaluate.add_to(commands)
    federate.add_to(commands)
    export.add_to(commands)
    summary.add_to(commands)
    tune.add_to(commands)
    return parser


def _run_lightning(arguments: list[str]) -> None:
    require_extras("lightning")
    from snntorch_binary.experiments.fit.command import run

    run(arguments, _LIGHTNING_COMMANDS)
