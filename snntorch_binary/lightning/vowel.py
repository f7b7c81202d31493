"""VOWEL as a LightningModule."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import Tensor

from snntorch_binary._errors import expected
from snntorch_binary.data import class_symbols, signed_symbols, unsigned_symbols
from snntorch_binary.inference import logits
from snntorch_binary.inference.arguments import Inputs, arguments_of, check_single
from snntorch_binary.inference.readout import NUM_SAMPLES
from snntorch_binary.kernels.noise import mix
from snntorch_binary.learning.vowel import VOWEL as VOWELRule
from snntorch_binary.lightning.hyperparameters import (
    Group,
    Hyperparameter,
    at_least_zero,
    below_one,
    of_objects,
    of_posterior,
)
from snntorch_binary.lightning.spiking_module import SpikingModule
from snntorch_binary.nn.wta.network import WTANetwork
from snntorch_binary.optim import BayesBiSNN as BayesBiSNNOptimizer
from snntorch_binary.weights import binary_layers, sampled


class VOWEL(SpikingModule):
    """VOWEL: a winner-take-all network that learns at every time step, locally and without backpropagation.

    A batch is ``(x, labels)`` with spikes x [T, B, ...]. The circuit of the true class is clamped to its first symbol
    at every time step. Class scores are the outputs' spike counts in one free run; the answer ``single`` is one such
    run, ``ensemble`` the mean over several of the class probabilities, whose entropy says how much they differ. What
    they draw is the same in every evaluation.

    Real weights, and latents under :class:`Sign`, are stepped by SGD, as published, or by Adam; where weights have a
    Bernoulli posterior, the optimizer is :class:`snntorch_binary.optim.BayesBiSNN`, and every run of the ensemble has
    weights of its own.

    Args:
        net: the network.
        num_classes: number of classes C, that of the network's outputs.
        lr: learning rate.
        hidden_lr: that of hidden circuits, whose gradients are noisier; ``None`` is ``lr``.
        optimizer: ``"sgd"`` or ``"adam"``.
        kappa: as in :class:`snntorch_binary.learning.VOWEL`.
        beta: as there.
        gamma: as there.
        silence: as there.
        baseline: as there.
        polarities: x is [T, B, 2, ...] from an event camera: with two symbols the polarity is the symbol (load the data
            with ``one_symbol=True``), with one it is dropped.
        num_validation_samples: runs of the ensemble in validation.
        num_test_samples: runs of the ensemble in test and predict.
        readout_scale: scores are that many times the rate of each output; by default T, which is counts.
        cosine: as in :class:`SpikingModule`.
        rho: weight of the prior of Bernoulli weights.
        base_lr: learning rate of biases and feedback beside Bernoulli weights.

    Raises:
        ValueError: an argument is out of its range, or the network does not fit the classes or the symbols.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> from snntorch_binary.lightning import VOWEL
        >>> net = sb.nn.WTANetwork(num_inputs=64, num_hidden=4, num_outputs=10, num_symbols=2)
        >>> sorted(VOWEL(net, num_classes=10).answers(torch.zeros(10, 2, 2, 8, 8), final=True))
        ['ensemble', 'single']
    """

    predictions = ("single", "ensemble")

    def __init__(
        self,
        net: WTANetwork,
        num_classes: int,
        lr: float = 0.02,
        hidden_lr: float | None = 5e-4,
        optimizer: Literal["sgd", "adam"] = "adam",
        kappa: float = 0.2,
        beta: float = 0.95,
        gamma: float = 1.0,
        silence: float = 0.8,
        baseline: bool = True,
        polarities: bool = True,
        num_validation_samples: int = 3,
        num_test_samples: int = NUM_SAMPLES,
        readout_scale: float | None = None,
        cosine: bool = True,
        rho: float = 0.0,
        base_lr: float = 1e-3,
    ) -> None:
        for name, count in (
            ("num_validation_samples", num_validation_samples),
            ("num_test_samples", num_test_samples),
        ):
            if count < 1:
                raise ValueError(expected(name, "an integer of at least 1", count))
        if not isinstance(net, WTANetwork) or net.num_outputs != num_classes:
            got = f"{net.num_outputs} outputs" if isinstance(net, WTANetwork) else type(net).__name__
            raise ValueError(expected("net", f"a WTANetwork with {num_classes} outputs", got))
        if optimizer not in ("sgd", "adam"):
            raise ValueError(expected("optimizer", "'sgd' or 'adam'", repr(optimizer)))
        if hidden_lr is not None and not hidden_lr > 0:
            raise ValueError(expected("hidden_lr", "a positive float or None", hidden_lr))
        if net.num_symbols > 1 + polarities:
            what = "with 1 symbol, or 2 where spikes have polarities"
            raise ValueError(expected("net", what, f"{net.num_symbols} symbols"))
        super().__init__(net, num_classes, lr, "rate", readout_scale, None, cosine, fuse=False)
        self.rule = VOWELRule(net, kappa, beta, gamma, silence, baseline)
        self.credit = "online"
        self.hidden_lr = lr if hidden_lr is None else hidden_lr
        self.optimizer_name = optimizer
        self.automatic_optimization = False
        self.polarities = polarities
        self.num_validation_samples, self.num_test_samples = num_validation_samples, num_test_samples
        self.rho, self.base_lr = rho, base_lr

    @property
    def _draws_weights(self) -> bool:
        return any(layer.rule.has_posterior for layer in binary_layers(self.net).values())

    def configure_optimizer(self) -> torch.optim.Optimizer:
        """Return SGD or Adam, or the Bayesian optimizer for weights with a posterior."""
        rates = {"hidden": self.hidden_lr, "outputs": self.lr}
        groups = [
            {"params": list(group.parameters()), "lr": rates[name]} for name, group in self.rule.net.circuits().items()
        ]
        if self._draws_weights:
            return BayesBiSNNOptimizer(groups, self.lr, self.rho, betas=None, base_lr=self.base_lr)
        return (torch.optim.Adam if self.optimizer_name == "adam" else torch.optim.SGD)(groups, lr=self.lr)

    def learning_rates(self, optimizer: torch.optim.Optimizer) -> dict[str, list[Group]]:
        """Return the groups of outputs and hidden circuits; beside Bernoulli weights, also those of all the rest."""
        circuits = {name: set(map(id, group.parameters())) for name, group in self.rule.net.circuits().items()}

        def groups(circuit: str, bayesian: bool) -> list[Group]:
            return [
                group
                for group in optimizer.param_groups
                if group.get("bayesian", True) == bayesian
                and any(id(parameter) in circuits.get(circuit, ()) for parameter in group["params"])
            ]

        found = {"lr": groups("outputs", True), "hidden_lr": groups("hidden", True)}
        return {**found, "base_lr": groups("outputs", False) + groups("hidden", False)}

    def hyperparameters(self, optimizer: torch.optim.Optimizer) -> dict[str, Hyperparameter]:
        """Return learning rates and the numbers of VOWEL's rule; with Bernoulli weights also those of the posterior."""
        found = super().hyperparameters(optimizer)
        for name, valid, what in (
            ("kappa", below_one, "a float in [0, 1)"),
            ("beta", below_one, "a float in [0, 1)"),
            ("gamma", at_least_zero, "a float of at least 0"),
        ):
            found[name] = of_objects([self.rule], name, valid, what)
        bayesian = [group for group in optimizer.param_groups if group.get("bayesian")]
        return {**found, **of_posterior(self.net, bayesian)}

    def symbols(self, x: Inputs) -> Tensor:
        """Return a batch of spikes [T, B, ...] as input symbols [T, B, N_in, C]."""
        check_single(x)
        (spikes,) = arguments_of(x)
        if self.rule.net.num_symbols == 2:
            return signed_symbols(spikes)
        return unsigned_symbols(spikes, self.polarities)

    def forward(self, x: Inputs, sample: int = 0) -> Tensor:
        """Return scores [B, C] of one free run with the weights in force; ``sample`` says which."""
        return logits(self.net(self.symbols(x), mix(sample)), self.readout, self.readout_scale)

    @torch.no_grad()
    def scores(self, x: Inputs, final: bool) -> dict[str, Tensor]:
        """Return the scores of one run, [1, B, C], and of several, [K, B, C]."""
        generator = torch.Generator().manual_seed(0)
        members = []
        for sample in range(self.num_test_samples if final else self.num_validation_samples):
            with sampled(self.net, "binary", generator) if self._draws_weights else nullcontext():
                members.append(self(x, sample))
        return {"single": self(x)[None], "ensemble": torch.stack(members)}

    def _learn_online(self, x: Tensor, targets: Tensor) -> Tensor:
        """Update the parameters at every time step; return the mean of minus the reward of a step."""
        net, wrapped = self.rule.net, self.optimizers()
        optimizer: Any = wrapped.optimizer  # type: ignore[union-attr]
        symbols = class_symbols(targets, len(x), net.num_outputs, net.num_symbols)
        losses: list[Tensor] = []
        for reward in self.rule.gradients(self.symbols(x), symbols):
            losses.append(-reward.mean())
            # The last step goes through Lightning, so that a global step is a batch.
            (wrapped if len(losses) == len(x) else optimizer).step()  # type: ignore[union-attr]
        schedule = self.lr_schedulers()
        if schedule is not None:
            schedule.step()  # type: ignore[union-attr]
        return torch.stack(losses).mean()
