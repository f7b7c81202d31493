"""Both Flower apps of a federation that a YAML file describes: on this machine, or on real nodes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from snntorch_binary.experiments.description import RunDescription
from snntorch_binary.experiments.federate.checkpoint import RoundCheckpoint, log, require_own
from snntorch_binary.experiments.federate.federation import Federation
from snntorch_binary.experiments.federate.record import RoundRecord
from snntorch_binary.experiments.federate.sides import Sides, make_sides
from snntorch_binary.experiments.runs import run_files
from snntorch_binary.federated.flower.client import client_app
from snntorch_binary.federated.flower.local_privacy import LocalPrivacyModifier
from snntorch_binary.federated.flower.server import server_app

RESTART_WAIT = 180.0
"""Seconds after which nodes are free again for sure where a server was lost in the middle of a round.

Until Flower gives the lost run up (two missed heartbeats of 30 s each), they wait for the rest of its last message.
"""


def apps(
    federation: Federation,
    method: str,
    seed: int = 0,
    folder: Path | None = None,
    *,
    wait: float = RESTART_WAIT,
    timeout: float = 3600.0,
) -> tuple[ServerApp, ClientApp]:
    """Return the ServerApp and the ClientApp of one method of a federation.

    Nothing is read or built before an app gets its first message: a node builds its own side only.

    Args:
        federation: from :func:`snntorch_binary.experiments.federate.config.read_federation`.
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
        sides = make_sides(federation, method, seed)
        checkpoint = None
        if folder is not None:
            files = run_files(folder, *federation.run(method, seed), log.warning)
            require_own(files)
            describe(federation, method, seed, sides).write(folder)
            checkpoint = RoundCheckpoint(files)
        record = RoundRecord(federation, sides, checkpoint)
        record.resume()
        server_of(federation, sides, record, seed, wait=wait, timeout=timeout)(grid, context)

    def participant(context: Context) -> Any:
        return make_sides(federation, method, seed).participant

    return server, client_app(participant, [Protection(federation)])


def describe(federation: Federation, method: str, seed: int, sides: Sides) -> RunDescription:
    """Return what is written beside the weights of a run."""
    experiment = federation.experiment(method)
    return experiment.describe(experiment.rules[0], sides.data, sides.module.net, seed)


def server_of(
    federation: Federation,
    sides: Sides,
    record: RoundRecord,
    seed: int,
    *,
    wait: float = 0.0,
    timeout: float = 3600.0,
) -> ServerApp:
    """Return the ServerApp of a federation, from where its record is on."""
    num_examples = list(map(len, sides.parts))
    secure = None
    if federation.secure_aggregation is not None:
        from snntorch_binary.federated.flower.secure_aggregation import SecureExchange

        weights = None if federation.uniform else num_examples
        secure = SecureExchange(federation.secure_aggregation, weights, timeout)
    return server_app(
        sides.coordinator,
        federation.num_rounds,
        federation.clients_per_round,
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
    """What a client does to its answers before they are sent, where the federation asks for it: noise, then masks.

    Flower's local differential privacy and its secure aggregation, as one modifier of a client's messages.
    """

    def __init__(self, federation: Federation) -> None:
        noise, secure = federation.local_privacy, federation.secure_aggregation
        self._modifiers: list[Any] = []
        if noise is not None:
            self._modifiers.append(LocalPrivacyModifier(noise))
        if secure is not None:
            from snntorch_binary.federated.flower.secure_aggregation import SecureModifier

            self._modifiers.append(SecureModifier(secure, federation.uniform))

    def __call__(self, message: Message, context: Context, call_next: Any) -> Message:
        """Answer a message."""
        for modifier in self._modifiers:
            call_next = partial(modifier, call_next=call_next)
        return call_next(message, context)
