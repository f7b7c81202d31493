"""Aggregations whose clients send one bit a binary weight."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.federated.aggregation import Aggregation, check_limit, key_of, load_moved, shared_state
from snntorch_binary.federated.averaging import State, weighted_mean
from snntorch_binary.federated.exchange import Task
from snntorch_binary.federated.one_bit import moved_by_bits, pack_bits, sample_bits, unpack_bits
from snntorch_binary.federated.one_bit_change import change_bits, moved_by_change_bits
from snntorch_binary.kernels.noise import mix
from snntorch_binary.weights import require_binary_layers
from snntorch_binary.weights.rule import sign


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


class _BitUploads(Aggregation):
    """One bit a binary weight, eight to a byte; biases, gains and all other parameters travel as they are.

    The order of a network's binary layers numbers the noise that clients and server share.
    """

    limit: float

    @abstractmethod
    def _sent(self, means: _Means, start: Tensor, latent: Tensor, seed: int) -> tuple[Tensor, State]:
        """Return a latent's bits, and what else travels with them, by its name."""

    @abstractmethod
    def _moved(
        self,
        means: _Means,
        mean: Tensor,
        bits: Sequence[Tensor],
        more: Sequence[State],
        weights: Sequence[float] | None,
        seed: int,
    ) -> Tensor:
        """Return the server's new means."""

    def _more(self) -> State:
        """Return tensors like those that travel with a latent's bits."""
        return {}

    def upload(self, net: nn.Module, start: State, memory: State, task: Task) -> State:
        """Return a bit a weight, and all other parameters."""
        sent = shared_state(net)
        for index, (name, means) in enumerate(self._latents(net).items()):
            bits, more = self._sent(means, start[name].to(sent[name].device), sent[name], mix(task.seed, index))
            sent[name] = pack_bits(bits)
            sent.update({key_of(name, what): tensor for what, tensor in more.items()})
        return sent

    def like(self, net: nn.Module) -> State:
        """Return tensors of the names, shapes and dtypes of an upload."""
        state = shared_state(net)
        for name in self._latents(net):
            state[name] = torch.zeros((state[name].numel() + 7) // 8, dtype=torch.uint8)
            state.update({key_of(name, what): tensor for what, tensor in self._more().items()})
        return state

    def combine(self, net: nn.Module, uploads: Sequence[State], weights: Sequence[float] | None, seed: int) -> None:
        """Move the means by the bits, and average everything else."""
        state = net.state_dict()
        latents = self._latents(net)
        moved: State = {}
        for index, (name, means) in enumerate(latents.items()):
            latent = state[name]
            bits = [unpack_bits(sent[name], latent.shape).to(latent.device) for sent in uploads]
            more = [{what: sent[key_of(name, what)] for what in self._more()} for sent in uploads]
            mean = self._moved(means, means.of(latent), bits, more, weights, mix(seed, index))
            moved[name] = means.back(mean, latent.dtype)
        averaged = [{name: sent[name] for name in state.keys() & sent.keys() - latents.keys()} for sent in uploads]
        load_moved(net, {**weighted_mean(averaged, weights), **moved})

    def _latents(self, net: nn.Module) -> dict[str, _Means]:
        layers = require_binary_layers(net)
        for name, layer in layers.items():
            mode, _ = layer.rule.weight_and_derivative(layer.latent.detach(), "mode", None)
            if not layer.rule.takes_signs or not torch.equal(mode, sign(layer.latent.detach())):
                what = "a network of ±1 weights, the signs of their latents"
                raise ValueError(expected("net", what, f"{layer.rule!r} in {name!r}"))
        return {key_of(name, "weight"): _Means(layer.rule.has_posterior, self.limit) for name, layer in layers.items()}


class OneBit(_BitUploads):
    """Uploads of a binary network: one bit a weight, and all other parameters.

    See :mod:`snntorch_binary.federated.one_bit`. The server's update of Bernoulli layers is unbiased for the posterior
    mean μ = tanh(w_r); that of :class:`snntorch_binary.Sign` layers for the latent, which lies in [-1, 1] as
    :class:`snntorch_binary.lightning.STBiSNN` trains it. :class:`OneBitChange` is less noisy.

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
        self.limit = check_limit(limit)

    def _sent(self, means: _Means, start: Tensor, latent: Tensor, seed: int) -> tuple[Tensor, State]:
        return latent >= 0 if self.bits == "sign" else sample_bits(means.of(latent), seed), {}

    def _moved(
        self,
        means: _Means,
        mean: Tensor,
        bits: Sequence[Tensor],
        more: Sequence[State],
        weights: Sequence[float] | None,
        seed: int,
    ) -> Tensor:
        if self.bits == "sign":
            votes = weighted_mean([{"": 2.0 * sent.double() - 1.0} for sent in bits], weights)[""]
            return mean + self.step * (votes - mean)
        return moved_by_bits(mean, bits, seed, self.step, weights)


class OneBitChange(_BitUploads):
    """Uploads of the change of a binary network's means: one bit a weight, one number a tensor, all other parameters.

    See :mod:`snntorch_binary.federated.one_bit_change`. The server's update is unbiased for the mean
    μ = tanh(w_r) of Bernoulli layers, and for the latent of :class:`snntorch_binary.Sign` layers, where a weight
    changes by no more than a bit can say in a round; a larger change counts as that much.

    Args:
        width: κ, positive: what a bit can say, in mean changes of its tensor; more is less bias and more noise.
        limit: bound on the global ``|w_r|`` of Bernoulli layers, in (0, 30].

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, width: float = 1.5, limit: float = 6.0) -> None:
        if not width > 0:
            raise ValueError(expected("width", "a positive float", width))
        self.width = width
        self.limit = check_limit(limit)

    def _more(self) -> State:
        return {"scale": torch.zeros(())}

    def _sent(self, means: _Means, start: Tensor, latent: Tensor, seed: int) -> tuple[Tensor, State]:
        bits, scale = change_bits(means.of(start), means.of(latent), seed, self.width, means.bernoulli)
        return bits, {"scale": scale}

    def _moved(
        self,
        means: _Means,
        mean: Tensor,
        bits: Sequence[Tensor],
        more: Sequence[State],
        weights: Sequence[float] | None,
        seed: int,
    ) -> Tensor:
        scales = [sent["scale"] for sent in more]
        return moved_by_change_bits(mean, bits, scales, seed, weights, means.bernoulli)
