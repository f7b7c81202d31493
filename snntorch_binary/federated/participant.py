"""A client's side of a federation that learns one network: local training, a light loop without a Trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from snntorch_binary._errors import expected, require
from snntorch_binary.convert import reset
from snntorch_binary.federated.aggregation import (
    Aggregation,
    learned_names,
    load_moved,
    require_aggregation,
    shared_state,
)
from snntorch_binary.federated.averaging import State
from snntorch_binary.federated.exchange import Task, Update
from snntorch_binary.kernels.noise import mix
from snntorch_binary.weights import binary_layers, resample_

require("lightning", "lightning")  # one clear sentence before the imports that need it

from lightning import LightningModule  # noqa: E402  # after the check above

from snntorch_binary.federated.label_shift import label_shares  # noqa: E402  # after the check above
from snntorch_binary.inference import logits  # noqa: E402  # after the check above
from snntorch_binary.inference.arguments import Inputs, arguments_of  # noqa: E402  # after the check above
from snntorch_binary.inference.find_form import form_of  # noqa: E402  # after the check above
from snntorch_binary.inference.run import run_as  # noqa: E402  # after the check above
from snntorch_binary.lightning import BayesBiSNN, NonFiniteLossError, SpikingModule  # noqa: E402  # after the check above


class PlainModule(SpikingModule):
    """A plain torch network with the training of :class:`snntorch_binary.lightning.SpikingModule` around it.

    Its output is class scores [B, C], or what SpikingModule takes.
    """

    def forward(self, x: Inputs) -> Tensor:
        """Return scores [B, C]."""
        args = arguments_of(x)
        form = form_of(self.net, args, self.step, self.time_dim)
        output = run_as(form, self.net, args)
        if isinstance(output, Tensor) and output.dim() == 2:
            return output
        return logits(output, self.readout, self.readout_scale, form.time_dim or 0)


def as_module(model: nn.Module, num_classes: int, lr: float = 1e-3) -> SpikingModule:
    """Return a model as a LightningModule that clients can train: itself, or one around a plain network, with Adam.

    Args:
        model: a :class:`snntorch_binary.lightning.SpikingModule` or any network.
        num_classes: C, for a plain network.
        lr: Adam's learning rate, for a plain network.

    Raises:
        ValueError: the model is a LightningModule of another kind, whose training steps no client would make, or learns
            at every time step.
    """
    if isinstance(model, LightningModule) and not isinstance(model, SpikingModule):
        what = "a SpikingModule of this package or a plain network, as clients make no training_step"
        raise ValueError(expected("model", what, type(model).__name__))
    return _require_one_step(model) if isinstance(model, SpikingModule) else PlainModule(model, num_classes, lr)


def _require_one_step(module: SpikingModule) -> SpikingModule:
    """Refuse a module that learns at every time step, where clients make one step a batch."""
    if module.credit == "online":
        what = f"a {type(module).__name__} with credit 'through-time' or 'local'"
        raise ValueError(expected("model", what, "'online'"))
    return module


class NetworkParticipant:
    """Learns from a client's own examples, a fresh optimizer a round.

    Args:
        make_module: returns the module with its network, see :func:`as_module`; called once, at the first round.
        dataset: the training examples of all clients, ``(x, labels)``; as of
            :class:`snntorch_binary.data.SpikeDataset`, or with a ``collate_fn``.
        parts: the indices of the examples of each client.
        aggregation: what is sent; an equal one is the server's.
        epochs: passes over its examples in a round.
        batch_size: examples per step.
        drop_last: leave out a last batch that is smaller, where there is another.
        lr_factor: maps the number of a round to a factor on all learning rates.
        temperature: of the posterior, where a :class:`snntorch_binary.lightning.BayesBiSNN` has ``rho=None``: the KL
            term's weight is then temperature / (number of the client's examples); 1 is Bayes' rule.
        labels: of all examples, [N]: given, each client's loss takes account of its own shares of the classes, see
            :mod:`snntorch_binary.federated.label_shift`.
        collate_fn: of the loader.
        device: where it learns.

    Raises:
        ValueError: an argument is out of its range, or a client has no example.
        TypeError: the aggregation is none.
    """

    def __init__(
        self,
        make_module: Callable[[], SpikingModule],
        dataset: Dataset[Any],
        parts: Sequence[Tensor],
        aggregation: Aggregation,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        drop_last: bool = False,
        lr_factor: Callable[[int], float] = lambda round: 1.0,
        temperature: float = 1.0,
        labels: Tensor | None = None,
        collate_fn: Callable[[Any], Any] | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        require_aggregation(aggregation)
        for name, value in (("epochs", epochs), ("batch_size", batch_size)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(expected(name, "a positive integer", repr(value)))
        if not temperature >= 0:
            raise ValueError(expected("temperature", "a float of at least 0", temperature))
        empty = [client for client, part in enumerate(parts) if not len(part)]
        if empty:
            raise ValueError(expected("parts", "at least one example for each client", f"none for client {empty[0]}"))
        parts = [torch.as_tensor(part) for part in parts]
        last = max((int(part.max()) for part in parts), default=0)
        if labels is not None and not last < len(labels):
            raise ValueError(expected("labels", f"of all examples, up to number {last}", f"{len(labels)} labels"))
        self._make_module = make_module
        self._module: SpikingModule | None = None
        self.dataset = dataset
        self.parts = parts
        self.aggregation = aggregation
        self.epochs = epochs
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.lr_factor = lr_factor
        self.temperature = temperature
        self.labels = None if labels is None else torch.as_tensor(labels)
        self.collate_fn = collate_fn
        self.device = device

    def train(self, arrays: State, task: Task, memory: State) -> Update:
        """Learn from one client's examples for one round, from the global network.

        Raises:
            ValueError: there is no such client, or the server's network is another one.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        if not 0 <= task.client < len(self.parts):
            raise ValueError(expected("client", f"from 0 to {len(self.parts) - 1}", task.client))
        if self._module is None:
            made = self._make_module()
            if not isinstance(made, SpikingModule):
                what = "a function that returns a SpikingModule (as_module makes one of a plain network)"
                raise TypeError(expected("make_module", what, type(made).__name__))
            self._module = _require_one_step(made).to(self.device)
        module, net = self._module, self._module.net
        if arrays.keys() != shared_state(net).keys():
            raise ValueError("The server's network is another one than this client's.")
        load_moved(net, arrays)
        self.aggregation.prepare(net, memory, task)
        seed = mix(task.seed, task.client)
        if binary_layers(net):  # no two clients learn from the same draws
            resample_(net, torch.Generator().manual_seed(seed))
        part = self.parts[task.client]
        start = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        with (
            nullcontext() if self.labels is None else label_shares(module, self.labels[part]),
            _fork_rng(torch.device(self.device)),
        ):
            torch.manual_seed(mix(seed, 1) >> 1)  # dropout, ...: a round that is repeated is the same again
            loss = self._learn(module, part, task.round, seed)
        update = self.aggregation.upload(net, start, memory, task)
        arrays = {name: tensor.cpu() for name, tensor in update.items()}
        return Update(arrays, len(part), {"loss": loss}, learned_names(net))

    def _learn(self, module: SpikingModule, part: Tensor, round: int, seed: int) -> float:
        """Return the mean loss of a step."""
        module.train()
        optimizer = _optimizer(module, len(part), self.temperature)
        for group in optimizer.param_groups:
            group["lr"] *= self.lr_factor(round)
        total, steps = torch.zeros((), dtype=torch.float64), 0
        for epoch in range(self.epochs):
            set_epoch = getattr(self.dataset, "set_epoch", None)
            if callable(set_epoch):
                set_epoch((round - 1) * self.epochs + epoch)
            for x, labels in self._batches(part, mix(seed, epoch)):
                loss = module.loss(x.to(self.device), labels.to(self.device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach().cpu()
                steps += 1
        reset(module.net)
        if not bool(torch.isfinite(total)):
            raise NonFiniteLossError(f"The loss of a client became {total.item() / steps} in round {round}.")
        return total.item() / steps

    def _batches(self, part: Tensor, seed: int) -> Iterable[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(part), generator=torch.Generator().manual_seed(seed))
        subset = Subset(self.dataset, part[order].tolist())
        drop_last = self.drop_last and len(part) > self.batch_size
        return DataLoader(subset, self.batch_size, collate_fn=self.collate_fn, drop_last=drop_last)


def _fork_rng(device: torch.device) -> AbstractContextManager[None]:
    """Leave the random numbers of the process as they are."""
    if device.type == "cpu":
        return torch.random.fork_rng([])
    return torch.random.fork_rng([device], device_type=device.type)


def _optimizer(module: SpikingModule, num_examples: int, temperature: float) -> torch.optim.Optimizer:
    """Return a module's optimizer; a rho that is to be found from the number of examples is found here."""
    if not isinstance(module, BayesBiSNN) or module.rho is not None:
        return module.configure_optimizer()
    module.rho = temperature / num_examples
    try:
        return module.configure_optimizer()
    finally:
        module.rho = None
