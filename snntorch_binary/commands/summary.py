"""`snntorch-binary summary CHECKPOINT`: the bits of a trained network."""

from __future__ import annotations

import argparse
from typing import Any

from snntorch_binary.checkpoint import load_network


def add_to(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "summary",
        help="show the layers of a checkpoint, and how many bits they need",
        description="Show each layer of the SpikingMLP in a checkpoint of compare or fit: its rule, its 1-bit weights "
        "and its real parameters; then its bytes, against float32.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a .ckpt file, or the folder of a run of compare")
    parser.add_argument("--quiet", action="store_true", help="print the last line only")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the summary."""
    from snntorch_binary import summary

    text = str(summary(load_network(options.checkpoint)))
    print(text.splitlines()[-1] if options.quiet else text)
