"""The two learning rules of BiSNN, and their full-precision baseline, as modules around any network."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from snntorch_binary._errors import expected
from snntorch_binary.convert import binarize_, reset
from snntorch_binary.inference import logits, run, sample_scores
from snntorch_binary.inference.readout import ReadoutName, check_readout
from snntorch_binary.learning import LocalNetwork, online_gradients
from snntorch_binary.lightning.tasks import Classification, Regression, Task
from snntorch_binary.nn.binary import Scale
from snntorch_binary.optim import BayesBiSNN as BayesBiSNNOptimizer
from snntorch_binary.weights import Bernoulli, Sign, WeightRule, binary_layers, disarm_loss, resample_


class NonFiniteLossError(RuntimeError):
    """The loss or a parameter became NaN or infinite; the last checkpoint before it is kept."""


Credit = Literal["through-time", "local", "online"]
"""How a weight learns of its share in the error."""
CREDITS: tuple[str, ...] = get_args(Credit)


class SpikingModule(L.LightningModule):
    """Training of a spiking network; as it stands, the full-precision baseline of the two rules.

    A batch is ``(x, labels)``: x as the network takes it, time-first [T, B, ...], labels int64 [B]. The network
    returns [T, B, C] or a tuple ``(spikes, ..., membrane potential)`` of such tensors; one that takes a single
    time step (neurons with ``init_hidden=True``) is stepped over x. State is reset before every batch.

    ``credit="through-time"`` is backpropagation through all layers and time steps. A
    :class:`snntorch_binary.learning.LocalNetwork`, whose layers learn from readouts of their own, can also learn
    ``"local"``, with one update per sequence, or ``"online"``, with one update per time step (BiSNN's rule; on one
    device only).

    Logged are the loss, and accuracy, NLL and ECE (15 bins, l1) in validation and test (of a regression the root mean
    squared error), of each prediction by name: ``single`` here and for :class:`STBiSNN`, ``mode`` and ``ensemble`` for
    :class:`BayesBiSNN`.

    Args:
        net: the network.
        num_classes: number of classes C; ``None`` says that targets are real numbers, float32 [B].
        lr: Adam's learning rate.
        readout: ``"rate"`` reads the network's first output, ``"membrane"`` its last; see
            :func:`snntorch_binary.inference.logits`.
        readout_scale: scores are that many times the mean over time; by default T for ``"rate"``, 1 for
            ``"membrane"``.
        step: whether the network takes one time step at a time; implied by ``init_hidden=True``.
        cosine: let learning rates fall to zero along a cosine over the whole training.
        credit: ``"through-time"``, ``"local"`` or ``"online"``.

    Raises:
        ValueError: an argument is out of its range, or the network cannot learn with this credit.
    """

    predictions: tuple[str, ...] = ("single",)

    def __init__(
        self,
        net: nn.Module,
        num_classes: int | None,
        lr: float = 1e-3,
        readout: ReadoutName = "membrane",
        readout_scale: float | None = None,
        step: bool | None = None,
        cosine: bool = True,
        credit: Credit = "through-time",
    ) -> None:
        super().__init__()
        if num_classes is not None and num_classes < 2:
            raise ValueError(expected("num_classes", "an integer of at least 2, or None", num_classes))
        if credit not in CREDITS:
            raise ValueError(expected("credit", f"one of {', '.join(CREDITS)}", repr(credit)))
        if credit != "through-time" and not isinstance(net, LocalNetwork):
            what = f"'through-time' for a {type(net).__name__}, which is no LocalNetwork"
            raise ValueError(expected("credit", what, repr(credit)))
        if not lr > 0:
            raise ValueError(expected("lr", "a positive float", lr))
        check_readout(readout)
        self.save_hyperparameters(ignore=["net"])
        self.net = net
        self.task: Task = Regression() if num_classes is None else Classification(num_classes)
        self.credit = credit
        self.automatic_optimization = credit != "online"
        self.lr = lr
        self.readout: ReadoutName = readout
        self.readout_scale = readout_scale
        self.step = step
        self.cosine = cosine
        self.validation_metrics = nn.ModuleDict({name: self.task.metrics(f"val_{name}_") for name in self.predictions})
        self.test_metrics = nn.ModuleDict({name: self.task.metrics(f"test_{name}_") for name in self.predictions})

    # ---- what the rules differ in --------------------------------------------------------------------------

    def configure_optimizer(self) -> torch.optim.Optimizer:
        """Return the rule's optimizer."""
        return torch.optim.Adam(self.net.parameters(), lr=self.lr)

    def loss(self, x: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of one training batch; local losses are summed over layers."""
        if self.credit == "local":
            assert isinstance(self.net, LocalNetwork)
            return self.net.local_loss(x, targets, self.task.loss_name(self.net.num_outputs))
        return self.task.loss(self(x), targets)

    def after_update(self) -> None:
        """Do what the rule asks for after an update of the parameters."""

    def scores(self, x: Tensor, final: bool) -> dict[str, Tensor]:
        """Return the scores of the members of each prediction, [K, B, C]; ``final`` asks for the full ensemble."""
        return {"single": self(x)[None]}

    # ---- what they share -----------------------------------------------------------------------------------

    def answers(self, x: Tensor, final: bool) -> dict[str, Tensor]:
        """Return each prediction's answer: class probabilities [B, C], or mean and standard deviation [B, 2]."""
        return {name: self.task.answer(scores) for name, scores in self.scores(x, final).items()}

    def forward(self, x: Tensor) -> Tensor:
        """Return scores [B, C] for a new sequence, with the weights in force."""
        return logits(run(self.net, x, self.step), self.readout, self.readout_scale)

    def configure_optimizers(self) -> Any:
        """Return the optimizer, with a cosine schedule over all steps where asked for."""
        optimizer = self.configure_optimizer()
        if not self.cosine:
            return optimizer
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise ValueError(expected("cosine", "False where neither max_epochs nor max_steps is given", True))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, int(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """Tell data sets whose noise is a function of the epoch which one it is."""
        set_epoch = getattr(getattr(self.trainer.train_dataloader, "dataset", None), "set_epoch", None)
        if callable(set_epoch):
            set_epoch(self.current_epoch)

    def on_fit_start(self) -> None:
        """Refuse to learn online on several devices, whose gradients nobody would join.

        Raises:
            ValueError: there is more than one device.
        """
        if self.credit == "online" and self.trainer.world_size > 1:
            raise ValueError(expected("credit", "'through-time' or 'local' on more than one device", "'online'"))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of one batch.

        Raises:
            NonFiniteLossError: the loss is NaN or infinite.
        """
        x, labels = batch
        loss = self._learn_online(x, labels) if self.credit == "online" else self.loss(x, labels)
        if not torch.isfinite(loss):
            raise NonFiniteLossError(
                f"The loss became {loss.item()} at step {self.global_step} (epoch {self.current_epoch}, "
                f"batch {batch_idx}); training stopped, the last checkpoint is kept."
            )
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    def _learn_online(self, x: Tensor, targets: Tensor) -> Tensor:
        """Update the parameters at every time step; return the mean loss of a step, summed over layers."""
        assert isinstance(self.net, LocalNetwork)
        wrapped = self.optimizers()
        optimizer: torch.optim.Optimizer = wrapped.optimizer  # type: ignore[union-attr]
        optimizer.zero_grad()
        num_steps, losses = len(x) - self.net.burn_in, []
        for loss in online_gradients(self.net, x, targets, self.task.loss_name(self.net.num_outputs)):
            losses.append(loss)
            # The last step goes through Lightning, so that a global step is a batch, as with any other credit.
            (wrapped if len(losses) == num_steps else optimizer).step()  # type: ignore[union-attr]
            optimizer.zero_grad()
            self.after_update()
        schedule = self.lr_schedulers()
        if schedule is not None:
            schedule.step()  # type: ignore[union-attr]
        return torch.stack(losses).mean()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Do what the rule asks for after an update."""
        self.after_update()

    def on_validation_start(self) -> None:
        """Stop before a network with NaN weights is validated."""
        self._check_parameters()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Stop before a network with NaN weights replaces the last good checkpoint."""
        self._check_parameters()

    def _check_parameters(self) -> None:
        # The loss need not tell: a neuron whose membrane potential is NaN is silent.
        for name, parameter in self.net.named_parameters():
            if not torch.isfinite(parameter).all():
                raise NonFiniteLossError(
                    f"The parameter {name} became NaN or infinite by step {self.global_step} "
                    f"(epoch {self.current_epoch}); training stopped, the last checkpoint is kept."
                )

    def on_train_end(self) -> None:
        """Drop membrane potentials, which hold the last batch's autograd graph."""
        reset(self.net)

    def _evaluate(self, batch: tuple[Tensor, Tensor], metrics: nn.ModuleDict, final: bool) -> None:
        x, targets = batch
        for name, answer in self.answers(x, final).items():
            collection = metrics[name]
            assert isinstance(collection, MetricCollection)
            self.task.update(collection, answer, targets)
            for key, metric in collection.items():
                show = key.endswith(self.task.score)
                self.log(key, metric, prog_bar=show, on_epoch=True, batch_size=len(targets))

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log the scores of every prediction on validation data."""
        self._evaluate(batch, self.validation_metrics, final=False)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log the scores of every prediction on test data."""
        self._evaluate(batch, self.test_metrics, final=True)

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Return the answer of every prediction by name, for ``x`` or ``(x, targets)``."""
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        return self.answers(x, final=True)


def _give_rule_(net: nn.Module, rule: WeightRule, scale: Scale) -> None:
    """Make a float network binary; one that is binary already must follow this kind of rule."""
    layers = binary_layers(net)
    if not layers:
        binarize_(net, rule, scale=scale)
        return
    for name, layer in layers.items():
        if not isinstance(layer.rule, type(rule)):
            raise ValueError(
                expected("net", f"a network with {type(rule).__name__} weights", f"{layer.rule!r} in {name!r}")
            )


class STBiSNN(SpikingModule):
    """ST-BiSNN: binary weights by straight-through and surrogate gradients, with Adam.

    A float network becomes binary; its weights are where the latents start. Latents are kept in [-1, 1].

    Args:
        net: the network, float or with :class:`Sign` weights (whose latents then stay as they are).
        num_classes: as in :class:`SpikingModule`.
        lr: learning rate of the real parameters.
        latent_lr: learning rate of the latents.
        straight_through: ``"clipped"`` or ``"identity"``, for a float network.
        scale: scale of the binary layers, for a float network.
        readout: as in :class:`SpikingModule`.
        readout_scale: as in :class:`SpikingModule`.
        step: as in :class:`SpikingModule`.
        cosine: as in :class:`SpikingModule`.
        credit: as in :class:`SpikingModule`.
        paper_exact: the paper's plain step of SGD, without bounds on the latents.

    Raises:
        ValueError: an argument is out of its range, or the network follows another rule.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> from snntorch_binary.lightning import SpikingMLP, STBiSNN
        >>> module = STBiSNN(SpikingMLP(64, [32], 10), num_classes=10)
        >>> module(torch.ones(10, 2, 64)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        net: nn.Module,
        num_classes: int | None,
        lr: float = 1e-3,
        latent_lr: float = 3e-3,
        straight_through: Literal["clipped", "identity"] = "clipped",
        scale: Literal["fan_in", "channel"] | float = "channel",
        readout: ReadoutName = "membrane",
        readout_scale: float | None = None,
        step: bool | None = None,
        cosine: bool = True,
        credit: Credit = "through-time",
        paper_exact: bool = False,
    ) -> None:
        if not latent_lr > 0:
            raise ValueError(expected("latent_lr", "a positive float", latent_lr))
        _give_rule_(net, Sign(straight_through), scale)
        super().__init__(net, num_classes, lr, readout, readout_scale, step, cosine, credit)
        self.latent_lr = latent_lr
        self.paper_exact = paper_exact

    def configure_optimizer(self) -> torch.optim.Optimizer:
        """Return Adam (SGD, where ``paper_exact``), with the latents in a group of their own."""
        latents = self._latents()
        known = {id(latent) for latent in latents}
        rest = [parameter for parameter in self.net.parameters() if id(parameter) not in known]
        groups = [{"params": latents, "lr": self.latent_lr}, {"params": rest, "lr": self.lr}]
        return torch.optim.SGD(groups, lr=self.lr) if self.paper_exact else torch.optim.Adam(groups)

    def _latents(self) -> list[nn.Parameter]:
        return list({id(layer.latent): layer.latent for layer in binary_layers(self.net).values()}.values())

    def after_update(self) -> None:
        """Keep latents in [-1, 1], where the clipped straight-through gradient can still move them."""
        if self.paper_exact:
            return
        with torch.no_grad():
            for latent in self._latents():
                latent.clamp_(-1, 1)


class BayesBiSNN(SpikingModule):
    """Bayes-BiSNN: a Bernoulli posterior over binary weights by natural gradient, answering with an ensemble.

    Args:
        net: the network, float or with :class:`Bernoulli` weights (which then stay as they are).
        num_classes: as in :class:`SpikingModule`.
        lr: learning rate of the natural parameters.
        rho: weight of the KL term in a per-example mean loss; ``None`` is Bayes' rule, 1 / (number of training
            examples).
        base_lr: learning rate of the real parameters.
        betas: Adam-normalised natural gradient, or ``None`` for the paper's plain step.
        momentum: momentum of the plain step.
        tau: temperature of the relaxed sample, for a float network.
        prior: prior probability P(w = +1), for a float network.
        estimator: ``"hard"``, ``"gumbel"`` or ``"disarm"``, for a float network.
        init_scale: |w_r| at the start, for a float network.
        scale: scale of the binary layers, for a float network.
        num_train_samples: draws from the posterior per training step.
        num_validation_samples: members of the ensemble in validation.
        num_test_samples: members of the ensemble in test and predict.
        shared_noise: let all processes of a distributed run draw the same weights, for a float network.
        readout: as in :class:`SpikingModule`.
        readout_scale: as in :class:`SpikingModule`.
        step: as in :class:`SpikingModule`.
        cosine: as in :class:`SpikingModule`.
        credit: as in :class:`SpikingModule`.
        paper_exact: the published arithmetic, see :class:`snntorch_binary.optim.BayesBiSNN`; excludes ``betas``.

    Raises:
        ValueError: an argument is out of its range, or the network follows another rule.

    Example:
        >>> import torch
        >>> from snntorch_binary.lightning import BayesBiSNN, SpikingMLP
        >>> module = BayesBiSNN(SpikingMLP(64, [32], 10), num_classes=10)
        >>> sorted(module.eval().answers(torch.ones(10, 2, 64), final=True))
        ['ensemble', 'mode']
    """

    predictions = ("mode", "ensemble")

    def __init__(
        self,
        net: nn.Module,
        num_classes: int | None,
        lr: float = 0.15,
        rho: float | None = None,
        base_lr: float = 1e-3,
        betas: tuple[float, float] | None = (0.9, 0.999),
        momentum: float = 0.0,
        tau: float = 1.0,
        prior: float = 0.5,
        estimator: Literal["hard", "gumbel", "disarm"] = "hard",
        init_scale: float = 3.0,
        scale: Literal["fan_in", "channel"] | float = "channel",
        num_train_samples: int = 1,
        num_validation_samples: int = 3,
        num_test_samples: int = 10,
        shared_noise: bool = False,
        readout: ReadoutName = "membrane",
        readout_scale: float | None = None,
        step: bool | None = None,
        cosine: bool = True,
        credit: Credit = "through-time",
        paper_exact: bool = False,
    ) -> None:
        counts = {
            "num_train_samples": num_train_samples,
            "num_validation_samples": num_validation_samples,
            "num_test_samples": num_test_samples,
        }
        for name, count in counts.items():
            if count < 1:
                raise ValueError(expected(name, "an integer of at least 1", count))
        _give_rule_(net, Bernoulli(tau, prior, estimator, init_scale, shared_noise), scale)
        super().__init__(net, num_classes, lr, readout, readout_scale, step, cosine, credit)
        if credit == "online" and estimator == "disarm":
            raise ValueError(expected("estimator", "'hard' or 'gumbel' with credit 'online'", repr(estimator)))
        if credit == "online" and num_train_samples != 1:
            raise ValueError(expected("num_train_samples", "1 with credit 'online'", num_train_samples))
        self.rho = rho
        self.base_lr = base_lr
        self.betas = None if betas is None else (betas[0], betas[1])
        self.momentum = momentum
        self.paper_exact = paper_exact
        self.num_train_samples = num_train_samples
        self.num_validation_samples = num_validation_samples
        self.num_test_samples = num_test_samples

    def configure_optimizer(self) -> torch.optim.Optimizer:
        """Return the Bayesian optimizer."""
        rho = self.rho
        if rho is None:
            self.trainer.fit_loop.setup_data()
            rho = 1 / len(self.trainer.train_dataloader.dataset)  # type: ignore[union-attr]
        return BayesBiSNNOptimizer(
            self.net.parameters(), self.lr, rho, self.momentum, self.betas, self.base_lr, self.paper_exact
        )

    def on_train_start(self) -> None:
        """Let all processes of a distributed run go on from the same draws; their ranks tell these apart."""
        if self.trainer.world_size > 1:
            layers = binary_layers(self.net).values()
            for layer in layers:
                layer.refresh()  # takes notice of parameters that came from the first process
            draws = self.trainer.strategy.broadcast([(layer.draw.seed, layer.draw.counter) for layer in layers])
            for layer, (seed, counter) in zip(layers, draws, strict=True):
                layer.draw.seed, layer.draw.counter = seed, counter
                layer.draw.forget()
                layer.refresh()

    def loss(self, x: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss over the draws; the KL term is the optimizer's."""
        loss = self._loss_of_draw(x, targets)
        for _ in range(self.num_train_samples - 1):
            resample_(self.net)
            loss = loss + self._loss_of_draw(x, targets)
        return loss / self.num_train_samples

    def _loss_of_draw(self, x: Tensor, targets: Tensor) -> Tensor:
        layers = binary_layers(self.net).values()
        if any(getattr(layer.rule, "estimator", None) == "disarm" for layer in layers):
            return disarm_loss(self.net, lambda: SpikingModule.loss(self, x, targets))
        return super().loss(x, targets)

    def scores(self, x: Tensor, final: bool) -> dict[str, Tensor]:
        """Return the scores of the mode, [1, B, C], and of the members of the ensemble, [K, B, C]."""
        mode, members = sample_scores(
            self.net,
            x,
            self.num_test_samples if final else self.num_validation_samples,
            readout=self.readout,
            readout_scale=self.readout_scale,
            step=self.step,
            generator=torch.Generator().manual_seed(0),  # the same members for every batch, also after a resume
        )
        return {"mode": mode[None], "ensemble": members}
