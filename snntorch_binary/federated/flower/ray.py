"""Flower's own simulation engine, which runs clients in Ray's processes."""

from __future__ import annotations

import os
import warnings

from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from snntorch_binary._errors import require


def run_on_ray(server: ServerApp, clients: ClientApp, num_clients: int, processes: int = 1) -> None:
    """Run both apps to their end in Flower's simulation engine.

    Args:
        server: the server's app, which runs in this process.
        clients: the clients' app, which travels to Ray's processes.
        num_clients: K.
        processes: clients that learn at the same time, one CPU core each.

    Raises:
        MissingPackageError: Ray is not installed.
    """
    require("ray", "tune")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # else Ray writes a token into the home folder
    with warnings.catch_warnings():
        # Of Flower's, which means to replace this function, and of what Ray and it import.
        warnings.simplefilter("ignore")
        from flwr.simulation import run_simulation

        run_simulation(
            server,
            clients,
            num_clients,
            backend_config={
                "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
                "init_args": {"num_cpus": processes, "include_dashboard": False, "log_to_driver": False},
            },
        )
