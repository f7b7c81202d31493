"""Hyper-parameters that may change while a network learns: which there are, where they are held, and how one is set."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeGuard

import lightning as L
from torch import nn

from snntorch_binary._errors import expected
from snntorch_binary.weights import Bernoulli, binary_layers

Group = dict[str, Any]
"""A parameter group of an optimizer."""


@dataclass(frozen=True)
class Hyperparameter:
    """A number that training reads anew at every step.

    Attributes:
        read: returns it; ``None`` where it is switched off.
        write: sets it; the new value holds from the next step on.
        valid: says whether a value is allowed.
        what: the values that are, as in "a positive float".
    """

    read: Callable[[], float | None]
    write: Callable[[float], None]
    valid: Callable[[float], bool]
    what: str

    def set(self, name: str, value: float) -> None:
        """Set it where it differs.

        Raises:
            ValueError: the value is not allowed.
        """
        if not self.valid(value):
            raise ValueError(expected(name, self.what, value))
        if self.read() != value:
            self.write(value)


def positive(value: float) -> bool:
    """Say whether a value is a positive float."""
    return 0 < value < math.inf


def at_least_zero(value: float) -> bool:
    """Say whether a value is a float of at least 0."""
    return 0 <= value < math.inf


def below_one(value: float) -> bool:
    """Say whether a value is in [0, 1)."""
    return 0 <= value < 1


def learning_rate(groups: list[Group]) -> Hyperparameter:
    """Return the learning rate of some parameter groups.

    Under a schedule such as ``cosine=True`` it is the height of the curve: the schedule goes on as a factor of it.
    """

    def read() -> float:
        group = groups[0]
        return float(group["initial_lr"] if "initial_lr" in group else group["lr"])

    def write(value: float) -> None:
        for group in groups:
            before = group.get("initial_lr", group["lr"])
            group["lr"] = value * (group["lr"] / before if before else 1.0)
            group.pop("latent_lr", None)  # said of these parameters by name: no proportion to the latents' any more
            # torch's schedulers keep there what they started from.
            if "initial_lr" in group:
                group["initial_lr"] = value

    return Hyperparameter(read, write, positive, "a positive float")


def of_groups(groups: list[Group], key: str, valid: Callable[[float], bool], what: str) -> Hyperparameter:
    """Return an option of some parameter groups."""

    def write(value: float) -> None:
        for group in groups:
            group[key] = value

    return Hyperparameter(lambda: groups[0][key], write, valid, what)


def of_objects(owners: list[Any], name: str, valid: Callable[[float], bool], what: str) -> Hyperparameter:
    """Return a number that some objects keep as an attribute."""

    def write(value: float) -> None:
        for owner in owners:
            setattr(owner, name, value)

    return Hyperparameter(lambda: getattr(owners[0], name), write, valid, what)


def of_network(net: nn.Module) -> dict[str, Hyperparameter]:
    """Return what the modules of a network have: the ``noise`` of neurons and ``dropout``."""
    found = {}
    noisy = [module for module in net.modules() if isinstance(getattr(module, "noise", None), float)]
    dropouts = [module for module in net.modules() if isinstance(module, nn.modules.dropout._DropoutNd)]
    if noisy:
        found["noise"] = of_objects(noisy, "noise", at_least_zero, "a float of at least 0")
    if dropouts:
        found["dropout"] = of_objects(dropouts, "p", below_one, "a float in [0, 1)")
    return found


def of_posterior(net: nn.Module, groups: list[Group]) -> dict[str, Hyperparameter]:
    """Return what learning a Bernoulli posterior has: ``rho``, ``clip``, ``limit``, ``momentum`` and ``tau``.

    Args:
        net: the network; there is a temperature ``tau`` where weights have ``Bernoulli(estimator="gumbel")``.
        groups: the latents' groups of :class:`snntorch_binary.optim.BayesBiSNN`; there is a ``momentum`` where they
            have no ``betas``.
    """
    found = {}
    if groups:
        found["rho"] = of_groups(groups, "rho", at_least_zero, "a float of at least 0")
        if not any(group["paper_exact"] for group in groups):
            found["clip"] = of_groups(groups, "clip", positive, "a positive float")
            found["limit"] = of_groups(groups, "limit", lambda value: 0 < value <= 30, "a float in (0, 30]")
            if all(group["betas"] is None for group in groups):
                found["momentum"] = of_groups(groups, "momentum", below_one, "a float in [0, 1)")
    if any(has_temperature(layer.rule) for layer in binary_layers(net).values()):
        found["tau"] = Hyperparameter(
            lambda: temperature(net), lambda value: set_temperature_(net, value), positive, "a positive float"
        )
    return found


def has_temperature(rule: object) -> TypeGuard[Bernoulli]:
    """Say whether a weight rule draws relaxed samples."""
    return getattr(rule, "training_kind", None) == "relaxed" and hasattr(rule, "tau")


def temperature(net: nn.Module) -> float | None:
    """Return the temperature of a network's relaxed samples, or ``None`` where layers have different ones."""
    found = {layer.rule.tau for layer in binary_layers(net).values() if has_temperature(layer.rule)}
    return found.pop() if len(found) == 1 else None


def set_temperature_(net: nn.Module, value: float) -> None:
    """Set the temperature of all relaxed samples; the draw in force stays the same, at the new temperature."""
    for layer in binary_layers(net).values():
        rule = layer.rule
        if has_temperature(rule) and rule.tau != value:
            layer.draw.rule = dataclasses.replace(rule, tau=value)
            layer.draw.forget()
            layer.refresh()


def hyperparameters(trainer: L.Trainer, module: L.LightningModule) -> dict[str, Hyperparameter]:
    """Return the hyper-parameters by name that a module in training has.

    Raises:
        ValueError: the module does not say which it has.
    """
    of_module = getattr(module, "hyperparameters", None)
    if not callable(of_module):
        what = "a module with a method `hyperparameters`, as every SpikingModule has"
        raise ValueError(expected("module", what, type(module).__name__))
    return dict(of_module(trainer.optimizers[0]))


def check_names(argument: str, names: Iterable[str], there: Iterable[str], module: L.LightningModule) -> None:
    """Make sure that a module has all hyper-parameters of these names.

    Raises:
        ValueError: it lacks one.
    """
    there = list(there)
    for name in names:
        if name not in there:
            what = f"of hyper-parameters that this {type(module).__name__} has ({', '.join(there)})"
            raise ValueError(expected(argument, what, repr(name)))
