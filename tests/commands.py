"""Commands in processes of their own that need not import: they are forked from one that has imported everything.

That one only imports, so that nothing is forked in the middle of something; each pytest process has one. What a command
is to find as a user's fresh interpreter does, its imports themselves, belongs into :mod:`subprocess` instead.
"""

import atexit
import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
import weakref
from contextlib import suppress
from pathlib import Path

IMPORTED = [
    "sklearn.datasets",
    "matplotlib.pyplot",
    "numba",
    "snntorch",
    "snntorch_binary.cli",
    "snntorch_binary.experiments.compare",
    "snntorch_binary.experiments.fit.command",
]
"""What many commands import when they run; what is not installed is left out."""

_HERE = Path(__file__).parent


def context():
    """Return how processes are begun: forked from one that has imported, where there is such a thing."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(IMPORTED)
    return found


class Command:
    """A running command, as :class:`subprocess.Popen` has them: ``-m MODULE ...`` or ``SCRIPT ...``.

    Args:
        arguments: what would follow ``python``.
        cwd: its folder.
        env: all of its environment variables.
    """

    stdin = stdout = stderr = None

    def __init__(self, arguments, cwd=None, env=None):
        self.args = [str(argument) for argument in arguments]
        folder = tempfile.mkdtemp(prefix="command-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._said = [str(Path(folder, name)) for name in ("stdout", "stderr")]
        alone, own = context().Pipe(duplex=False)
        given = (self.args, str(cwd or os.getcwd()), dict(os.environ if env is None else env), self._said, own)
        self._process = context().Process(target=_carry_out, args=given)
        self._process.start()
        self.pid = self._process.pid
        own.close()
        with alone, suppress(EOFError):
            alone.recv()  # until then a signal to its group is one to the group of these tests

    @property
    def returncode(self):
        return self._process.exitcode

    poll = returncode.fget

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def said(self):
        """Return what is on its standard output and error so far."""
        return tuple(Path(path).read_text() if os.path.exists(path) else "" for path in self._said)


def run(arguments, cwd=None, env=None, timeout=None):
    """Run a command to its end; return what :func:`subprocess.run` does, with its output as text."""
    command = Command(arguments, cwd, env)
    try:
        command.wait(timeout)
    finally:
        command.kill()
    return subprocess.CompletedProcess(command.args, command.returncode, *command.said())


def _carry_out(arguments, folder, environment, said, alone):
    """Be that command, in a session of its own."""
    os.setsid()
    alone.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever is ignored here
    for path, number in zip(said, (1, 2), strict=True):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if "PYTHONWARNINGS" in environment:
        warnings._processoptions(environment["PYTHONWARNINGS"].split(","))
    sys.path[:] = [path for path in sys.path if path and not Path(path).is_relative_to(_HERE)]
    try:
        if arguments[0] == "-m":
            sys.path.insert(0, folder)
            sys.argv = arguments[1:]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, str(Path(arguments[0]).parent))
            sys.argv = list(arguments)
            runpy.run_path(arguments[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # as an interpreter does that was started by itself
