"""Flower's processes on this machine, talking over loopback; all of them are gone afterwards, whatever happens."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Loopback:
    """A SuperLink and SuperNodes in a folder of their own, which is also their FLWR_HOME."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.home = self.folder / "flower-home"
        self.home.mkdir()
        self.address = f"127.0.0.1:{free_port()}"
        (self.home / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "{self.address}"\ninsecure = true\n'
        )
        self.environment = {
            **os.environ,
            "FLWR_HOME": str(self.home),
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "FLWR_TELEMETRY_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        self.link = None
        self.nodes = {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.end_all()
        assert not self.processes()

    def start(self, name, *command):
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            return subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_link(self):
        host, port = self.address.split(":")
        database = ("--database", str(self.folder / "superlink.db"))  # nodes that it knows stay known when it restarts
        self.link = self.start("superlink", "flower-superlink", "--insecure", "--host", host, "--port", port, *database)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return
            assert self.link.poll() is None, self.log("superlink")
            time.sleep(0.2)
        raise AssertionError(self.log("superlink"))

    def start_node(self, client, num_clients, seconds=0.0, memory=""):
        config = f'partition-id={client} num-partitions={num_clients} seconds={seconds} memory="{memory}"'
        self.nodes[client] = self.start(
            f"node{client}",
            "flower-supernode",
            "--insecure",
            "--superlink",
            self.address,
            "--port",
            str(free_port()),
            "--node-config",
            config,
        )

    def run(self, app, **config):
        """Hand an app in; its run goes on without this command."""
        values = " ".join(
            f'{key}="{value}"' if isinstance(value, str) else f"{key}={value}" for key, value in config.items()
        )
        done = subprocess.run(
            [str(BIN / "flwr"), "run", str(app), "here", "--run-config", values],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def log(self, name):
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def logs(self):
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in self.folder.glob("*.log")
        )

    def processes(self):
        """Return the processes that have this folder for their FLWR_HOME."""
        mark = f"FLWR_HOME={self.home}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in path.read_bytes().split(b"\0") and (path.parent / "cmdline").read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found

    def kill(self, process):
        """Kill a process and all that it has started."""
        of_group = {process.pid}
        for pid in self.processes():
            try:
                parents, at = set(), pid
                while at > 1 and at not in parents:
                    parents.add(at)
                    at = int((Path("/proc") / str(at) / "stat").read_text().rsplit(") ", 1)[1].split()[1])
                if process.pid in parents:
                    of_group.add(pid)
            except (OSError, IndexError):
                continue
        for pid in of_group:
            _kill(pid)
        process.wait(timeout=30)

    def end_all(self):
        until = time.monotonic() + 20
        while self.processes() and time.monotonic() < until:
            for pid in self.processes():
                _kill(pid)
            for process in [self.link, *self.nodes.values()]:
                if process is not None:
                    process.poll()
            time.sleep(0.1)
        for process in [self.link, *self.nodes.values()]:
            if process is not None:
                process.wait(timeout=10)


def _kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
