"""Small populations that can be stopped: `snntorch-binary tune` in a process of its own, since Ray warns and stays.

``python populations.py HOW N FOLDER CONFIG`` is stopped at the N-th report: ``kill`` kills it, ``interrupt`` is a
SIGINT to its process group, as from a terminal. Without them it comes to its end.
"""

import json
import os
import signal
import sys
from pathlib import Path

import psutil

from snntorch_binary.cli import main
from snntorch_binary.experiments.tune import populations


def below():
    return psutil.Process().children(recursive=True)


def listening():
    """The addresses that this process and those below it listen on."""
    pids = {os.getpid(), *(child.pid for child in below())}
    found = [of for of in psutil.net_connections("tcp") if of.status == psutil.CONN_LISTEN and of.pid in pids]
    return sorted({of.laddr.ip.removeprefix("::ffff:") for of in found})


class Kill:
    """Ends the process at a report, having noted which processes are there and where they listen."""

    def __init__(self, folder, at):
        self.folder, self.left = folder, at

    def __call__(self, report):
        self.left -= 1
        if self.left == 0:
            noted = {"listening": listening(), "processes": [child.pid for child in below()]}
            (self.folder / "noted.json").write_text(json.dumps(noted))
            os.kill(os.getpid(), signal.SIGKILL)


class Interrupt:
    """Interrupts the process group at a report."""

    def __init__(self, folder, at):
        self.left = at

    def __call__(self, report):
        self.left -= 1
        if self.left == 0:
            os.killpg(os.getpgrp(), signal.SIGINT)


if __name__ == "__main__":
    *stop, folder, config = sys.argv[1:]
    folder = Path(folder)
    if stop:
        how, at = stop
        listener = {"kill": Kill, "interrupt": Interrupt}[how](folder, int(at))
        populations._Listener = lambda *_: listener
    code = main(["tune", config, "--slots", "1", "--out", str(folder / "out")])
    left = [child.name() for child in below() if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    (folder / "left.json").write_text(json.dumps(left))
    sys.exit(code)
