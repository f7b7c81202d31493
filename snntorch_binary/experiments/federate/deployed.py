"""A YAML file's federation on real nodes: `server` and `client` are what an app's pyproject.toml names.

An app for ``flwr run`` is a folder with these lines in ``app.py``::

    from snntorch_binary.experiments.federate.deployed import client, server

and in ``pyproject.toml`` ::

    [tool.flwr.app.components]
    serverapp = "app:server"
    clientapp = "app:client"

    [tool.flwr.app.config]
    config = "/path/to/federation.yaml"  # on every node
    method = "bayes-product"
    seed = 0
    data-dir = ""       # "" takes the file's
    folder = "results"  # of the server's checkpoint, from which a restarted server goes on
    wait = 180.0        # seconds to wait for clients; after a restart, Flower keeps them for the lost run for a minute
    timeout = 3600.0    # seconds to wait for their answers; in each of four stages with secure aggregation

Each node is started with the number of its client, and a folder for what it keeps from round to round (such as its own
factor of a product of experts), which Flower itself forgets where a server is lost. One folder serves federations that
differ in ``config``, ``method`` or ``seed``::

    flower-supernode --node-config 'partition-id=0 memory="/path/to/memory"'
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp

from snntorch_binary.experiments.federate.apps import RESTART_WAIT, Protection, apps
from snntorch_binary.experiments.federate.config import read_federation
from snntorch_binary.experiments.federate.federation import Federation
from snntorch_binary.experiments.federate.sides import make_sides
from snntorch_binary.federated.flower.client import client_app

server = ServerApp()


@server.main()
def _serve(grid: Grid, context: Context) -> None:
    given = context.run_config
    federation, method, seed = _chosen(context)
    wait, timeout = float(given.get("wait", RESTART_WAIT)), float(given.get("timeout", 3600.0))
    folder = Path(str(given.get("folder", "results")))
    apps(federation, method, seed, folder, wait=wait, timeout=timeout)[0](grid, context)


def _participant(context: Context) -> Any:
    return make_sides(*_chosen(context)).participant


def _protection(message: Message, context: Context, call_next: Any) -> Message:
    return Protection(_chosen(context)[0])(message, context, call_next)


client = client_app(_participant, [_protection])


def _chosen(context: Context) -> tuple[Federation, str, int]:
    given = context.run_config
    federation = read_federation(str(given["config"]), data_dir=str(given.get("data-dir", "")) or None)
    return federation, str(given["method"]), int(given.get("seed", 0))
