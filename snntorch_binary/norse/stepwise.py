"""Telling Norse models that take one time step from those that take a sequence."""

from __future__ import annotations

import norse.torch as norse_torch
from norse.torch.module.snn import SNNCell, SNNRecurrentCell
from torch import nn

from snntorch_binary.nn.neurons.description import NeuronDescription, description_of, register
from snntorch_binary.nn.neurons.known import TAKES_ONE_STEP
from snntorch_binary.norse.srm import SRMCell

_CELL = NeuronDescription(takes_one_step=lambda cell: True, over_time=None)
for _cell in (SNNCell, SNNRecurrentCell, norse_torch.CobaLIFCell, norse_torch.LILinearCell):
    register(_cell, _CELL, family=True)


def takes_one_step(model: nn.Module) -> bool:
    """Say whether a model is a Norse cell or a Norse container of such; ``Lift`` makes a sequence of one."""
    if isinstance(model, norse_torch.RecurrentSequential):
        return takes_one_step(model.module)
    if isinstance(model, norse_torch.SequentialState):
        return any(takes_one_step(child) for child in model)
    return isinstance(model, SRMCell) or description_of(model) is _CELL


TAKES_ONE_STEP.append(takes_one_step)
