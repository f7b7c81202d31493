"""What passes between a server and its clients, whoever carries it: the two sides of a federation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from snntorch_binary.federated.averaging import State


@dataclass(frozen=True)
class Task:
    """What a client is asked for in a round.

    Attributes:
        round: number of the round, from 1.
        seed: of the round, the same for all clients.
        client: which client this is, from 0.
        num_clients: how many there are.
        accepted: the last round in which the server used this client's answer, 0 for none.
    """

    round: int
    seed: int
    client: int
    num_clients: int
    accepted: int


@dataclass(frozen=True)
class Update:
    """A client's answer.

    Attributes:
        arrays: tensors by name.
        num_examples: how many examples it learned from, at least 1 and no more than in its first answer that counted.
        metrics: finite numbers to report, such as its loss.
        learned: names of the tensors that learning moves, the same for all clients; ``None`` is all. It is not sent.
    """

    arrays: State
    num_examples: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    learned: Collection[str] | None = None


class Participant(Protocol):
    """A client's side: :class:`snntorch_binary.federated.participant.NetworkParticipant`, or your own."""

    def train(self, arrays: State, task: Task, memory: State) -> Update:
        """Learn for one round.

        Args:
            arrays: what the server's :meth:`Coordinator.arrays` sent.
            task: what is asked for.
            memory: tensors that this client keeps from round to round, empty at first; changed in place, never sent.
        """
        ...


class Coordinator(Protocol):
    """The server's side: :class:`snntorch_binary.federated.NetworkCoordinator`, or your own."""

    def arrays(self) -> State:
        """Return what all clients get at the start of a round."""
        ...

    def why_refused(self, update: Update) -> str | None:
        """Say in half a sentence why an answer cannot be used, or ``None`` where it can."""
        ...

    def combine(self, updates: Mapping[int, Update], round: int, seed: int) -> list[int]:
        """Make one state of the answers of a round.

        Args:
            updates: by client, in the order of their selection; none of them is refused, and there is at least one.
            round: number of the round, from 1.
            seed: of the round.

        Returns:
            The clients whose answers were used.
        """
        ...

    def state_dict(self) -> State:
        """Return all that the server needs to go on from here."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Go on from there."""
        ...
