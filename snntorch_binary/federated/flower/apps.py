"""Both Flower apps of a federation that a YAML file describes: on this machine, or on real nodes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from snntorch_binary.federated.checkpoint import RoundCheckpoint
from snntorch_binary.federated.federation import Federation, make_federation
from snntorch_binary.federated.flower.client import client_app
from snntorch_binary.federated.flower.local_privacy import LocalPrivacyModifier
from snntorch_binary.federated.flower.server import server_app
from snntorch_binary.federated.method_file import require_own, run_folder
from snntorch_binary.federated.record import RoundRecord
from snntorch_binary.federated.settings import FederationSettings

RESTART_WAIT = 180.0
"""Seconds after which nodes are free again for sure where a server was lost in the middle of a round.

Until Flower gives the lost run up (two missed heartbeats of 30 s each), they wait for the rest of its last message.
"""


def apps(
    settings: FederationSettings,
    method: str,
    seed: int = 0,
    folder: Path | None = None,
    *,
    wait: float = RESTART_WAIT,
    timeout: float = 3600.0,
) -> tuple[ServerApp, ClientApp]:
    """Return the ServerApp and the ClientApp of one method of a YAML file's federation.

    Nothing is read or built before an app gets its first message: a node builds its own side only.

    Args:
        settings: from :func:`snntorch_binary.federated.settings.read_settings`.
        method: name of the method.
        seed: of everything random.
        folder: where the server writes a checkpoint after each round, and goes on from; ``None`` writes none. One that
            holds another run's is refused.
        wait: seconds that the server waits for enough clients to connect before it is an error; the default is
            what a restarted server may need.
        timeout: seconds that a round waits for answers; with secure aggregation, each of its four stages.
    """
    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        federation = make_federation(settings, method, seed)
        checkpoint = None
        if folder is not None:
            files = run_folder(folder, settings, method, seed)
            require_own(files)
            checkpoint = RoundCheckpoint(files)
        record = RoundRecord(federation, checkpoint, settings)
        record.resume()
        server_of(settings, federation, record, seed, wait=wait, timeout=timeout)(grid, context)

    def participant(context: Context) -> Any:
        return make_federation(settings, method, seed).participant

    return server, client_app(participant, [Protection(settings)])


def server_of(
    settings: FederationSettings,
    federation: Federation,
    record: RoundRecord,
    seed: int,
    *,
    wait: float = 0.0,
    timeout: float = 3600.0,
) -> ServerApp:
    """Return the ServerApp of a federation, from where its record is on."""
    num_examples = list(map(len, federation.parts))
    secure = None
    if settings.secure_aggregation is not None:
        from snntorch_binary.federated.flower.secure_aggregation import SecureExchange

        weights = None if settings.uniform else num_examples
        secure = SecureExchange(settings.secure_aggregation, weights, timeout)
    return server_app(
        federation.coordinator,
        settings.num_rounds,
        settings.clients_per_round,
        seed,
        rounds_done=record.rounds_done,
        accepted=record.accepted,
        wait=wait,
        timeout=timeout,
        num_examples=num_examples,
        secure=secure,
        on_round=record.after_round,
    )


class Protection:
    """What a client does to its answers before they are sent, where the settings ask for it: noise, then masks.

    Flower's local differential privacy and its secure aggregation, as one modifier of a client's messages.
    """

    def __init__(self, settings: FederationSettings) -> None:
        noise, secure = settings.local_privacy, settings.secure_aggregation
        self._modifiers: list[Any] = []
        if noise is not None:
            self._modifiers.append(LocalPrivacyModifier(noise))
        if secure is not None:
            from snntorch_binary.federated.flower.secure_aggregation import SecureModifier

            self._modifiers.append(SecureModifier(secure, settings.uniform))

    def __call__(self, message: Message, context: Context, call_next: Any) -> Message:
        """Answer a message."""
        for modifier in self._modifiers:
            call_next = partial(modifier, call_next=call_next)
        return call_next(message, context)
