"""Networks and posteriors that were trained apart, as the members of one ensemble."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary.convert import freeze
from snntorch_binary.convert.copies import copy_model
from snntorch_binary.inference.find_form import known_step
from snntorch_binary.inference.readout import Readout
from snntorch_binary.inference.wrapped import Answering, answering
from snntorch_binary.weights import binary_layers


def networks_of(
    nets: Iterable[nn.Module],
    readout: Readout | None,
    readout_scale: float | None,
    step: bool | None,
    time_dim: int | None,
) -> list[Answering]:
    """Return networks that were trained apart and how they answer, all in the same way.

    Raises:
        TypeError: something is no network of its own.
        ValueError: there is none, or two answer in different ways.
    """
    if not isinstance(nets, Iterable) or (isinstance(nets, nn.Module) and not isinstance(nets, nn.ModuleList)):
        raise TypeError(expected("nets", "a list of networks", f"a {type(nets).__name__}"))
    nets = list(nets)
    for net in nets:
        if not isinstance(net, nn.Module) or _is_ensemble(net):
            raise TypeError(expected("nets", "networks and posteriors, no ensembles", f"a {type(net).__name__}"))
    if not nets:
        raise ValueError(expected("nets", "at least one network", "none"))
    found = [answering(net, None, readout, readout_scale, step, time_dim) for net in nets]
    found = [replace(each, step=known_step(each.net) if each.step is None else each.step) for each in found]
    for name in ("readout", "readout_scale", "step", "time_dim", "task"):
        values = [getattr(each, name) for each in found]
        other = next((value for value in values if value != values[0]), values[0])
        if other != values[0]:
            raise ValueError(expected("nets", f"networks of the same {name}", f"{values[0]!r} and {other!r}"))
    return found


def _is_ensemble(net: nn.Module) -> bool:
    from snntorch_binary.inference.ensemble import Ensemble  # both are made of what is here
    from snntorch_binary.packed.ensemble import PackedEnsemble

    return isinstance(net, (Ensemble, PackedEnsemble))


def members_of(nets: Sequence[Answering], num_members: int | None, seed: int) -> list[tuple[nn.Module, Answering]]:
    """Return frozen members, by turns a draw of each network, each with the network that it is of.

    A network whose weights are not drawn is a member once: a second one would say the same.

    Raises:
        ValueError: there are not so many members, fewer than networks are asked for, or architectures differ.
    """
    count = _count(nets, num_members)
    generator = torch.Generator().manual_seed(seed)
    passed = [passed_of(of, len(range(index, count, len(nets)))) for index, of in enumerate(nets)]
    members = []
    for index in range(count):
        of, networks = nets[index % len(nets)], passed[index % len(nets)]
        if networks:
            member = copy_model(networks.pop(0))
        elif binary_layers(of.net):
            member = freeze(of.net, "binary", generator)
        else:
            member = copy_model(of.net)
        members.append((member.eval(), of))
    for member, _ in members[1 : len(nets)]:
        _check_same_architecture(members[0][0], member)
    return members


def passed_of(of: Answering, count: int) -> list[nn.Module]:
    """Return so many networks that a training has passed, of a module that answers with such; of others none.

    Raises:
        ValueError: its training has not passed so many.
    """
    if of.members is None:
        return []
    found = list(of.members(count).values())
    if len(found) < count:
        what = f"at most {len(found)} of each training, which has passed no more"
        raise ValueError(expected("num_members", what, count))
    return found


def _count(nets: Sequence[Answering], num_members: int | None) -> int:
    fixed = sum(not _is_drawn(of.net) and of.members is None for of in nets)
    if num_members is None:
        return len(nets) if fixed else max(len(nets), *(of.num_samples for of in nets))
    if isinstance(num_members, bool) or not isinstance(num_members, int) or num_members < len(nets):
        what = f"an integer of at least {len(nets)}, one member a network"
        raise ValueError(expected("num_members", what, num_members))
    if fixed and num_members > len(nets):
        what = f"at most {len(nets)}, one a network, where weights of one are not drawn from a posterior"
        raise ValueError(expected("num_members", what, num_members))
    return num_members


def _is_drawn(net: nn.Module) -> bool:
    return any(layer.rule.is_drawn for layer in binary_layers(net).values())


def _check_same_architecture(first: nn.Module, other: nn.Module) -> None:
    """Raise the house sentence unless two frozen networks differ in values only.

    Constants of neurons are values: these may differ.
    """
    for mine, others in ((_modules(first), _modules(other)), (_tensors(first), _tensors(other))):
        names = [name for name in {**mine, **others} if mine.get(name) != others.get(name)]
        if names:
            got = f"{names[0]!r}: {mine.get(names[0], 'none')} and {others.get(names[0], 'none')}"
            raise ValueError(expected("nets", "networks of one architecture, with as many classes", got))


def _modules(net: nn.Module) -> dict[str, str]:
    """Return what each module is by name; of torch's own with what they say of themselves, such as their stride."""
    kinds = {name: type(module) for name, module in net.named_modules()}
    said = {
        name: f"({net.get_submodule(name).extra_repr()})" if kind.__module__.startswith("torch.nn.") else ""
        for name, kind in kinds.items()
    }
    return {name: f"{kind.__qualname__}{said[name]}" for name, kind in kinds.items()}


def _tensors(net: nn.Module) -> dict[str, str]:
    tensors = {name: value for name, value in net.state_dict().items() if isinstance(value, Tensor)}
    return {name: f"{value.dtype} {list(value.shape)}" for name, value in tensors.items()}
