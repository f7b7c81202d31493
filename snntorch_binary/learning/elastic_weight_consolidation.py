"""Elastic weight consolidation: what real-valued parameters need in place of a posterior."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected


class ElasticWeightConsolidation:
    r"""A quadratic penalty that holds parameters the more firmly, the more earlier tasks depend on them.

    .. math::
        \Omega(\theta) = \frac{\lambda}{2} \sum_j F_j\, (\theta_j - \theta^*_j)^2, \qquad
        F_j = \sum_k E_{x \sim D_k}\, E_{y \sim p(y | x)}
              \Big[ \Big( \frac{\partial \log p(y | x)}{\partial \theta_j} \Big)^2 \Big]

    with :math:`\theta^*` the parameters at the end of the last task. Each example's gradient is squared by itself, and
    its label is drawn from the network's own answer: F is the diagonal of the Fisher information. Fisher terms of all
    tasks add up around the *latest* parameters, which is what "the posterior becomes the prior" means for a Gaussian
    approximation (Huszár).

    It works for any network: full-precision weights, or latents of ST-BiSNN, whose gradients are the straight-through
    ones.

    Args:
        net: the network; parameters that require no gradient are left alone.
        strength: λ, at least 0, for a per-example mean loss.

    Raises:
        ValueError: λ is negative, or the network has nothing to learn.

    Example:
        >>> import torch
        >>> from torch.nn import functional as F
        >>> from snntorch_binary.learning.elastic_weight_consolidation import ElasticWeightConsolidation
        >>> net = torch.nn.Linear(4, 2)
        >>> consolidation = ElasticWeightConsolidation(net, strength=100.0)
        >>> for x, y in [(torch.rand(8, 4), torch.zeros(8).long()), (torch.rand(8, 4), torch.ones(8).long())]:
        ...     loss = F.cross_entropy(net(x), y) + consolidation.penalty()  # and learn
        ...     consolidation.consolidate(net, x.split(1))
        >>> consolidation.penalty().item()
        0.0

    References:
        Kirkpatrick et al., *Overcoming catastrophic forgetting in neural networks*, PNAS 114, 2017;
        Huszár, *Note on the quadratic penalties in elastic weight consolidation*, PNAS 115, 2018.
    """

    def __init__(self, net: nn.Module, strength: float) -> None:
        if not strength >= 0:
            raise ValueError(expected("strength", "a float of at least 0", strength))
        self.strength = strength
        self._parameters = {name: value for name, value in net.named_parameters() if value.requires_grad}
        if not self._parameters:
            raise ValueError(expected("net", "a network with parameters to learn", type(net).__name__))
        self.fisher = {name: torch.zeros_like(value) for name, value in self._parameters.items()}
        self.anchor = {name: value.detach().clone() for name, value in self._parameters.items()}

    def penalty(self) -> Tensor:
        """Return Ω, a scalar to be added to the loss; 0 during the first task."""
        terms = []
        for name, value in self._parameters.items():
            # The network may have moved to another device since.
            self.fisher[name], self.anchor[name] = self.fisher[name].to(value), self.anchor[name].to(value)
            terms.append((self.fisher[name] * (value - self.anchor[name]).square()).sum())
        return self.strength / 2 * torch.stack(terms).sum()

    def consolidate(
        self,
        scores: Callable[[Tensor], Tensor],
        examples: Iterable[Tensor],
        generator: torch.Generator | None = None,
    ) -> None:
        """End a task: measure which parameters it depends on, and hold them where they are now.

        Args:
            scores: maps one example to its class scores (logits) [1, C] by the network.
            examples: inputs of the task, one at a time as a batch of one ([T, 1, ...] for a time-first network); a few
                hundred will do.
            generator: where labels are drawn; torch's global generator by default.

        Raises:
            ValueError: there is no example, or the scores are not those of one example.
        """
        parameters = list(self._parameters.values())
        sums = [torch.zeros_like(value) for value in parameters]
        count = 0
        for example in examples:
            with torch.enable_grad():
                log_probabilities = scores(example).log_softmax(-1)
                if log_probabilities.dim() != 2 or len(log_probabilities) != 1:
                    got = tuple(log_probabilities.shape)
                    raise ValueError(expected("scores", "a function that returns [1, C] for one example", got))
                label = torch.multinomial(log_probabilities.detach().exp()[0], 1, generator=generator)
                gradients = torch.autograd.grad(log_probabilities[0, label].sum(), parameters, allow_unused=True)
            for total, gradient in zip(sums, gradients, strict=True):
                if gradient is not None:
                    total.addcmul_(gradient, gradient)
            count += 1
        if count == 0:
            raise ValueError(expected("examples", "at least one example", "none"))
        for (name, value), total in zip(self._parameters.items(), sums, strict=True):
            self.fisher[name] = self.fisher[name].to(value) + total / count
            self.anchor[name] = value.detach().clone()

    def state_dict(self) -> dict[str, Any]:
        """Return the Fisher information and the anchor of every parameter by name."""
        return {"fisher": dict(self.fisher), "anchor": dict(self.anchor)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned.

        Raises:
            ValueError: the state is not one of this network.
        """
        for kind in ("fisher", "anchor"):
            shapes = {name: tuple(value.shape) for name, value in state[kind].items()}
            if shapes != {name: tuple(value.shape) for name, value in self._parameters.items()}:
                raise ValueError(expected("state", "that of a network with the same parameters", sorted(shapes)))
        for name, value in self._parameters.items():
            self.fisher[name] = state["fisher"][name].to(value).clone()
            self.anchor[name] = state["anchor"][name].to(value).clone()
