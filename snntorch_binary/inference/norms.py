"""`refit_norms_`: the running statistics of batch norms taken again, for the weights that are in force now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from snntorch_binary._errors import expected
from snntorch_binary.inference.arguments import check_input
from snntorch_binary.inference.evaluated import evaluated
from snntorch_binary.inference.kept_state import state_put_back
from snntorch_binary.inference.run import run

_DATA = "inputs, or batches of them or of (inputs, ...)"
MOST_BATCHES = 50
"""So many batches of data are used: statistics of a few thousand examples are as good as those of all."""


def refit_norms_(net: nn.Module, data: Tensor | Iterable[Any], *, step: bool | None = None) -> None:
    """Take the running statistics of all batch norms of a network again, in place.

    While a network learns, a batch norm's running mean and variance follow those of the last batches. A binary weight
    that flips, or a draw from a posterior, changes them at once: what was averaged before belongs to other weights.
    This runs the network on inputs like those it learned from and averages anew over all of them; nothing else
    changes, dropout is off, and the weights in force are those of evaluation or of :func:`snntorch_binary.sampled`. It
    does nothing to a network without such norms.

    Args:
        net: a network. Of a :class:`snntorch_binary.Ensemble` every member gets statistics of its own.
        data: inputs as the network takes them, in one tensor or batch by batch; of a batch ``(x, ...)`` the first is
            taken, so that a loader of training data will do, of which the first 50 batches are used. Where the network
            takes several arguments, that is a tuple of them, or a list, as loaders make of tuples: ``((x, context),
            labels)``, or ``((x, context),)`` without labels.
        step: whether a call is one time step; see :func:`snntorch_binary.predict`.

    Raises:
        TypeError: an input is no tensor of floating-point numbers and no tuple of arguments that begins with one.
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
    if norms_of(net):
        refit_on(net, _inputs(data), step)


@torch.no_grad()
def refit_on(net: nn.Module, inputs: list[Any], step: bool | None) -> None:
    """Take the running statistics of all batch norms again, as :func:`refit_norms_`, on what :class:`NormsOfDraws` has.

    Args:
        net: the network.
        inputs: each as the network takes it.
        step: whether a call is one time step.
    """
    members = getattr(net, "members", None)
    for one in members if isinstance(members, nn.ModuleList) else [net]:
        if not norms_of(one):
            continue
        with evaluated(one), state_put_back(one), _from_nothing(one):
            for x in inputs:
                check_input(x)
                run(one, x, step)


def norms_of(net: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms that keep running statistics."""
    return [module for module in net.modules() if isinstance(module, _BatchNorm) and module.running_mean is not None]


class NormsOfDraws:
    """Running statistics for each of several weights that come into force by turns, taken once each.

    Args:
        data: inputs, as :func:`refit_norms_` takes them; without there are those of a file, see :meth:`of_state`.
        step: whether a call is one time step.

    Attributes:
        inputs: batch by batch, a tensor or a tuple of arguments each; none of a file.

    Raises:
        ValueError: there are data, and no input in them.
    """

    def __init__(self, data: Tensor | Iterable[Any] | None, step: bool | None = None) -> None:
        self.inputs = [] if data is None else _inputs(data)
        self.step = step
        self._known: dict[str, list[Tensor]] = {}

    @contextmanager
    def of(self, net: nn.Module, key: str | int) -> Iterator[None]:
        """Have a network's norms go by the statistics of the weights in force, which a key names; put back after.

        Args:
            net: the network.
            key: ``"mode"``, or the number of a member.

        Raises:
            ValueError: there are no such statistics, and no data to take them from.
        """
        before = [value.clone() for value in _statistics(net)]
        try:
            if str(key) not in self._known and self.inputs:
                refit_on(net, self.inputs, self.step)
                self._known[str(key)] = [value.clone() for value in _statistics(net)]
            self.put_(net, key)
            yield
        finally:
            _put(net, before)

    def put_(self, net: nn.Module, key: str | int) -> None:
        """Give a network's norms the statistics of a key for good.

        Raises:
            ValueError: there are none.
        """
        if str(key) not in self._known:
            members = sum(name != "mode" for name in self._known)
            what = f"at most {members}, for which the run has statistics of batch norms"
            raise ValueError(expected("num_members", what, f"member {key}"))
        _put(net, self._known[str(key)])

    def state(self) -> dict[str, Tensor]:
        """Return the statistics by name, for a file."""
        return {f"{key}/{index}": value for key, values in self._known.items() for index, value in enumerate(values)}

    @classmethod
    def of_state(cls, state: Mapping[str, Any], net: nn.Module) -> NormsOfDraws:
        """Return the statistics that a file holds for a network.

        Raises:
            ValueError: they are none of this network.
        """
        found, form = cls(None), _statistics(net)
        for name, value in state.items():
            key, _, index = name.partition("/")
            known_names = (key == "mode" or key.isdecimal()) and index in map(str, range(len(form)))
            if not known_names or not _alike(value, form[int(index)]):
                raise ValueError(expected("norms", "statistics of the network's batch norms", repr(name)))
            found._known.setdefault(key, list(form))[int(index)] = value
        if "mode" not in found._known or len(state) != len(found._known) * len(form):
            raise ValueError(
                expected("norms", "statistics of all of the network's batch norms", f"{len(state)} tensors")
            )
        return found


def _alike(value: Any, other: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == other.shape and value.dtype == other.dtype


def _statistics(net: nn.Module) -> list[Tensor]:
    kept = [(norm.running_mean, norm.running_var, norm.num_batches_tracked) for norm in norms_of(net)]
    return [value for values in kept for value in values if value is not None]


@torch.no_grad()
def _put(net: nn.Module, values: list[Tensor]) -> None:
    for value, kept in zip(_statistics(net), values, strict=True):
        value.copy_(kept)


@contextmanager
def _from_nothing(net: nn.Module) -> Iterator[None]:
    """Have norms average over all batches from now on, each counting the same; what fails changes nothing."""
    norms, before = norms_of(net), [value.clone() for value in _statistics(net)]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum, norm.training = None, True
        yield
    except BaseException:
        _put(net, before)
        raise
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum, norm.training = momentum, False


def _inputs(data: Tensor | Iterable[Any]) -> list[Any]:
    goes_through = isinstance(data, Iterable) or hasattr(data, "__getitem__")  # torch's data sets have that alone
    if not goes_through or isinstance(data, (str, bytes, Mapping)):
        raise TypeError(expected("data", _DATA, type(data).__name__))
    batches = [data] if isinstance(data, Tensor) else islice(data, MOST_BATCHES)
    found = [batch[0] if isinstance(batch, (tuple, list)) and batch else batch for batch in batches]
    if not found:
        raise ValueError(expected("data", "at least one input", "none"))
    for x in found:
        if not isinstance(x, (Tensor, tuple, list)):
            raise TypeError(expected("data", _DATA, f"batches of a {type(x).__name__}"))
    return [tuple(x) if isinstance(x, list) else x for x in found]  # torch's loaders make lists of tuples
