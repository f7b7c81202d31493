"""Training of any spiking network: what the learning rules share, and their full-precision baseline."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn, TrainerStatus
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torchmetrics import MetricCollection

import snntorch_binary
from snntorch_binary._errors import expected, in_one_line
from snntorch_binary._numbers import is_number
from snntorch_binary.checkpoint import FORMAT
from snntorch_binary.convert import reset
from snntorch_binary.inference.arguments import Inputs, arguments_of
from snntorch_binary.inference.find_form import form_of
from snntorch_binary.inference.norms import NormsOfDraws, norms_of, refit_on
from snntorch_binary.inference.readout import (
    DEFAULT_READOUT,
    Readout,
    check_readout,
    check_readout_scale,
    check_time_dim,
    read_as,
    scale_of,
)
from snntorch_binary.inference.run import run_as
from snntorch_binary.inference.training_scale import TrainingScales, scale_in
from snntorch_binary.learning import LocalNetwork, online_gradients
from snntorch_binary.lightning.batches import described, inputs_of, on_device, pair
from snntorch_binary.lightning.hyperparameters import Group, Hyperparameter, learning_rate, of_network
from snntorch_binary.lightning.marks import Marks
from snntorch_binary.lightning.over_time import OverTime
from snntorch_binary.lightning.plain_checkpoints import LoadsPlainly, make_plain_, with_plain_numbers_
from snntorch_binary.lightning.processes import check_processes, share_draws_
from snntorch_binary.lightning.tasks import Classification, Regression, Task
from snntorch_binary.weights import binary_layers


class NonFiniteLossError(RuntimeError):
    """The loss or a parameter became NaN or infinite; the last checkpoint before it is kept."""


Credit = Literal["through-time", "local", "online"]
"""How a weight learns of its share in the error."""
CREDITS: tuple[str, ...] = get_args(Credit)
_A_FUNCTION = "a function"
NORM_BATCHES = 20
"""Training batches that statistics of batch norms are taken from."""
_CONSTANTS = ("alpha", "beta", "threshold", "prior_latent")
"""Buffers without which a network answers, and wrongly."""


class SpikingModule(LoadsPlainly, L.LightningModule):
    """Training of a spiking network; as it stands, the full-precision baseline of the two rules.

    A batch is ``(x, labels)``: x as the network takes it, time-first [T, B, ...], labels [B] of any integer type. The
    network returns [T, B, C] or a tuple ``(spikes, ..., membrane potential)`` of such tensors; one that takes a single
    time step is stepped over x. State is reset before every batch.

    ``credit="through-time"`` is backpropagation through all layers and time steps. A
    :class:`snntorch_binary.learning.LocalNetwork`, whose layers learn from readouts of their own, can also learn
    ``"local"``, with one update per sequence, or ``"online"``, with one update per time step (BiSNN's rule; on one
    device only).

    Logged are the loss, and accuracy, NLL and ECE (15 bins, l1) in validation and test (of a regression the root mean
    squared error), of each prediction by name: ``single`` here and for :class:`STBiSNN`, ``mode`` and ``ensemble`` for
    :class:`BayesBiSNN`.

    Args:
        net: the network.
        num_classes: number of classes C; ``None`` says that targets are real numbers, float32 [B], or of the shape
            [B, ...] of what is read from the network.
        lr: Adam's learning rate.
        readout: ``"auto"`` and ``"rate"`` read the network's first output, ``"membrane"`` its last; see
            :func:`snntorch_binary.inference.logits`. A function of the network's output returns class scores [B, C] or
            real values [B, ...], such as ``lambda output: output[-1].transpose(0, 1)``, a value for every time step;
            as a file keeps no functions, ``load_from_checkpoint`` needs it again.
        readout_scale: scores are that many times the mean over time; by default T for spikes and ``"rate"``, else 1,
            where T is the number of time steps in training.
        step: whether the network takes one time step at a time; found out where it is not given, see
            :func:`snntorch_binary.predict`.
        cosine: let learning rates fall to zero along a cosine over the whole training.
        credit: ``"through-time"``, ``"local"`` or ``"online"``.
        time_dim: dimension of time in the network's outputs, 0 in [T, B, C]; found out where it is not given.
        fuse: train a network that goes step by step with all time steps at once, as :func:`snntorch_binary.fuse` does,
            where it folds; on the first batch the log says so, and how much faster it is. Tests and predictions run it
            as it is.

    Raises:
        ValueError: an argument is out of its range, or the network cannot learn with this credit.
    """

    predictions: tuple[str, ...] = ("single",)

    def __init__(
        self,
        net: nn.Module,
        num_classes: int | None,
        lr: float = 1e-3,
        readout: Readout = DEFAULT_READOUT,
        readout_scale: float | None = None,
        step: bool | None = None,
        cosine: bool = True,
        credit: Credit = "through-time",
        time_dim: int | None = None,
        fuse: bool = True,
    ) -> None:
        super().__init__()
        if num_classes is not None and num_classes < 2:
            raise ValueError(expected("num_classes", "an integer of at least 2, or None", num_classes))
        if credit not in CREDITS:
            raise ValueError(expected("credit", f"one of {', '.join(CREDITS)}", repr(credit)))
        if credit != "through-time" and not isinstance(net, LocalNetwork):
            what = f"'through-time' for a {type(net).__name__}, which is no LocalNetwork"
            raise ValueError(expected("credit", what, repr(credit)))
        if not is_number(lr) or not lr > 0:
            raise ValueError(expected("lr", "a positive float", lr))
        check_readout(readout)
        readout_scale = check_readout_scale(readout_scale)
        check_time_dim(time_dim, step)
        self.save_hyperparameters(ignore=["net", "rule", *(["readout"] if callable(readout) else [])])
        self.net = net
        self.task: Task = Regression() if num_classes is None else Classification(num_classes)
        if isinstance(net, LocalNetwork):
            self.task.check(net.num_outputs)
        self.credit = credit
        self.automatic_optimization = credit != "online"
        self.lr = lr
        self.readout: Readout = readout
        self.readout_scale = readout_scale
        self._learns_scale, self._scales = readout_scale is None, TrainingScales()
        self.step = step
        self.time_dim = time_dim
        self.over_time = OverTime(net, step, time_dim) if fuse and credit == "through-time" else None
        self.cosine = cosine
        self._norms: tuple[NormsOfDraws, Marks] | None = None
        self._sum_of_losses: Tensor | float = 0.0  # of an epoch's examples
        self._examples = 0
        refits = norms_of(net) and binary_layers(net)
        self._recent: deque[Inputs] = deque(maxlen=NORM_BATCHES if refits else 0)
        self.validation_metrics = nn.ModuleDict({name: self.task.metrics(f"val_{name}_") for name in self.predictions})
        self.test_metrics = nn.ModuleDict({name: self.task.metrics(f"test_{name}_") for name in self.predictions})

    # ---- what the rules differ in --------------------------------------------------------------------------

    def configure_optimizer(self) -> torch.optim.Optimizer:
        """Return the rule's optimizer."""
        return torch.optim.Adam(self.net.parameters(), lr=self.lr)

    def learning_rates(self, optimizer: torch.optim.Optimizer) -> dict[str, list[Group]]:
        """Return the parameter groups that learn at each learning rate, by the name of the argument."""
        return {"lr": optimizer.param_groups}

    def hyperparameters(self, optimizer: torch.optim.Optimizer) -> dict[str, Hyperparameter]:
        """Return what may change during training by name; see :class:`HyperparameterSchedule`."""
        rates = {name: learning_rate(groups) for name, groups in self.learning_rates(optimizer).items() if groups}
        return {**rates, **of_network(self.net)}

    def loss(self, x: Inputs, targets: Tensor) -> Tensor:
        """Return the mean loss of one training batch; local losses are summed over layers."""
        if self.credit == "local":
            assert isinstance(self.net, LocalNetwork)
            assert isinstance(x, Tensor)
            return self.net.local_loss(x, self.task.targets(targets), self.task.loss_name(self.net.num_outputs))
        return self.task.loss(self(x), targets)

    def scores(self, x: Inputs, final: bool) -> dict[str, Tensor]:
        """Return the scores of the members of each prediction, [K, B, C]; ``final`` asks for the full ensemble."""
        return {"single": self(x)[None]}

    # ---- what they share -----------------------------------------------------------------------------------

    def answers(self, x: Inputs, final: bool) -> dict[str, Tensor]:
        """Return each prediction's answer: class probabilities [B, C], or mean and standard deviation [B, 2]."""
        found = self.scores(x, final)
        for scores in found.values():
            self.task.check_scores(scores[0])
        return {name: self.task.answer(scores) for name, scores in found.items()}

    def answering(self, x: Inputs) -> tuple[nn.Module, bool | None, int | None]:
        """Return what answers an input, the network or what it is fused to, and its ``step`` and ``time_dim``."""
        state = None if self._trainer is None else self._trainer.state
        is_fitting = state is not None and state.fn == TrainerFn.FITTING and state.status == TrainerStatus.RUNNING
        if self.over_time is None or not is_fitting:  # answers are then, bit for bit, those of the network as it is
            return self.net, self.step, self.time_dim
        return self.over_time.of(x)

    def refit_norms(self, data: Iterable[Any]) -> None:
        """Let batch norms behind binary weights go by statistics of the weights that answer, until these change.

        A network whose weights are not drawn gets them in place; of a posterior the mode and every member of the
        ensemble have their own. It is done by itself from the last training batches before validation, and before a
        test in the same process; see :func:`snntorch_binary.refit_norms_`.

        Args:
            data: batches of training data, ``x`` or ``(x, ...)``.

        Raises:
            ValueError: there are none.
        """
        layers = binary_layers(self.net).values()
        if not layers or not norms_of(self.net):
            return
        norms = NormsOfDraws(data, self.step)
        if any(layer.rule.is_drawn for layer in layers):
            self._norms = (norms, Marks.of(self.net))
        else:
            refit_on(self.answering(norms.inputs[0])[0], norms.inputs, self.step)

    @property
    def norms(self) -> NormsOfDraws | None:
        """Statistics of batch norms for each network that answers, as long as the weights are those they are of."""
        if self._norms is not None and not self._norms[1].are_of(self.net):
            self._norms = None  # a step, a checkpoint that was loaded
        return None if self._norms is None else self._norms[0]

    @norms.setter
    def norms(self, norms: None) -> None:
        self._norms = norms

    def _refit_on_recent(self) -> None:
        if self._recent and self.norms is None:
            self.refit_norms([(on_device(x, self.device),) for x in self._recent])

    def _remember(self, x: Inputs) -> None:
        """Keep what the network is shown in training, which a user's own step may have made of a batch."""
        if not self._recent or self._recent[-1] is not x:  # of several draws once
            self._recent.append(x)

    def forward(self, x: Inputs) -> Tensor:
        """Return scores [B, C] for a new sequence, with the weights in force."""
        net, step, time_dim = self.answering(x)
        if self.training:
            self._remember(x)
        args = arguments_of(x)
        form = form_of(net, args, step, time_dim)
        output = run_as(form, net, args)
        scale = self.readout_scale
        if self.training and self._learns_scale:
            self.readout_scale = self._scales.one_of(scale_of(form, output, self.readout))
            scale = None
        scores = read_as(form, output, self.readout, scale)
        self.task.check_scores(scores)
        return scores

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
        self._sum_of_losses, self._examples = 0.0, 0
        set_epoch = getattr(getattr(self.trainer.train_dataloader, "dataset", None), "set_epoch", None)
        if callable(set_epoch):
            set_epoch(self.current_epoch)

    def setup(self, stage: str) -> None:
        """Refuse what several processes cannot do.

        Raises:
            ValueError: credit is ``"online"``, whose gradients nobody would join; the strategy tears parameters apart;
                or the processes were given different networks.
        """
        if self.credit == "online" and stage == "fit" and self.trainer.world_size > 1:
            raise ValueError(expected("credit", "'through-time' or 'local' on more than one device", "'online'"))
        check_processes(self.trainer, self.net)

    def on_train_start(self) -> None:
        """Let all processes of a distributed run go on from the same draws; their ranks tell these apart."""
        share_draws_(self.trainer, self.net)

    def training_step(self, batch: tuple[Inputs, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of one batch.

        Raises:
            NonFiniteLossError: the loss is NaN or infinite.
            TypeError: the batch is no pair of inputs and targets.
        """
        x, labels = pair(batch, self._takes_several)
        if self.credit != "through-time":  # which does not call `forward`
            self._remember(x)
        if self.over_time is not None and self.over_time.measure(x):
            rank_zero_info(self.over_time.said)
        if self.credit == "online":
            assert isinstance(x, Tensor)
            loss = self._learn_online(x, self.task.targets(labels))
        else:
            loss = self.loss(x, labels)
        if not torch.isfinite(loss):
            raise NonFiniteLossError(
                f"The loss became {loss.item()} at step {self.global_step} (epoch {self.current_epoch}, "
                f"batch {batch_idx}); training stopped, the last checkpoint is kept."
            )
        self._sum_of_losses = self._sum_of_losses + loss.detach().float() * len(labels)  # of half precision, too
        self._examples += len(labels)
        return loss

    def on_train_batch_end(self, *args: Any) -> None:
        """Log the mean loss of an epoch where it ends.

        Not after every batch: that takes as long as a small network's forward pass.
        """
        trainer = self.trainer
        at_most = -1 if trainer.max_steps is None else trainer.max_steps
        if trainer.is_last_batch or trainer.should_stop or 0 <= at_most <= trainer.global_step:
            self._log_losses()

    def on_train_epoch_end(self) -> None:
        """Log it where the epoch has ended in another way."""
        self._log_losses()

    def _log_losses(self) -> None:
        if self._examples:  # by which parts of an epoch count, where it goes on after all
            mean = self._sum_of_losses / self._examples
            self.log("train_loss", mean, on_step=False, on_epoch=True, batch_size=self._examples)
        self._sum_of_losses, self._examples = 0.0, 0

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
        schedule = self.lr_schedulers()
        if schedule is not None:
            schedule.step()  # type: ignore[union-attr]
        return torch.stack(losses).mean()

    def on_validation_start(self) -> None:
        """Stop before a network with NaN weights is validated; have norms go by the weights in force."""
        self._check_parameters()
        _begin(self.validation_metrics)
        self._refit_on_recent()

    def on_test_start(self) -> None:
        """Have norms go by the weights in force."""
        _begin(self.test_metrics)
        self._refit_on_recent()

    def on_predict_start(self) -> None:
        """Have norms go by the weights in force."""
        self._refit_on_recent()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Stop before a network with NaN weights replaces the last good checkpoint; say who wrote this one."""
        self._check_parameters()
        with_plain_numbers_(checkpoint)
        checkpoint["snntorch_binary"] = {"format": FORMAT, "version": snntorch_binary.__version__}
        if self._examples:  # in the middle of an epoch
            checkpoint["snntorch_binary"]["losses"] = [float(self._sum_of_losses), self._examples]
        if self._learns_scale:
            checkpoint["snntorch_binary"]["readout_scale"] = self.readout_scale
        if not isinstance(self.readout, str):
            checkpoint["snntorch_binary"]["readout"] = _A_FUNCTION

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take plain values from a checkpoint, no classes, functions or paths.

        Raises:
            ValueError: it is of an earlier version, and its weights had another rule; or its network was read by a
                function, and this one is not; or something in its state is no number.
        """
        make_plain_(checkpoint)
        self._check_state(checkpoint.get("state_dict"))
        said = checkpoint.get("snntorch_binary")
        if isinstance(said, dict) and said.get("readout") == _A_FUNCTION and isinstance(self.readout, str):
            raise ValueError(expected("readout", "the function that it was trained with, as in the file", self.readout))
        self.take_up(checkpoint)
        losses = said.get("losses") if isinstance(said, dict) else None
        if not isinstance(losses, list) or len(losses) != 2 or not all(map(is_number, losses)):
            losses = [0.0, 0]
        self._sum_of_losses, self._examples = float(losses[0]), int(losses[1])
        rules = [layer.rule for layer in binary_layers(self.net).values()]
        before = checkpoint.get("hyper_parameters") or {}
        if isinstance(before.get("rule"), dict):
            if rules and before["rule"] != rules[0].to_json():
                raise ValueError(expected("rule", f"{before['rule']!r}, as in the file", repr(rules[0])))
            return
        for name, value in rules[0].to_json().items() if rules else ():
            if before.get(name, value) != value:  # it was an argument of the module
                raise ValueError(expected("rule", f"one with {name}={before[name]!r}, as in the file", repr(rules[0])))

    def _check_state(self, state: Any) -> None:
        """Refuse parameters that are no numbers, as they are refused when they are saved, and neurons' constants."""
        state = state if isinstance(state, dict) else {}
        parameters = {f"net.{name}" for name, _ in self.net.named_parameters()}
        constants = {f"net.{name}" for name, _ in self.net.named_buffers() if name.rpartition(".")[2] in _CONSTANTS}
        for name in (parameters | constants) & state.keys():
            value = state[name]
            if not isinstance(value, Tensor):
                got = f"{name}: {in_one_line(repr(value), 40)}"
                raise ValueError(expected("checkpoint", "one of tensors", got))
            wrong = value.isnan() if name in constants else ~value.isfinite()  # a threshold may be infinite
            if bool(wrong.any()):
                raise ValueError(expected("checkpoint", "one of numbers", f"NaN or infinite values in {name}"))

    def take_up(self, checkpoint: Mapping[str, Any]) -> None:
        """Read outputs as in the training that a checkpoint is of, where no ``readout_scale`` was given."""
        if self._learns_scale:
            self.readout_scale = scale_in(checkpoint)

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

    def _evaluate(self, batch: tuple[Inputs, Tensor], metrics: nn.ModuleDict, final: bool) -> None:
        x, targets = pair(batch, self._takes_several)
        for name, answer in self.answers(x, final).items():
            collection = metrics[name]
            assert isinstance(collection, MetricCollection)
            self.task.update(collection, answer, targets)
            for key, metric in collection.items():
                show = key.endswith(self.task.score)
                self.log(key, metric, prog_bar=show, on_epoch=True, batch_size=len(targets))

    def validation_step(self, batch: tuple[Inputs, Tensor], batch_idx: int) -> None:
        """Log the scores of every prediction on validation data."""
        self._evaluate(batch, self.validation_metrics, final=False)

    def test_step(self, batch: tuple[Inputs, Tensor], batch_idx: int) -> None:
        """Log the scores of every prediction on test data."""
        self._evaluate(batch, self.test_metrics, final=True)

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Return the answer of every prediction by name, for ``x`` or ``(x, ...)``; several arguments are a tuple x.

        Raises:
            TypeError: the batch is neither.
        """
        x = inputs_of(batch[0] if isinstance(batch, (tuple, list)) and batch else batch)
        if x is None or not (isinstance(x, Tensor) or self._takes_several):
            raise TypeError(expected("batch", "inputs x, or (x, ...)", described(batch)))
        return self.answers(x, final=True)

    @property
    def _takes_several(self) -> bool:
        """Whether the network may take several arguments: layers that learn by themselves take one."""
        return self.credit == "through-time"


def _begin(metrics: nn.ModuleDict) -> None:
    """Begin with nothing counted, in tensors of no inference mode: `fit` after `validate` writes to them without it."""
    with torch.inference_mode(False):
        for collection in metrics.values():
            collection.reset()  # type: ignore[operator]  # of torchmetrics
