"""What clients send after a round of learning, and what the server makes of it: one class a method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.federated.averaging import State, weighted_mean
from snntorch_binary.federated.exchange import Task
from snntorch_binary.federated.one_bit import moved_by_bits, pack_bits, sample_bits, unpack_bits
from snntorch_binary.federated.posteriors import product_of_experts
from snntorch_binary.kernels.noise import mix
from snntorch_binary.optim.priors import bernoulli_layers
from snntorch_binary.weights import LATENT_LIMIT, Bernoulli, binary_layers, require_binary_layers
from snntorch_binary.weights.registry import Owner


def latent_names(net: nn.Module) -> list[str]:
    """Return the names that the latents of a network's binary layers have in its ``state_dict``."""
    return [_key(name, "latent") for name in binary_layers(net)]


def shared_state(net: nn.Module) -> State:
    """Return copies of the tensors of a network that clients send: all but priors, and seeds and counters of draws.

    Those are the server's: priors belong to the model, and clients draw weights of their own.
    """
    own = {_key(name, what) for name in binary_layers(net) for what in ("prior_latent", "_extra_state")}
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items() if name not in own}


class Aggregation(ABC):
    """How the answers of a round become the next global network.

    One object, or an equal one, serves on both sides: clients call :meth:`prepare` before they learn and
    :meth:`upload` after, the server calls :meth:`like` to check answers and :meth:`combine`.
    ``memory`` is what a client keeps from round to round, tensors that never leave it.
    """

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

    def upload(self, net: nn.Module, start: State, memory: State, task: Task) -> State:
        """Return all parameters and buffers."""
        return shared_state(net)

    def like(self, net: nn.Module) -> State:
        """Return tensors of the names, shapes and dtypes of an upload."""
        return shared_state(net)

    def combine(self, net: nn.Module, uploads: Sequence[State], weights: Sequence[float] | None, seed: int) -> None:
        """Load the mean."""
        net.load_state_dict({**net.state_dict(), **weighted_mean(uploads, weights)})


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

    def __init__(self, damping: float = 1.0, limit: float = LATENT_LIMIT) -> None:
        if not 0 < damping <= 1:
            raise ValueError(expected("damping", "a float in (0, 1]", damping))
        self.damping = damping
        self.limit = _check_limit(limit)

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
            change = layer.latent.detach() - start[_key(name, "latent")].to(layer.latent.device)
            memory[f"change.{name}"] = self.damping * change.cpu()
        memory["round"] = torch.tensor(task.round)
        return super().upload(net, start, memory, task)

    def combine(self, net: nn.Module, uploads: Sequence[State], weights: Sequence[float] | None, seed: int) -> None:
        """Add the changes of the natural parameters, and average everything else."""
        state = net.state_dict()
        latents = {_key(name, "latent") for name in _bernoulli(net)}
        combined = {
            name: product_of_experts(state[name], [sent[name] for sent in uploads], self.damping, self.limit)
            for name in latents
        }
        net.load_state_dict({**state, **weighted_mean(uploads, weights), **combined})


@dataclass(frozen=True)
class _Means:
    """A binary layer's latent as mean parameters in [-1, 1], and back."""

    bernoulli: bool
    limit: float

    def of(self, latent: Tensor) -> Tensor:
        return torch.tanh(latent.double()) if self.bernoulli else latent.double().clamp(-1, 1)

    def back(self, mean: Tensor, dtype: torch.dtype) -> Tensor:
        # atanh is infinite at ±1, which the bound brings back.
        return (torch.atanh(mean).clamp(-self.limit, self.limit) if self.bernoulli else mean).to(dtype)


class OneBit(Aggregation):
    """Uploads of one bit a binary weight; biases, gains and all other parameters travel as they are.

    See :mod:`snntorch_binary.federated.one_bit`. The server's update of Bernoulli layers is unbiased for the posterior
    mean μ = tanh(w_r); that of :class:`snntorch_binary.Sign` layers for the latent, which lies in [-1, 1] as
    :class:`snntorch_binary.lightning.STBiSNN` trains it.

    Args:
        step: s in (0, 1]: how far the server goes from its means to the clients'; less is slower and less noisy.
        bits: ``"sampled"``, or ``"sign"``: a client sends its most probable network, and the server moves towards the
            mean of these votes, (1 - s) μ + s Σ p_k sign(w_k), which is unbiased for nothing but has no noise.
        limit: bound on the global ``|w_r|`` of Bernoulli layers, in (0, 30]. Bits that agree round after round halve
            the distance of a mean to ±1 each time (at s = 1/2), until no client can move the weight any more: 2 keeps
            it movable, and the update is unbiased up to that bound.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, step: float = 0.5, bits: str = "sampled", limit: float = 2.0) -> None:
        if not 0 < step <= 1:
            raise ValueError(expected("step", "a float in (0, 1]", step))
        if bits not in ("sampled", "sign"):
            raise ValueError(expected("bits", "'sampled' or 'sign'", repr(bits)))
        self.step = step
        self.bits = bits
        self.limit = _check_limit(limit)

    def upload(self, net: nn.Module, start: State, memory: State, task: Task) -> State:
        """Return a bit a weight, eight to a byte, and all other parameters."""
        sent = shared_state(net)
        for index, (name, means) in enumerate(self._latents(net).items()):
            latent = sent[name]
            bits = latent >= 0 if self.bits == "sign" else sample_bits(means.of(latent), mix(task.seed, index))
            sent[name] = pack_bits(bits)
        return sent

    def like(self, net: nn.Module) -> State:
        """Return tensors of the names, shapes and dtypes of an upload."""
        state = shared_state(net)
        for name in self._latents(net):
            state[name] = torch.zeros((state[name].numel() + 7) // 8, dtype=torch.uint8)
        return state

    def combine(self, net: nn.Module, uploads: Sequence[State], weights: Sequence[float] | None, seed: int) -> None:
        """Move the means by the bits, and average everything else."""
        state = net.state_dict()
        latents = self._latents(net)
        moved: State = {}
        for index, (name, means) in enumerate(latents.items()):
            latent = state[name]
            mean = means.of(latent)
            bits = [unpack_bits(sent[name], latent.shape).to(latent.device) for sent in uploads]
            if self.bits == "sign":
                votes = weighted_mean([{"": 2.0 * sent.double() - 1.0} for sent in bits], weights)[""]
                mean = mean + self.step * (votes - mean)
            else:
                mean = moved_by_bits(mean, bits, mix(seed, index), self.step, weights)
            moved[name] = means.back(mean, latent.dtype)
        rest = [{name: tensor for name, tensor in sent.items() if name not in latents} for sent in uploads]
        net.load_state_dict({**state, **weighted_mean(rest, weights), **moved})

    def _latents(self, net: nn.Module) -> dict[str, _Means]:
        layers = require_binary_layers(net)
        return {
            _key(name, "latent"): _Means(isinstance(layer.rule, Bernoulli), self.limit)
            for name, layer in layers.items()
        }


def _key(layer: str, what: str) -> str:
    return f"{layer}.{what}" if layer else what


def _bernoulli(net: nn.Module) -> dict[str, Owner]:
    return {name: layer for name, layer in binary_layers(net).items() if isinstance(layer.rule, Bernoulli)}


def _check_limit(limit: float) -> float:
    if not 0 < limit <= LATENT_LIMIT:
        raise ValueError(expected("limit", f"a float in (0, {LATENT_LIMIT:g}]", limit))
    return limit
