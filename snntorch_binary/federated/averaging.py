"""From what clients send to one state: whose answer counts, stragglers, noise, and the mean."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from snntorch_binary._errors import expected

State = dict[str, Tensor]
"""Tensors by name, such as a ``state_dict``."""

Client = TypeVar("Client", bound=Hashable)


def why_refused(sent: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> str | None:
    """Say why a client's tensors cannot be used, or ``None`` where they can.

    Args:
        sent: what the client sent.
        like: what it should look like: these names, shapes and dtypes.

    Returns:
        Half a sentence, such as "weight has shape (3, 2) and not (4, 2)": another architecture, a wrong shape or
        dtype, or a value that is NaN or infinite.

    Example:
        >>> import torch
        >>> why_refused({"weight": torch.tensor([1.0, float("nan")])}, {"weight": torch.zeros(2)})
        'weight has NaN or infinite values'
    """
    if sent.keys() != like.keys():
        other = sorted(sent.keys() ^ like.keys())
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        return f"its network is another one (it differs in {', '.join(other[:3])}{more})"
    for name, tensor in sent.items():
        if tensor.shape != like[name].shape:
            return f"{name} has shape {tuple(tensor.shape)} and not {tuple(like[name].shape)}"
        if tensor.dtype != like[name].dtype:
            return f"{name} is {tensor.dtype} and not {like[name].dtype}"
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return f"{name} has NaN or infinite values"
    return None


def weighted_mean(states: Sequence[Mapping[str, Tensor]], weights: Sequence[float] | None = None) -> State:
    r"""Return the mean of states, :math:`\sum_k p_k x_k` with p_k proportional to the weights.

    Floating-point entries are averaged (summed in float64, so that the order of clients hardly matters). Integer
    entries are counters, such as the batches a batch norm has seen: the largest counts.

    Args:
        states: at least one, of the same names and shapes.
        weights: one a state, at least 0 and not all 0: numbers of examples; ``None`` is the uniform mean.

    Raises:
        ValueError: there is no state, or the weights are not such.

    Example:
        >>> import torch
        >>> weighted_mean([{"w": torch.tensor([0.0])}, {"w": torch.tensor([4.0])}], weights=[3, 1])
        {'w': tensor([1.])}
    """
    shares = normalised(states, weights)
    mean: State = {}
    for name, first in states[0].items():
        tensors = [state[name] for state in states]
        if first.is_floating_point():
            total = torch.zeros(first.shape, dtype=torch.float64, device=first.device)
            for share, tensor in zip(shares, tensors, strict=True):
                total.add_(tensor, alpha=share)
            mean[name] = total.to(first.dtype)
        else:
            mean[name] = torch.stack(tensors).amax(0)
    return mean


def normalised(items: Sequence[object], weights: Sequence[float] | None) -> list[float]:
    """Return weights that sum to 1, one an item; uniform ones for ``None``.

    Raises:
        ValueError: there is no item, or the weights are not at least 0 with a positive sum, one an item.
    """
    if not items:
        raise ValueError(expected("states", "at least one", "none"))
    weights = [1.0] * len(items) if weights is None else [float(weight) for weight in weights]
    total = sum(weights)
    if len(weights) != len(items) or min(weights) < 0 or not 0 < total < float("inf"):
        raise ValueError(expected("weights", f"{len(items)} numbers of at least 0, not all of them 0", weights))
    return [weight / total for weight in weights]


def without_stragglers(clients: Sequence[Client], probability: float, seed: int) -> list[Client]:
    """Return the clients whose answers come in time: each but the first is late with a probability.

    Args:
        clients: in their order; the first always answers, so that one is left.
        probability: in [0, 1].
        seed: of the draw.

    Raises:
        ValueError: the probability is outside [0, 1].

    Example:
        >>> without_stragglers([3, 1, 4, 5], probability=1.0, seed=0)
        [3]
    """
    if not 0 <= probability <= 1:
        raise ValueError(expected("probability", "a float in [0, 1]", probability))
    generator = torch.Generator().manual_seed(seed)
    late = torch.rand(len(clients), generator=generator) < probability
    return [client for index, client in enumerate(clients) if index == 0 or not late[index]]


def with_noise(
    sent: Mapping[str, Tensor],
    start: Mapping[str, Tensor],
    strength: float,
    seed: int,
    names: Collection[str] | None = None,
) -> State:
    r"""Return a client's state with noise on its update, relative to the size of the update.

    .. math::
        \tilde w = w + \sigma \; \mathrm{mean}\,|w_{start} - w| \; \epsilon, \qquad \epsilon \sim N(0, 1)

    for each floating-point tensor by itself; all others stay as they are.

    Args:
        sent: the client's state.
        start: the state it started the round from.
        strength: σ, at least 0.
        seed: of the noise.
        names: tensors that get noise, such as parameters without buffers; ``None`` is all floating-point ones.

    Raises:
        ValueError: the strength is negative.

    References:
        Venkatesha, Kim, Tassiulas, Panda, *Federated learning with spiking neural networks*, arXiv 2106.06579 (their
        code adds it to batch norm's statistics and counters, too).
    """
    if not strength >= 0:
        raise ValueError(expected("strength", "a float of at least 0", strength))
    generator = torch.Generator().manual_seed(seed)
    noisy = dict(sent)
    for name, tensor in sent.items():
        if strength and tensor.is_floating_point() and name in start and (names is None or name in names):
            size = (start[name] - tensor).abs().mean()
            noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            noisy[name] = tensor + strength * size * noise.to(tensor.device)
    return noisy
