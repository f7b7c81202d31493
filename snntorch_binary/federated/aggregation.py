"""What clients send after a round of learning, and what the server makes of it: one class a method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.federated.averaging import State, weighted_mean
from snntorch_binary.federated.exchange import Task
from snntorch_binary.federated.posteriors import product_of_experts
from snntorch_binary.optim.priors import bernoulli_layers
from snntorch_binary.weights import LATENT_LIMIT, binary_layers
from snntorch_binary.weights.registry import Owner


def shared_state(net: nn.Module) -> State:
    """Return copies of the tensors of a network that clients send: all but priors, and seeds and counters of draws.

    Those are the server's: priors belong to the model, and clients draw weights of their own.
    """
    own = {key_of(name, what) for name in binary_layers(net) for what in ("prior_latent", "weight_draw")}
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items() if name not in own}


def load_moved(net: nn.Module, moved: State) -> None:
    """Load tensors into a network, latents among them, which go on with the draws that the network has."""
    state = net.state_dict()
    for name in binary_layers(net):
        state[key_of(name, "weight_draw")][2] = 0  # of another latent than the one that comes
    net.load_state_dict({**state, **moved})


def learned_names(net: nn.Module) -> set[str]:
    """Return the names of what learning moves: parameters that have a gradient, and the running averages of norms."""
    parameters = {name for name, value in net.named_parameters(remove_duplicate=False) if value.requires_grad}
    averages = {name for name in net.state_dict() if name.rpartition(".")[2] in ("running_mean", "running_var")}
    return parameters | averages


def fixed_names(net: nn.Module) -> set[str]:
    """Return the names of what nobody learns: parameters without a gradient, and what says how a neuron works.

    That is its threshold, its decay and its reset: a client that sends others has another network.
    """
    frozen = {name for name, value in net.named_parameters(remove_duplicate=False) if not value.requires_grad}
    neurons = {
        key_of(name, buffer)
        for name, module in net.named_modules(remove_duplicate=False)
        if hasattr(module, "reset_mechanism_val")
        for buffer, _ in module.named_buffers(recurse=False)
    }
    return (frozen | neurons) & shared_state(net).keys()


class Aggregation(ABC):
    """How the answers of a round become the next global network.

    One object, or an equal one, serves on both sides: clients call :meth:`prepare` before they learn and
    :meth:`upload` after, the server calls :meth:`like` to check answers and :meth:`combine`.
    ``memory`` is what a client keeps from round to round, tensors that never leave it.

    Attributes:
        from_mean: whether the server needs only the mean of what clients send, so that single answers may stay secret:
            ``"never"``; ``"uniform"``, the mean in which all clients count the same; or ``"always"``. Every class says
            it for itself, as it is not inherited.
    """

    from_mean: ClassVar[str] = "never"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.from_mean = vars(cls).get("from_mean", "never")

    def prepare(self, net: nn.Module, memory: State, task: Task) -> None:
        """Make a client's network, which holds the global state, ready to learn.

        Here the global posterior of Bernoulli layers becomes their prior: the KL term keeps what other clients know.

        Args:
            net: the network, changed in place.
            memory: the client's, changed in place.
            task: what the client is asked for.
        """
        for layer in _bernoulli(net).values():
            layer.prior_latent = layer.latent.detach().clone()

    @abstractmethod
    def upload(self, net: nn.Module, start: State, memory: State, task: Task) -> State:
        """Return what a client sends of its network, which has learned.

        Args:
            net: the network after local training.
            start: its ``state_dict`` before.
            memory: the client's, changed in place.
            task: what the client is asked for; its seed is the server's in :meth:`combine`.
        """

    @abstractmethod
    def like(self, net: nn.Module) -> State:
        """Return tensors of the names, shapes and dtypes that an upload for a network has."""

    @abstractmethod
    def combine(self, net: nn.Module, uploads: Sequence[State], weights: Sequence[float] | None, seed: int) -> None:
        """Move the global network, in place.

        Args:
            net: holds the global state from which the clients started.
            uploads: of the clients that count, at least one.
            weights: one a client, such as numbers of examples; ``None`` is uniform.
            seed: of the round.
        """


class Average(Aggregation):
    """Federated averaging: the weighted mean of all parameters and buffers; of binary layers that of their latents.

    For Bernoulli layers the latent is the posterior's natural parameter: each client's change counts by its share only,
    see :class:`ProductOfExperts`.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(1, 1)
        >>> zero, one = ({name: torch.full_like(t, v) for name, t in net.state_dict().items()} for v in (0.0, 1.0))
        >>> Average().combine(net, [zero, one], weights=[1, 3], seed=0)
        >>> net.weight.item()
        0.75

    References:
        McMahan, Moore, Ramage, Hampson, Agüera y Arcas, *Communication-efficient learning of deep networks from
        decentralized data*, arXiv 1602.05629.
    """

    from_mean = "always"

    def upload(self, net: nn.Module, start: State, memory: State, task: Task) -> State:
        """Return all parameters and buffers."""
        return shared_state(net)

    def like(self, net: nn.Module) -> State:
        """Return tensors of the names, shapes and dtypes of an upload."""
        return shared_state(net)

    def combine(self, net: nn.Module, uploads: Sequence[State], weights: Sequence[float] | None, seed: int) -> None:
        """Load the mean."""
        load_moved(net, weighted_mean(uploads, weights))


class ProductOfExperts(Average):
    """Posteriors of Bernoulli layers as a product of experts: each client's change is added once to the prior.

    See :mod:`snntorch_binary.federated.posteriors`. All other parameters are averaged. A client keeps its own factor
    and learns with the rest of the global posterior for its prior.

    Args:
        damping: γ in (0, 1]; 1 is Bayes' rule where clients learn to the end, less where all of them start from the
            same state and move in the same direction.
        limit: bound on the global ``|w_r|``, in (0, 30].

    Raises:
        ValueError: an argument is out of its range.
    """

    from_mean = "uniform"  # a sum of changes, not a mean by numbers of examples

    def __init__(self, damping: float = 1.0, limit: float = LATENT_LIMIT) -> None:
        if not 0 < damping <= 1:
            raise ValueError(expected("damping", "a float in (0, 1]", damping))
        self.damping = damping
        self.limit = check_limit(limit)

    def prepare(self, net: nn.Module, memory: State, task: Task) -> None:
        """Make everything but the client's own factor its prior."""
        pending = memory.pop("round", None)
        for name, layer in _bernoulli(net).items():
            latent = layer.latent.detach()
            factor = memory.setdefault(f"factor.{name}", torch.zeros_like(latent, device="cpu"))
            change = memory.pop(f"change.{name}", None)
            if change is not None and pending is not None and int(pending) == task.accepted:
                memory[f"factor.{name}"] = factor = factor + change
            layer.prior_latent = latent - factor.to(latent.device)

    def like(self, net: nn.Module) -> State:
        """Return tensors of the names, shapes and dtypes of an upload.

        Raises:
            ValueError: the network has no Bernoulli layer.
        """
        bernoulli_layers(net)
        return super().like(net)

    def upload(self, net: nn.Module, start: State, memory: State, task: Task) -> State:
        """Return all parameters and buffers; remember by how much the factor changes if the server takes them."""
        for name, layer in _bernoulli(net).items():
            change = layer.latent.detach() - start[key_of(name, "weight")].to(layer.latent.device)
            memory[f"change.{name}"] = self.damping * change.cpu()
        memory["round"] = torch.tensor(task.round)
        return super().upload(net, start, memory, task)

    def combine(self, net: nn.Module, uploads: Sequence[State], weights: Sequence[float] | None, seed: int) -> None:
        """Add the changes of the natural parameters, and average everything else."""
        state = net.state_dict()
        latents = {key_of(name, "weight") for name in _bernoulli(net)}
        combined = {
            name: product_of_experts(state[name], [sent[name] for sent in uploads], self.damping, self.limit)
            for name in latents
        }
        load_moved(net, {**weighted_mean(uploads, weights), **combined})


def require_aggregation(given: object) -> None:
    """Refuse what is no aggregation, such as the class of one.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(given, Aggregation):
        got = f"the class {given.__name__}" if isinstance(given, type) else repr(given)
        raise TypeError(expected("aggregation", "an Aggregation, such as Average()", got))


def require_mean(aggregation: Aggregation, uniform: bool) -> None:
    """Refuse secure aggregation where the mean of the clients' answers is not enough.

    Args:
        aggregation: of a server.
        uniform: whether all clients count the same.

    Raises:
        ValueError: the aggregation needs single answers, or a mean in which all clients count the same.
    """
    kind = type(aggregation).__name__
    if aggregation.from_mean == "never":
        raise ValueError(f"Secure aggregation hides single answers, which {kind} needs: leave one of the two out.")
    if aggregation.from_mean == "uniform" and not uniform:
        what = f"True with secure_aggregation and {kind}, whose clients all count the same"
        raise ValueError(expected("uniform", what, uniform))


def key_of(layer: str, what: str) -> str:
    """Return the name in a network's ``state_dict`` of what a layer has."""
    return f"{layer}.{what}" if layer else what


def _bernoulli(net: nn.Module) -> dict[str, Owner]:
    return {name: layer for name, layer in binary_layers(net).items() if layer.rule.has_posterior}


def check_limit(limit: float) -> float:
    """Return a bound on latents, if it is one."""
    if not 0 < limit <= LATENT_LIMIT:
        raise ValueError(expected("limit", f"a float in (0, {LATENT_LIMIT:g}]", limit))
    return limit
