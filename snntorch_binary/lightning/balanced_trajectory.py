"""ST-BiSNN that answers with the networks its training passes through, as a LightningModule."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from snntorch_binary.inference.arguments import Inputs
from snntorch_binary.inference.norms import NormsOfDraws, norms_of
from snntorch_binary.inference.readout import DEFAULT_READOUT, NUM_SAMPLES, Readout, class_scores
from snntorch_binary.inference.trajectory import Trajectory
from snntorch_binary.lightning.draws import check_counts
from snntorch_binary.lightning.marks import Marks
from snntorch_binary.lightning.spiking_module import Credit
from snntorch_binary.lightning.st_bisnn import STBiSNN
from snntorch_binary.weights import BalancedSign, WeightRule


class BalancedTrajectory(STBiSNN):
    """ST-BiSNN with :class:`BalancedSign` at a rate that does not fall, answering with a :class:`Trajectory`.

    A float network becomes binary; its weights are where the latents start. The ensemble is of networks that the last
    third of the training passes through, which a checkpoint holds at one bit a binary weight. A new ``fit`` begins a
    new trajectory, one from a checkpoint goes on.

    Args:
        net: as in :class:`STBiSNN`.
        num_classes: as in :class:`SpikingModule`.
        lr: learning rate of the real parameters.
        latent_lr: learning rate of the latents.
        rule: the weights' rule, ``BalancedSign()`` by default; see :class:`STBiSNN`.
        scale: as there.
        num_validation_samples: members of the ensemble in validation, or as many as there are steps in its part.
        num_test_samples: members of the ensemble in test and predict, likewise.
        readout: as in :class:`SpikingModule`.
        readout_scale: as in :class:`SpikingModule`.
        step: as in :class:`SpikingModule`.
        cosine: as in :class:`SpikingModule`; with rates that fall to zero the networks of the last steps are one.
        credit: as in :class:`SpikingModule`.
        time_dim: as in :class:`SpikingModule`.
        fuse: as there.

    Raises:
        TypeError: ``rule`` is no rule, or one whose weights are drawn.
        ValueError: an argument is out of its range, or the network follows another rule.

    Example:
        >>> import torch
        >>> from snntorch_binary.lightning import BalancedTrajectory
        >>> from snntorch_binary.models import SpikingMLP
        >>> module = BalancedTrajectory(SpikingMLP(64, [32], 10), num_classes=10)
        >>> sorted(module.eval().answers(torch.ones(10, 2, 64), final=True))
        ['ensemble', 'single']
    """

    predictions = ("single", "ensemble")
    default_rule: ClassVar[WeightRule] = BalancedSign()

    def __init__(
        self,
        net: nn.Module,
        num_classes: int | None,
        lr: float = 1e-3,
        latent_lr: float = 1e-2,
        rule: BalancedSign | WeightRule | dict[str, Any] | None = None,
        scale: Literal["fan_in", "channel", "latent"] | float | None = None,
        num_validation_samples: int = 3,
        num_test_samples: int = NUM_SAMPLES,
        readout: Readout = DEFAULT_READOUT,
        readout_scale: float | None = None,
        step: bool | None = None,
        cosine: bool = False,
        credit: Credit = "through-time",
        time_dim: int | None = None,
        fuse: bool = True,
    ) -> None:
        super().__init__(
            net,
            num_classes,
            lr,
            latent_lr,
            rule,
            scale,
            readout,
            readout_scale,
            step,
            cosine,
            credit,
            time_dim=time_dim,
            fuse=fuse,
        )
        check_counts(num_validation_samples=num_validation_samples, num_test_samples=num_test_samples)
        self.num_validation_samples, self.num_test_samples = num_validation_samples, num_test_samples
        self.trajectory = Trajectory(self.net, num_members=max(num_validation_samples, num_test_samples))
        self._members: tuple[Any, dict[int, nn.Module]] | None = None
        self._goes_on = False

    def setup(self, stage: str) -> None:
        """Begin anew, unless a checkpoint is taken up now; see :meth:`SpikingModule.setup`."""
        super().setup(stage)
        self._goes_on = False

    def configure_optimizer(self) -> torch.optim.Optimizer:
        """Return Adam, whose steps the trajectory goes by, from the first or from those of a checkpoint on."""
        optimizer = super().configure_optimizer()
        if not self._goes_on:
            self.trajectory.restart()
        self._goes_on = False
        self.trajectory.follow(optimizer)
        return optimizer

    def members(self, count: int) -> Mapping[int, nn.Module]:
        """Return networks that were passed by their step, so many if there are; none before the first step."""
        count = min(count, self.trajectory.num_held)
        parameter = next(self.net.parameters())
        state = (self.trajectory.changes, count, parameter.device, parameter.dtype)
        if self._members is None or self._members[0] != state:
            self._members = (state, self.trajectory.networks(count) if count else {})
        return self._members[1]

    def scores(self, x: Inputs, final: bool) -> dict[str, Tensor]:
        """Return the scores of the last network, [1, B, C], and of those that were passed, [K, B, C]."""
        norms, single, members = self.norms, self(x), []
        for step, net in self.members(self.num_test_samples if final else self.num_validation_samples).items():
            with nullcontext() if norms is None else norms.of(net, step):
                members.append(class_scores(net, x, self.readout, self.readout_scale, self.step, self.time_dim))
        return {"single": single[None], "ensemble": torch.stack(members or [single])}

    def refit_norms(self, data: Iterable[Any]) -> None:
        """Let batch norms go by statistics of each network's own; see :meth:`SpikingModule.refit_norms`."""
        if norms_of(self.net):
            norms = NormsOfDraws(data, self.step)
            with norms.of(self.net, "mode"):
                pass  # what is taken once is known: the files of a run hold it beside those of members
            norms.put_(self.net, "mode")
            self._norms = (norms, Marks.of(self.net))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the networks that were passed."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["snntorch_binary"]["trajectory"] = self.trajectory.state_dict()

    def take_up(self, checkpoint: Mapping[str, Any]) -> None:
        """Take the networks that a checkpoint's training passed; a warning says where there are none.

        Raises:
            ValueError: they are of another network.
        """
        super().take_up(checkpoint)
        said = checkpoint.get("snntorch_binary")
        self._goes_on = isinstance(said, Mapping) and "trajectory" in said
        if self._goes_on:
            self.trajectory.load_state_dict(said["trajectory"])  # type: ignore[index]  # it is one
            return
        self.trajectory.restart()
        warnings.warn(
            "The checkpoint holds no networks that its training passed; the ensemble is its network alone.",
            UserWarning,
            stacklevel=2,
        )
