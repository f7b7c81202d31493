"""`refit_norms_`: the running statistics of batch norms taken again, for the weights that are in force now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from snntorch_binary._errors import expected
from snntorch_binary.inference.evaluated import evaluated
from snntorch_binary.inference.kept_state import state_put_back
from snntorch_binary.inference.run import check_input, run


@torch.no_grad()
def refit_norms_(net: nn.Module, data: Tensor | Iterable[Any], *, step: bool | None = None) -> None:
    """Take the running statistics of all batch norms of a network again, in place.

    While a network learns, a batch norm's running mean and variance follow those of the last batches. A binary weight
    that flips, or a draw from a posterior, changes them at once: what was averaged before belongs to other weights. This
    runs the network on inputs like those it learned from and averages anew over all of them; nothing else changes,
    dropout is off, and the weights in force are those of evaluation or of :func:`snntorch_binary.sampled`. It does
    nothing to a network without such norms.

    Args:
        net: a network. Of a :class:`snntorch_binary.Ensemble` every member gets statistics of its own.
        data: inputs as the network takes them, in one tensor or batch by batch; of a batch ``(x, ...)`` the first is
            taken, so that a loader of training data will do. A thousand examples are enough.
        step: whether a call is one time step; see :func:`snntorch_binary.predict`.

    Raises:
        TypeError: an input is no tensor of floating-point numbers.
        ValueError: there is no input, or one holds NaN or infinite values.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(sb.nn.BinaryLinear(16, 3), torch.nn.BatchNorm1d(3))
        >>> x = torch.rand(100, 16)
        >>> sb.refit_norms_(net, x)
        >>> bool(torch.allclose(net(x).std(0), net.train()(x).std(0), rtol=1e-2))
        True

    References:
        Izmailov et al., *Averaging Weights Leads to Wider Optima and Better Generalization*, arXiv 1803.05407, do the
        same for averaged weights.
    """
    members = getattr(net, "members", None)
    for one in members if isinstance(members, nn.ModuleList) else [net]:
        norms = norms_of(one)
        if not norms:
            continue
        with evaluated(one), state_put_back(one), _from_nothing(norms):
            seen = False
            for x in _inputs(data):
                check_input(x)
                run(one, x, step)
                seen = True
            if not seen:
                raise ValueError(expected("data", "at least one input", "none"))


def norms_of(net: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms that keep running statistics."""
    return [module for module in net.modules() if isinstance(module, _BatchNorm) and module.running_mean is not None]


@contextmanager
def statistics_put_back(net: nn.Module) -> Iterator[None]:
    """Give every batch norm the running statistics back that it has now."""
    norms = norms_of(net)
    before = [[value.clone() for value in _statistics(norm)] for norm in norms]
    try:
        yield
    finally:
        with torch.no_grad():
            for norm, values in zip(norms, before, strict=True):
                for value, kept in zip(_statistics(norm), values, strict=True):
                    value.copy_(kept)


def _statistics(norm: _BatchNorm) -> list[Tensor]:
    return [value for value in (norm.running_mean, norm.running_var, norm.num_batches_tracked) if value is not None]


@contextmanager
def _from_nothing(norms: list[_BatchNorm]) -> Iterator[None]:
    """Have norms average over all batches from now on, each counting the same."""
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum, norm.training = None, True
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum, norm.training = momentum, False


def _inputs(data: Tensor | Iterable[Any]) -> Iterator[Any]:
    if isinstance(data, Tensor):
        yield data
        return
    for batch in data:
        yield batch[0] if isinstance(batch, (tuple, list)) else batch
