"""The same two sides as Flower apps: on one machine, in its simulation engine, or on real nodes."""

import os
import warnings

from snntorch_binary._errors import require

# No word to Flower's or Ray's makers unless the user asks for it.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of what Flower imports, typer's of click
    require("flwr", "federated")
    require("flwr.clientapp", "federated")
    require("flwr.serverapp", "federated")

from snntorch_binary.federated.flower.client import client_app as client_app
from snntorch_binary.federated.flower.grid import InProcessGrid as InProcessGrid
from snntorch_binary.federated.flower.grid import run_in_process as run_in_process
from snntorch_binary.federated.flower.server import server_app as server_app
from snntorch_binary.federated.flower.strategy import FederatedStrategy as FederatedStrategy
from snntorch_binary.federated.flower.strategy import RoundReport as RoundReport
from snntorch_binary.federated.flower.strategy import TooFewClientsError as TooFewClientsError
