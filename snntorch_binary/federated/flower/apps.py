"""Both Flower apps of a federation that a YAML file describes: on this machine, or on real nodes."""

from __future__ import annotations

from typing import Any

from flwr.clientapp import ClientApp
from flwr.clientapp.mod import LocalDpMod
from flwr.serverapp import ServerApp

from snntorch_binary.federated.federation import make_federation
from snntorch_binary.federated.flower.client import client_app
from snntorch_binary.federated.flower.server import server_app
from snntorch_binary.federated.settings import FederationSettings


def apps(settings: FederationSettings, method: str, seed: int = 0) -> tuple[ServerApp, ClientApp]:
    """Return the ServerApp and the ClientApp of one method of a YAML file's federation.

    Args:
        settings: from :func:`snntorch_binary.federated.settings.read_settings`.
        method: name of the method.
        seed: of everything random.

    Raises:
        ValueError: there is no such method, or something in its description is wrong.
    """
    federation = make_federation(settings, method, seed)
    server = server_app(federation.coordinator, settings.num_rounds, settings.clients_per_round, seed)
    return server, client_app(federation.participant, modifiers(settings))


def modifiers(settings: FederationSettings) -> list[Any]:
    """Return Flower's modifiers that the settings ask for."""
    if settings.local_privacy is None:
        return []
    given = settings.local_privacy
    return [LocalDpMod(given.clipping_norm, given.sensitivity, given.epsilon, given.delta)]
