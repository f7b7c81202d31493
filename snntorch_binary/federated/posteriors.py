r"""Bernoulli posteriors of several clients as one: a product of experts in natural parameters.

Clients k = 1 ... K with data D_k and the prior p(w) have the joint posterior

.. math::
    p(w \mid D) \propto p(w) \prod_k p(D_k \mid w) \approx q(w) \propto p(w) \prod_k t_k(w)

with one factor t_k a client. With Bernoulli factors the logarithm of a product is a sum of natural parameters,

.. math::
    w_r = w_{r0} + \sum_k \lambda_k,

so each client's factor is added once to the prior. A client refines its own factor as partitioned variational inference
does (Ashman et al., arXiv 2202.12275): its prior is the *cavity*, everything but its own factor,

.. math::
    w_{r0}^{(k)} = w_r - \lambda_k, \qquad
    w_r^{(k)} = \arg\min_{q} \; \mathrm E_q[-\ln p(D_k \mid w)] + \mathrm{KL}(q \,\|\, q_{cavity}),

and its new factor is w_r^(k) less the cavity. The new factor less the old is then w_r^(k) - w_r: what a client sends and
what the server adds is *the change of the natural parameters*, whether or not it took part before,

.. math::
    w_r \leftarrow w_r + \gamma \sum_{k \in \text{round}} \bigl(w_r^{(k)} - w_r\bigr), \qquad
    \lambda_k \leftarrow \lambda_k + \gamma\,(w_r^{(k)} - w_r),

with a damping γ in (0, 1]. What the factors change is the prior of a client that comes back: with w_r itself as its
prior its data would count once more with every visit, and the posterior would become ever surer of itself. A factor
never leaves its client.

The mean of the latents, Σ p_k w_r^(k), is the same sum with γ p_k in place of γ: K clients that are each a little surer
make a product that is much surer, and a mean that is a little surer.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.weights import LATENT_LIMIT


def product_of_experts(
    latent: Tensor, posteriors: Sequence[Tensor], damping: float = 1.0, limit: float = LATENT_LIMIT
) -> Tensor:
    r"""Return the natural parameter of :math:`q \prod_k (q_k / q)^\gamma`, a Bernoulli distribution as all of them are.

    Args:
        latent: natural parameter w_r of q, from which all clients started.
        posteriors: natural parameters of the q_k, of the same shape.
        damping: γ in (0, 1].
        limit: bound on the result's magnitude, positive.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> import torch
        >>> product_of_experts(torch.tensor([1.0]), [torch.tensor([1.5]), torch.tensor([0.75])])
        tensor([1.2500])
    """
    if not 0 < damping <= 1:
        raise ValueError(expected("damping", "a float in (0, 1]", damping))
    if not limit > 0:
        raise ValueError(expected("limit", "a positive float", limit))
    total = latent.double()
    for posterior in posteriors:
        total = total + damping * (posterior.double() - latent.double())
    return total.clamp(-limit, limit).to(latent.dtype)
