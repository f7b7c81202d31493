"""From a posterior over binary weights to an answer with its uncertainty."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.inference.norms import NormsOfDraws
from snntorch_binary.inference.readout import Readout
from snntorch_binary.inference.sample import sample_scores


def entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy over the last dimension, in nats."""
    return torch.special.entr(probabilities).sum(-1)


@dataclass(frozen=True)
class Prediction:
    """Class probabilities of an ensemble of networks and how far its members agree.

    Attributes:
        samples: probabilities of each member, [K, B, C].
        mode_probs: probabilities of the most probable network, [B, C], or ``None`` where there is no such network.
            Look at both: with a broad posterior the mode can be far worse than the ensemble.
    """

    samples: Tensor
    mode_probs: Tensor | None = None

    @property
    def probs(self) -> Tensor:
        """The Bayesian predictive distribution [B, C], the mean of the members' probabilities."""
        return self.samples.mean(0)

    @property
    def entropy(self) -> Tensor:
        """Total uncertainty [B] in nats, the entropy of the mean probabilities."""
        return entropy(self.probs)

    @property
    def mutual_information(self) -> Tensor:
        """Disagreement of the members [B] in nats, the total entropy less the members' mean entropy, at least 0."""
        return (self.entropy - entropy(self.samples).mean(0)).clamp_min(0)

    @property
    def labels(self) -> Tensor:
        """The most probable class [B]."""
        return self.probs.argmax(-1)

    def __repr__(self) -> str:
        members, examples, classes = self.samples.shape
        return f"{type(self).__name__}({members} members, {examples} examples, {classes} classes)"


def predict(
    net: nn.Module,
    x: Tensor,
    num_samples: int | None = None,
    *,
    readout: Readout | None = None,
    readout_scale: float | None = None,
    step: bool | None = None,
    time_dim: int | None = None,
    generator: torch.Generator | None = None,
    data: Tensor | Iterable[Any] | None = None,
) -> Prediction:
    r"""Average the class probabilities of networks drawn from the posterior.

    .. math::
        p(y | x) \approx \frac1K \sum_{k=1}^K \mathrm{softmax}(\mathrm{net}_{w_k}(x))_y, \qquad w_k \sim q(w)

    Every network sees the same input x and runs in evaluation mode; the neurons' state and the mode are
    restored afterwards.

    Args:
        net: a network with binary layers: snnTorch style with a loop inside ``forward`` and ``(spk, mem)`` outputs, an
            ``nn.Sequential`` of neurons with ``init_hidden=True``, or our time-first layers. Of a LightningModule of
            this package it is the network inside, and what is not given here is the module's.
        x: its input; [T, B, ...] where the network takes one step at a time or is time-first.
        num_samples: networks drawn, at least 1 (10 by default). Where no weight is random (:class:`Sign`) one is
            enough and is used.
        readout: see :func:`snntorch_binary.inference.logits`; by default spike counts where the network returns spikes
            first, else the mean over time of what it returns first.
        readout_scale: see :func:`snntorch_binary.inference.logits`.
        step: whether the network takes one time step at a time. By default its layers tell it where we know them, and
            else a few runs before the first answer; where these cannot, it has to be given.
        time_dim: dimension of time in the network's outputs, 0 in [T, B, C] and 1 in [B, T, C]; found in the same way.
        generator: where the draws come from; torch's global generator by default.
        data: inputs like those it learned from, from which the batch norms of each network take statistics of its own;
            see :func:`snntorch_binary.refit_norms_`. A network with batch norms answers far better with them.

    Returns:
        A :class:`Prediction` with ``probs``, ``entropy``, ``mutual_information``, ``mode_probs`` and ``samples``.

    Raises:
        TypeError: x is not a floating-point tensor.
        ValueError: an argument is out of its range or has to be given, x is not finite, or the network has no binary
            layer.

    Example:
        >>> import torch, snntorch as snn, snntorch_binary as sb
        >>> net = torch.nn.Sequential(torch.nn.Linear(16, 3), snn.Leaky(beta=0.9, init_hidden=True))
        >>> _ = sb.binarize_(net, sb.Bernoulli())
        >>> prediction = sb.predict(net, torch.rand(25, 8, 16), num_samples=5)
        >>> prediction.probs.shape, prediction.entropy.shape
        (torch.Size([8, 3]), torch.Size([8]))
    """
    mode, samples = sample_scores(
        net,
        x,
        num_samples,
        readout=readout,
        readout_scale=readout_scale,
        step=step,
        time_dim=time_dim,
        generator=generator,
        norms=None if data is None else NormsOfDraws(data, step),
    )
    return Prediction(samples.softmax(-1), mode.softmax(-1))
