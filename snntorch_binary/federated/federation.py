"""One method's federation as its two sides: data, partition, global network, server and client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.data import Splits, collate, load
from snntorch_binary.federated.aggregation import Aggregation, ProductOfExperts, require_mean
from snntorch_binary.federated.bit_uploads import OneBit, OneBitChange
from snntorch_binary.federated.coordinator import NetworkCoordinator
from snntorch_binary.federated.label_shift import require_label_shift
from snntorch_binary.federated.participant import NetworkParticipant, as_module
from snntorch_binary.federated.partition import Partition
from snntorch_binary.federated.settings import FederationSettings, build
from snntorch_binary.lightning import SpikingModule


@dataclass
class Federation:
    """Both sides of one method's federation under one seed.

    Attributes:
        splits: the data; the training part is spread over the clients, the others are the server's.
        parts: the indices of each client's examples.
        module: the server's module, with the global network.
        coordinator: the server's side.
        participant: the clients' side.
    """

    splits: Splits
    parts: list[Tensor]
    module: SpikingModule
    coordinator: NetworkCoordinator
    participant: NetworkParticipant


def read_data(settings: FederationSettings, method: str, seed: int) -> tuple[Splits, list[Tensor]]:
    """Return a method's data, and the indices of each client's training examples, the same ones for every method.

    Raises:
        ValueError: an argument is out of its range, or the data cannot be split so.
        DataNotFoundError: the files are not where they should be.
    """
    splits = load(**{**settings.data, **settings.methods[method].data, "seed": seed})
    partition: Partition = build(settings.partition, Partition)  # type: ignore[type-abstract]  # a base to check against, never made
    return splits, partition(splits.train.labels, settings.num_clients, seed)


def make_federation(
    settings: FederationSettings, method: str, seed: int, data: tuple[Splits, list[Tensor]] | None = None
) -> Federation:
    """Return both sides of a method's federation; equal arguments give equal networks, wherever it is called.

    Args:
        settings: the federation.
        method: name of the method.
        seed: one of the federation's.
        data: what :func:`read_data` returned; read anew by default.

    Raises:
        ValueError: there is no such method, or something in its description is wrong.
    """
    if method not in settings.methods:
        raise ValueError(expected("method", f"one of {', '.join(settings.methods)}", repr(method)))
    chosen = settings.methods[method]
    splits, parts = data or read_data(settings, method, seed)
    if splits.regression:
        raise ValueError(expected("data", "with the name of a data set that has classes", repr(settings.data["name"])))
    aggregation: Aggregation = build(chosen.aggregation, Aggregation)  # type: ignore[type-abstract]  # as above
    if settings.local_privacy is not None:
        _require_local_privacy(aggregation)
    if settings.secure_aggregation is not None:
        require_mean(aggregation, settings.uniform)
    module = make_module(chosen.model, splits.num_classes, seed)()
    if settings.label_shift:
        require_label_shift(module)
    coordinator = NetworkCoordinator(
        module.net,
        aggregation,
        uniform=settings.uniform,
        stragglers=settings.stragglers,
        gradient_noise=settings.gradient_noise,
        keep_fixed=True,
    )
    participant = NetworkParticipant(
        make_module(chosen.model, splits.num_classes, seed),
        splits.train,
        parts,
        aggregation,
        epochs=settings.local_epochs,
        batch_size=settings.batch_size,
        drop_last=settings.drop_last,
        lr_factor=settings.lr_factor,
        temperature=settings.temperature,
        labels=splits.train.labels if settings.label_shift else None,
        collate_fn=collate,
    )
    return Federation(splits, parts, module, coordinator, participant)


def try_network(federation: Federation, method: str) -> None:
    """Show the global network two examples, before anything learns.

    Raises:
        ValueError: it cannot take them, or answers with another number of classes.
    """
    x, _ = federation.splits.train.__getitems__([0, 1])
    shape, num_classes = list(x.shape), federation.splits.num_classes
    federation.module.eval()
    try:
        with torch.no_grad():
            answers = federation.module.answers(x, final=False)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(f"The network of method {method} cannot take spikes of shape {shape}: {reason}.") from None
    for answer in answers.values():
        if answer.shape[-1] != num_classes:
            what = f"a network with {num_classes} outputs, the classes of the data"
            raise ValueError(expected(f"methods.{method}.model", what, answer.shape[-1]))


def _require_local_privacy(aggregation: Aggregation) -> None:
    """Refuse noise on answers where it would do harm."""
    name = type(aggregation).__name__
    for kinds, why in (
        ((OneBit, OneBitChange), "whose bits cannot have noise added to them"),
        ((ProductOfExperts,), "whose clients would remember more than the server got of them"),
    ):
        if isinstance(aggregation, kinds):
            raise ValueError(expected("local_privacy", f"None with {name}, {why}", "settings"))


def make_module(model: dict[str, Any], num_classes: int, seed: int) -> Callable[[], SpikingModule]:
    """Return a function that makes a module anew; it starts from the same numbers each time."""

    def make() -> SpikingModule:
        torch.manual_seed(1_000 * seed)
        return as_module(build(model, nn.Module), num_classes)

    return make
