"""Bayes-BiSNN as a LightningModule."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, Literal

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.inference.arguments import Inputs
from snntorch_binary.inference.readout import DEFAULT_READOUT, NUM_SAMPLES, Readout
from snntorch_binary.lightning.draws import AnswersWithDraws
from snntorch_binary.lightning.hyperparameters import Group, Hyperparameter, of_posterior
from snntorch_binary.lightning.rule_of_network import give_rule_, rule_of
from snntorch_binary.lightning.spiking_module import Credit, SpikingModule
from snntorch_binary.optim import BayesBiSNN as BayesBiSNNOptimizer
from snntorch_binary.optim.bayes_bisnn import DEFAULT_LR, Betas
from snntorch_binary.weights import LATENT_LIMIT, Bernoulli, WeightRule, binary_layers, disarm_loss, resample_


class BayesBiSNN(AnswersWithDraws):
    """Bayes-BiSNN: a Bernoulli posterior over binary weights by natural gradient, answering with an ensemble.

    Args:
        net: the network, float or with weights of a rule with a prior, such as :class:`Bernoulli` (which then stay
            as they are).
        num_classes: as in :class:`SpikingModule`.
        lr: learning rate of the natural parameters.
        rho: weight of the KL term in a per-example mean loss; ``None`` is Bayes' rule, 1 / (number of training
            examples), which keeps a network of many weights and few examples close to its prior.
        base_lr: learning rate of the real parameters.
        betas: of the Adam-normalised natural gradient, or ``None`` for the paper's plain step; see
            :class:`snntorch_binary.optim.BayesBiSNN`.
        momentum: momentum of the plain step.
        rule: the weights' rule, ``Bernoulli()`` by default, or its JSON form; of a binary network its own, which it
            then has to be where it is given.
        scale: scale of the binary layers, for a float network; ``None`` for that of the rule.
        num_train_samples: draws from the posterior per training step.
        num_validation_samples: members of the ensemble in validation.
        num_test_samples: members of the ensemble in test and predict.
        readout: as in :class:`SpikingModule`.
        readout_scale: as in :class:`SpikingModule`.
        step: as in :class:`SpikingModule`.
        cosine: as in :class:`SpikingModule`.
        credit: as in :class:`SpikingModule`.
        limit: bound on ``|w_r|``, see :class:`snntorch_binary.optim.BayesBiSNN`.
        paper_exact: the published arithmetic, see :class:`snntorch_binary.optim.BayesBiSNN`; excludes ``betas``.
        time_dim: as in :class:`SpikingModule`.
        fuse: as there.

    Raises:
        TypeError: ``rule`` is no rule with a prior.
        ValueError: an argument is out of its range, or the network follows another rule.

    Example:
        >>> import torch
        >>> from snntorch_binary.lightning import BayesBiSNN
        >>> from snntorch_binary.models import SpikingMLP
        >>> module = BayesBiSNN(SpikingMLP(64, [32], 10), num_classes=10)
        >>> sorted(module.eval().answers(torch.ones(10, 2, 64), final=True))
        ['draw', 'ensemble', 'mode']
    """

    def __init__(
        self,
        net: nn.Module,
        num_classes: int | None,
        lr: float = DEFAULT_LR,
        rho: float | None = 0.0,
        base_lr: float = 1e-3,
        betas: Betas = "auto",
        momentum: float = 0.0,
        rule: Bernoulli | WeightRule | dict[str, Any] | None = None,
        scale: Literal["fan_in", "channel"] | float | None = None,
        num_train_samples: int = 1,
        num_validation_samples: int = 3,
        num_test_samples: int = NUM_SAMPLES,
        readout: Readout = DEFAULT_READOUT,
        readout_scale: float | None = None,
        step: bool | None = None,
        cosine: bool = True,
        credit: Credit = "through-time",
        limit: float = LATENT_LIMIT,
        paper_exact: bool = False,
        time_dim: int | None = None,
        fuse: bool = True,
    ) -> None:
        if not isinstance(num_train_samples, int) or num_train_samples < 1:
            raise ValueError(expected("num_train_samples", "an integer of at least 1", num_train_samples))
        if rho is not None and not rho >= 0:
            raise ValueError(expected("rho", "a float of at least 0, or None", rho))
        own = give_rule_(net, rule_of(rule, Bernoulli()), Bernoulli(), scale)
        super().__init__(net, num_classes, lr, readout, readout_scale, step, cosine, credit, time_dim, fuse)
        self.save_hyperparameters({"rule": own.to_json()})
        if credit == "online" and any(layer.rule.is_antithetic for layer in binary_layers(net).values()):
            what = "one with estimator 'hard' or 'gumbel' with credit 'online'"
            raise ValueError(expected("rule", what, repr(own)))
        if credit == "online" and num_train_samples != 1:
            raise ValueError(expected("num_train_samples", "1 with credit 'online'", num_train_samples))
        self.rho = rho
        self.base_lr = base_lr
        self.betas: Betas = tuple(betas) if isinstance(betas, list) else betas  # the optimizer says how many
        self.momentum = momentum
        self.limit = limit
        self.paper_exact = paper_exact
        self.num_train_samples = num_train_samples
        self._answer_with(num_validation_samples, num_test_samples)

    def configure_optimizer(self) -> torch.optim.Optimizer:
        """Return the Bayesian optimizer."""
        rho = self.rho
        if rho is None:
            self.trainer.fit_loop.setup_data()
            dataset = getattr(self.trainer.train_dataloader, "dataset", None)
            if not isinstance(dataset, Sized) or len(dataset) == 0:
                what = "a float of at least 0 where training data do not say how many examples they are"
                raise ValueError(expected("rho", what, None))
            rho = 1 / len(dataset)
        return BayesBiSNNOptimizer(
            self.net.parameters(),
            self.lr,
            rho,
            self.momentum,
            self.betas,
            self.base_lr,
            self.paper_exact,
            limit=self.limit,
        )

    def learning_rates(self, optimizer: torch.optim.Optimizer) -> dict[str, list[Group]]:
        """Return the groups of the latents and those of the real parameters."""
        groups = optimizer.param_groups
        return {
            "lr": [group for group in groups if group["bayesian"]],
            "base_lr": [group for group in groups if not group["bayesian"]],
        }

    def hyperparameters(self, optimizer: torch.optim.Optimizer) -> dict[str, Hyperparameter]:
        """Return learning rates, ``rho``, ``clip``, ``limit``, and ``momentum`` and ``tau`` where there are such."""
        posterior = of_posterior(self.net, self.learning_rates(optimizer)["lr"])
        return {**super().hyperparameters(optimizer), **posterior}

    def loss(self, x: Inputs, targets: Tensor) -> Tensor:
        """Return the mean loss over the draws; the KL term is the optimizer's."""
        loss = self._loss_of_draw(x, targets)
        for _ in range(self.num_train_samples - 1):
            resample_(self.net)
            loss = loss + self._loss_of_draw(x, targets)
        return loss / self.num_train_samples

    def _loss_of_draw(self, x: Inputs, targets: Tensor) -> Tensor:
        layers = binary_layers(self.net).values()
        if any(layer.rule.is_antithetic for layer in layers):
            return disarm_loss(self.net, lambda: SpikingModule.loss(self, x, targets))
        return super().loss(x, targets)
