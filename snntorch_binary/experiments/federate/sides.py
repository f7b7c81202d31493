"""One method's federation as its two sides: data, partition, global network, server and client."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.experiments.data import LoadedData
from snntorch_binary.experiments.examples import training_examples
from snntorch_binary.experiments.federate.federation import Federation
from snntorch_binary.experiments.rules import alone
from snntorch_binary.federated.aggregation import Aggregation, ProductOfExperts, require_mean
from snntorch_binary.federated.bit_uploads import OneBit, OneBitChange
from snntorch_binary.federated.coordinator import NetworkCoordinator
from snntorch_binary.federated.label_shift import require_label_shift
from snntorch_binary.federated.participant import NetworkParticipant, as_module
from snntorch_binary.lightning.spiking_module import SpikingModule


@dataclass
class Sides:
    """Both sides of one method's federation under one seed.

    Attributes:
        data: the training part is spread over the clients, the others are the server's.
        parts: the indices of each client's examples.
        module: the server's module, with the global network.
        coordinator: the server's side.
        participant: the clients' side.
    """

    data: LoadedData
    parts: list[Tensor]
    module: SpikingModule
    coordinator: NetworkCoordinator
    participant: NetworkParticipant


def make_sides(federation: Federation, method: str, seed: int, data: LoadedData | None = None) -> Sides:
    """Return both sides of a method's federation; equal arguments give equal networks, wherever it is called.

    Args:
        federation: the federation.
        method: name of the method.
        seed: one of the federation's.
        data: of this method and seed; read anew by default.

    Raises:
        ValueError: there is no such method, or something in its description is wrong.
        DataNotFoundError: the files of the data are not where they should be.
    """
    experiment = federation.experiment(method)
    rule = alone(experiment.rules[0], "a federation")
    loaded = federation.load(method, seed) if data is None else data
    assert loaded.num_classes is not None  # looked at where they were read
    num_classes = loaded.num_classes
    examples = training_examples(loaded)
    parts = federation.make_partition()(examples.labels, federation.num_clients, seed)
    aggregation = federation.make_aggregation(method)
    if federation.local_privacy is not None:
        _require_local_privacy(aggregation)
    if federation.secure_aggregation is not None:
        require_mean(aggregation, federation.uniform)

    def make_module() -> SpikingModule:
        return as_module(experiment.make_module(rule, loaded, seed), num_classes)

    module = make_module()
    if federation.label_shift:
        require_label_shift(module)
    coordinator = NetworkCoordinator(
        module.net,
        aggregation,
        uniform=federation.uniform,
        stragglers=federation.stragglers,
        gradient_noise=federation.gradient_noise,
        keep_fixed=True,
    )
    participant = NetworkParticipant(
        make_module,
        examples.dataset,
        parts,
        aggregation,
        epochs=federation.local_epochs,
        batch_size=federation.batch_size,
        drop_last=federation.drop_last,
        lr_factor=federation.lr_factor,
        temperature=federation.temperature,
        labels=examples.labels if federation.label_shift else None,
        collate_fn=examples.collate,
    )
    return Sides(loaded, parts, module, coordinator, participant)


def _require_local_privacy(aggregation: Aggregation) -> None:
    """Refuse noise on answers where it would do harm."""
    name = type(aggregation).__name__
    for kinds, why in (
        ((OneBit, OneBitChange), "whose bits cannot have noise added to them"),
        ((ProductOfExperts,), "whose clients would remember more than the server got of them"),
    ):
        if isinstance(aggregation, kinds):
            raise ValueError(expected("local_privacy", f"None with {name}, {why}", "settings"))
