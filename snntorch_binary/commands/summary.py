"""`snntorch-binary summary RUN`: the bits of a trained network."""

from __future__ import annotations

import argparse
from typing import Any

from snntorch_binary.commands import trained

_EPILOG = """examples:
  snntorch-binary summary results/digits/runs/bayes-seed0
  snntorch-binary summary results/mine/runs/st-seed0 --network my_models.ConvNet
"""


def add_to(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "summary",
        help="show the layers of a run's network and their bits",
        description="Show each layer of the network of a run: its rule, its 1-bit weights and its real parameters; "
        "then its bytes, against float32.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    trained.add_run(parser)
    parser.add_argument("--quiet", action="store_true", help="print the last line only")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the summary."""
    from snntorch_binary import summary

    text = str(summary(trained.load(options).net))
    print(text.splitlines()[-1] if options.quiet else text)
