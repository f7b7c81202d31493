"""`Trajectory`: an ensemble of the binary networks that one training passes through."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from snntorch_binary._errors import expected
from snntorch_binary._numbers import is_number
from snntorch_binary.convert import freeze, reset
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.inference.ensemble import Ensemble, ensemble_of
from snntorch_binary.inference.passed import Passed
from snntorch_binary.inference.readout import NUM_SAMPLES, Readout
from snntorch_binary.inference.wrapped import answering
from snntorch_binary.weights import binary_layers
from snntorch_binary.weights.registry import announce_step


class Trajectory:
    r"""The binary networks that a training passes through in its last third, as the members of one ensemble.

    While latents move at a learning rate that does not fall, the signs of those near zero flip to and fro: the networks
    of the last steps answer about equally well, and not the same. Their average is far better than the last of them,
    and one training makes them all:

    .. math::
        p(y | x) \approx \frac1K \sum_{k=1}^K \mathrm{softmax}(\mathrm{net}_{w_k}(x))_y, \qquad
        w_k = w(t_k), \quad \tfrac23 t < t_1 < \dots < t_K \le t

    with :math:`w(s)` the network as it is right after step s of t. It needs no number of steps beforehand: between K
    and 2K networks of the last third so far are held, each at one bit a binary weight, with all else that the network
    holds; of a training of less than 3K steps they are those of its last K.

    Args:
        net: a network, or a LightningModule of this package around one; it goes on learning. Its binary weights are
            taken as they are in force at a step, of a posterior one draw.
        optimizer: of torch, by whose steps it goes by itself, as long as there are both; without it call :meth:`step`
            after each.
        num_members: members K of the ensemble, at least 1.
        share: last part of the training that they are from, above 0 and at most 1.
        seed: of the draws from a posterior.

    Attributes:
        num_steps: steps so far.
        changes: how often this or what is held has changed, for those who keep what they have made of it.

    Raises:
        TypeError: the network is no module, the optimizer none of torch, or a binary layer is of a class of your own,
            whose plain form is unknown.
        ValueError: a number is out of its range, the optimizer learns nothing of the network, or a layer does not know
            its sizes yet.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(torch.nn.Linear(16, 3), sb.nn.Leaky(beta=0.9))
        >>> _ = sb.binarize_(net, sb.BalancedSign())
        >>> optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
        >>> trajectory = sb.Trajectory(net, optimizer)
        >>> x, y = torch.rand(25, 8, 16), torch.arange(8) % 3
        >>> for _ in range(60):
        ...     optimizer.zero_grad()
        ...     torch.nn.functional.cross_entropy(net(x).mean(0), y).backward()
        ...     optimizer.step()
        >>> trajectory
        Trajectory(10 members, 60 steps)
        >>> trajectory.ensemble().predict(x)
        Prediction(10 members, 8 examples, 3 classes)

    References:
        Chen et al., *Checkpoint Ensembles*, arXiv 1710.03282; Maddox et al., *A Simple Baseline for Bayesian
        Uncertainty in Deep Learning*, NeurIPS 2019, which takes such networks for draws of a posterior.
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        num_members: int = NUM_SAMPLES,
        share: float = 1 / 3,
        seed: int = 0,
    ) -> None:
        if not isinstance(net, nn.Module):
            raise TypeError(expected("net", "a module", type(net).__name__))
        own = answering(net, num_members, count="num_members")
        if not is_number(share) or not 0 < share <= 1:
            raise ValueError(expected("share", "above 0 and at most 1", share))
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(expected("seed", "an integer", repr(seed)))
        if any(map(is_lazy, own.net.parameters())):
            raise ValueError(expected("net", "a network that knows its sizes: call it once", "one with lazy layers"))
        self._given, self._net = net, own.net
        self.num_members, self.share, self.seed = own.num_samples, float(share), seed
        self.num_steps, self._spacing = 0, 1
        self._held: dict[int, Passed] = {}
        self.changes = 0
        self._followed: weakref.WeakSet[torch.optim.Optimizer] = weakref.WeakSet()
        self._fixed()  # what cannot be taken is said before a training, not after it
        if optimizer is not None:
            self.follow(optimizer)

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Go by the steps of an optimizer.

        Raises:
            TypeError: it is none of torch.
            ValueError: it learns nothing of the network.
        """
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(expected("optimizer", "an optimizer of torch, or None", type(optimizer).__name__))
        learned = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if not any(id(parameter) in learned for parameter in self._net.parameters()):
            raise ValueError(expected("optimizer", "one of the network's parameters", "one of others"))
        if optimizer in self._followed:
            return
        self._followed.add(optimizer)
        follower = weakref.ref(self)

        def stepped(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            trajectory = follower()
            if trajectory is None:
                hook.remove()
            else:
                announce_step(optimizer)
                trajectory.step()

        hook = optimizer.register_step_post_hook(stepped)

    def __getstate__(self) -> dict[str, Any]:
        # A copy goes by no optimizer: those of torch lose their hooks when they are copied.
        return self.__dict__ | {"_followed": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_followed": weakref.WeakSet()}

    def restart(self) -> None:
        """Forget all steps so far, for a training that begins anew."""
        self.num_steps, self._spacing, self._held = 0, 1, {}
        self.changes += 1

    def step(self) -> None:
        """Count a step of the optimizer, and keep the network where it may become a member."""
        self.num_steps += 1
        self.changes += 1
        if self.num_steps % self._spacing:
            return
        self._held[self.num_steps] = Passed.of(self._fixed())
        self._held = {step: self._held[step] for step in self._current()}
        if len(self._held) > 2 * self.num_members:
            self._spacing *= 2
            self._held = {step: passed for step, passed in self._held.items() if step % self._spacing == 0}

    def _current(self) -> list[int]:
        """Return the steps of those that are of the last part, at least of the last K."""
        steps = sorted(self._held)
        last = [step for step in steps if step > self.num_steps * (1 - self.share)]
        return max(last, steps[-self.num_members :], key=len)

    def ensemble(
        self,
        num_members: int | None = None,
        *,
        readout: Readout | None = None,
        readout_scale: float | None = None,
        step: bool | None = None,
        time_dim: int | None = None,
        data: Tensor | Iterable[Any] | None = None,
    ) -> Ensemble:
        """Return an ensemble of networks that were passed, evenly spaced and the latest among them.

        Args:
            num_members: members K, as many as at the start by default.
            readout: as in :class:`snntorch_binary.Ensemble`.
            readout_scale: as there.
            step: as there.
            time_dim: as there.
            data: as there.

        Raises:
            ValueError: an argument is out of its range, or there were too few steps for so many members.
        """
        count = self.num_members if num_members is None else num_members
        own = answering(self._given, count, readout, readout_scale, step, time_dim, count="num_members")
        members = self.networks(own.num_samples).values()
        return ensemble_of(members, own, self.seed, own.data if data is None else data)

    def networks(self, num_members: int | None = None) -> dict[int, nn.Module]:
        """Return networks that were passed by their step, in evaluation mode, with fixed weights.

        Args:
            num_members: as in :meth:`ensemble`.

        Raises:
            ValueError: it is no integer of at least 1, or there were too few steps for so many members.
        """
        steps, count = self._current(), self.num_members if num_members is None else num_members
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(expected("num_members", "an integer of at least 1", count))
        if count > len(steps):
            got = f"{count}; a longer training or a larger share has more"
            what = f"at most {len(steps)}, the networks held of {self.num_steps} steps"
            raise ValueError(expected("num_members", what, got))
        chosen = [steps[len(steps) * (index + 1) // count - 1] for index in range(count)]
        with torch.inference_mode(False), torch.no_grad():  # to be used in any mode
            return {step: self._held[step].network(self._fixed()).eval() for step in chosen}

    @property
    def num_held(self) -> int:
        """How many networks are held: members there can be now."""
        return len(self._current())

    def _fixed(self) -> nn.Module:
        """Return a copy of the network as it is now, with fixed weights and at rest."""
        if binary_layers(self._net):
            generator = torch.Generator().manual_seed(self.seed + self.num_steps)
            fixed = freeze(self._net, "binary", generator)
        else:
            fixed = copy_model(self._net)
        reset(fixed)
        return fixed

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of it: numbers and tensors, for ``torch.load(..., weights_only=True)``.

        What a network has beside its own ``state_dict`` is not in it: of a checkpoint members have it as the network
        has it then.
        """
        held = {str(step): dict(passed.tensors) for step, passed in self._held.items()}
        return {"num_steps": self.num_steps, "spacing": self._spacing, "held": held}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned.

        Raises:
            ValueError: it is no such state, or of another network; then nothing has changed.
        """
        if not isinstance(state, Mapping) or state.keys() != {"num_steps", "spacing", "held"}:
            raise ValueError(expected("state", "what `state_dict` of a trajectory returned", "something else"))
        num_steps = _count(state, "num_steps", 0, 2**62)
        spacing = _count(state, "spacing", 1, max(1, num_steps))
        if not isinstance(state["held"], Mapping):
            raise ValueError(expected("state", "networks by the number of their step", type(state["held"]).__name__))
        held: dict[int, Passed] = {}
        fixed = self._fixed()
        form, parameters = fixed.state_dict(), {name for name, _ in fixed.named_parameters(remove_duplicate=False)}
        for step, tensors in state["held"].items():
            known = isinstance(step, str) and len(step) < 20 and step.isdecimal() and 0 < int(step) <= num_steps
            if not known:
                raise ValueError(expected("state", "networks by the number of their step", repr(step)[:40]))
            passed = held[int(step)] = Passed(tensors)
            passed.check(form, parameters)
        self.num_steps, self._spacing, self._held = num_steps, spacing, held
        self.changes += 1

    def __repr__(self) -> str:
        return f"Trajectory({self.num_members} members, {self.num_steps} steps)"


def _count(state: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = state[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(expected("state", f"a {name} from {least} to {most}", repr(value)[:40]))
    return value
