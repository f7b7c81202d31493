"""Norse's cells with weights of their own, raw Parameters: these become modules, which can be binary."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import norse.torch as norse_torch
from norse.torch.module.snn import SNNRecurrent, SNNRecurrentCell
from torch import Tensor, nn

from snntorch_binary.convert.foreign import APART, Apart
from snntorch_binary.nn.binary import BINARY_TWINS, BinaryLayer

_NAMES = ("input_weights", "recurrent_weights")


class Synapses(nn.Module):
    """A weight matrix [N, N_in] of a cell of N neurons; without ``autapses`` no neuron is connected with itself."""

    bias: Any

    def __init__(self, weight: nn.Parameter, autapses: bool) -> None:
        super().__init__()
        self.weight = weight
        self.register_parameter("bias", None)
        self.autapses = autapses

    @property
    def zeros_are_masked(self) -> bool:
        """Whether the diagonal is zero, whatever the weights are."""
        return not self.autapses

    def extra_repr(self) -> str:  # noqa: D102  # the class says it
        outputs, inputs = self.weight.shape
        return f"{inputs}, {outputs}, autapses={self.autapses}"


class BinarySynapses(BinaryLayer, Synapses):  # type: ignore[misc]
    """A weight matrix [N, N_in] of a Norse cell in {-1, +1}: what :func:`snntorch_binary.binarize_` makes of one.

    A cell holds them by Norse's names, ``cell.synapses["recurrent_weights"]``, and its attribute
    ``cell.recurrent_weights`` is their read-only ``weight``, scale included. In a cell without autapses, Norse's
    default, the diagonal of the recurrent weights stays zero. The scale ``"fan_in"`` is 1/sqrt(N_in).

    Example:
        >>> import norse.torch as norse, torch, snntorch_binary as sb
        >>> cell = norse.LIFRecurrentCell(2, 4)
        >>> print(sb.binarize_(cell, sb.Sign()))
        name                        module    what happened
        --------------------------  --------  ----------------
        synapses.input_weights      Synapses  binary by Sign()
        synapses.recurrent_weights  Synapses  binary by Sign()
        >>> cell.recurrent_weights.abs()[:2].tolist()
        [[0.0, 0.5, 0.5, 0.5], [0.5, 0.0, 0.5, 0.5]]
    """

    def in_force(self) -> Tensor:
        """Return the unscaled weight in force, in [-1, +1]; 0 where a neuron would be connected with itself."""
        weight = super().in_force()
        return weight if self.autapses else weight.diagonal_scatter(weight.new_zeros(weight.shape[0]))

    def _start_from(self, weight: Tensor) -> None:
        super()._start_from(weight)
        self._know_nothing_of_autapses()

    def _written(self, weight: Tensor, before: Tensor) -> None:
        super()._written(weight, before)
        self._know_nothing_of_autapses()
        self.draw.forget()
        self.refresh()

    def _load_weight(self, state_dict: dict[str, Any], prefix: str, weight: Tensor) -> None:
        super()._load_weight(state_dict, prefix, weight)
        if not self.autapses and weight.shape == self.latent.shape:
            latent = state_dict[prefix + "weight"] = state_dict[prefix + "weight"].clone()
            latent.diagonal().copy_(self.prior_latent.expand_as(latent).diagonal())

    def _know_nothing_of_autapses(self) -> None:
        """Put weights that are not there at the prior, where they add nothing to the divergence from it."""
        if not self.autapses:
            prior = self.prior_latent.expand_as(self.latent)
            self.latent.detach().diagonal().copy_(prior.diagonal())


def _synapses(name: str) -> property:
    def weight(cell: CellApart) -> Tensor:
        """The weight in force."""
        if name in cell.synapses:
            return cell.synapses[name].weight  # type: ignore[return-value]
        try:
            return cell.__dict__[name]
        except KeyError:
            raise AttributeError(f"{type(cell).__name__!r} object has no attribute {name!r}") from None

    return property(weight)


class CellApart(Apart):
    """A cell whose weights are modules of their own, in ``synapses``, for as long as one of them is binary."""

    norse_class: ClassVar[type[nn.Module]]
    synapses: nn.ModuleDict
    input_weights = _synapses("input_weights")
    recurrent_weights = _synapses("recurrent_weights")

    def _take_apart(self) -> None:
        self.__class__ = APART[type(self)]  # type: ignore[assignment]
        names = [name for name in _NAMES if self._parameters.get(name) is not None]
        weights: dict[str, Any] = {name: self._parameters.pop(name) for name in names}
        autapses = {"recurrent_weights": getattr(self, "autapses", True)}
        self.synapses = nn.ModuleDict({name: Synapses(weights[name], autapses.get(name, True)) for name in names})
        self.synapses.train(self.training)

    def _put_together(self) -> None:
        weights = {name: synapses._parameters["weight"] for name, synapses in self.synapses.items()}
        del self._modules["synapses"]
        others = dict(self._parameters)
        self._parameters.clear()
        self._parameters.update(weights | others)
        self.__class__ = self.norse_class  # type: ignore[assignment]

    def __setattr__(self, name: str, value: Any) -> None:
        # Module.__setattr__ bypasses properties.
        if name in self.__dict__.get("_modules", {}).get("synapses", ()):
            self.synapses[name].weight = value
        else:
            super().__setattr__(name, value)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in self.synapses:  # a checkpoint in full precision
            if prefix + name in state_dict:
                state_dict[f"{prefix}synapses.{name}.weight"] = state_dict.pop(prefix + name)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _register() -> None:
    with_weights = (SNNRecurrentCell, SNNRecurrent, norse_torch.CobaLIFCell, norse_torch.LILinearCell)
    for norse_class in {*with_weights, *filter(inspect.isclass, vars(norse_torch).values())}:
        if issubclass(norse_class, with_weights):
            # Under Norse's own name here, where pickle finds it.
            name, attributes = norse_class.__name__, {"__module__": __name__, "norse_class": norse_class}
            APART[norse_class] = globals()[name] = type(name, (CellApart, norse_class), attributes)
    BINARY_TWINS[Synapses] = BinarySynapses


_register()
