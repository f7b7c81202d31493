"""Any coordinator as Flower's ServerApp."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from snntorch_binary._errors import expected
from snntorch_binary._logging import says_at_least
from snntorch_binary.federated.exchange import Coordinator
from snntorch_binary.federated.flower.records import to_record
from snntorch_binary.federated.flower.strategy import FederatedStrategy, RoundReport

if TYPE_CHECKING:
    from snntorch_binary.federated.flower.secure_aggregation import SecureExchange


def server_app(
    coordinator: Coordinator | Callable[[Context], Coordinator],
    num_rounds: int,
    clients_per_round: int,
    seed: int = 0,
    *,
    rounds_done: int = 0,
    accepted: dict[int, int] | None = None,
    wait: float = 0.0,
    timeout: float = 3600.0,
    num_examples: Sequence[int] | None = None,
    secure: SecureExchange | None = None,
    on_round: Callable[[RoundReport], None] | None = None,
) -> ServerApp:
    """Return the ServerApp of a coordinator, which runs a federation's rounds.

    Args:
        coordinator: the server's side; or a function that returns it, called when the app starts.
        num_rounds: rounds in all, those that lie behind included.
        clients_per_round: how many clients are asked in a round.
        seed: of the selection, and of all that clients and server do.
        rounds_done: rounds that lie behind.
        accepted: see :class:`FederatedStrategy`.
        wait: seconds to wait for enough clients to connect before it is an error.
        timeout: seconds that a round waits for answers; those that come later do not count. ``secure`` has its own.
        num_examples: see :class:`FederatedStrategy`.
        secure: how clients are asked where the server is to learn the mean of their answers only.
        on_round: called with the report after each round.

    Raises:
        ValueError: an argument is out of its range.
    """
    if num_rounds < 1:
        raise ValueError(expected("num_rounds", "a positive integer", num_rounds))
    if not timeout > 0:
        raise ValueError(expected("timeout", "a positive number of seconds", timeout))
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        side: Coordinator
        if hasattr(coordinator, "combine") and not isinstance(coordinator, type):
            side = cast(Coordinator, coordinator)
        else:
            side = coordinator(context)
        strategy = FederatedStrategy(
            side,
            clients_per_round,
            seed,
            rounds_done=rounds_done,
            accepted=accepted,
            wait=wait,
            num_examples=num_examples,
            secure=secure,
            on_round=on_round,
        )
        if rounds_done < num_rounds:
            with says_at_least(logging.ERROR, "flwr"):  # it says some twenty lines a round
                strategy.start(grid, to_record(side.arrays()), num_rounds - rounds_done, timeout)

    return app
