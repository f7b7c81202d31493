"""The neurons of snnTorch, described by their names: it need not be installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary.kernels.surrogates import ArcTan, FastSigmoid, Surrogate
from snntorch_binary.nn.neurons import leaky, lif, synaptic
from snntorch_binary.nn.neurons.description import NeuronDescription, NIRForm, register
from snntorch_binary.nn.neurons.leaky import Leaky
from snntorch_binary.nn.neurons.lif import LIF
from snntorch_binary.nn.neurons.synaptic import Synaptic

_RECURRENT = "use snntorch_binary.nn.Recurrent with a Synaptic of reset_mechanism='zero', reset_delay=False"


def _takes_one_step(neuron: nn.Module) -> bool:
    return hasattr(neuron, "reset_mem")  # those that take a sequence start it at rest, and have none


# ---- their time-first twins ----------------------------------------------------------------------


def leaky_over_time(neuron: Any, output: bool) -> LIF | str:
    """Return ours for a Leaky, or why there is none."""
    factor = neuron.graded_spikes_factor
    return _why_not(neuron) or _twin(
        Leaky(neuron.beta, graded_spikes_factor=factor, **_options(neuron, output)), neuron
    )


def synaptic_over_time(neuron: Any, output: bool) -> LIF | str:
    """Return ours for a Synaptic, or why there is none."""
    return _why_not(neuron) or _twin(Synaptic(neuron.alpha, neuron.beta, **_options(neuron, output)), neuron)


def _none_over_time(neuron: Any, output: bool) -> str:
    return f"no time-first form of {type(neuron).__name__} neurons"


def option_without_twin(neuron: Any) -> str | None:
    """Return the option of a Leaky or Synaptic that ours do not have, or ``None``."""
    options = ("inhibition", "state_quant", "surrogate_disable")
    return next((option for option in options if getattr(neuron, option, False)), None)


def _why_not(neuron: Any) -> str | None:
    option = option_without_twin(neuron)
    return None if option is None else f"no time-first form with {option}"


def _options(neuron: Any, output: bool) -> dict[str, Any]:
    return {
        "threshold": neuron.threshold,
        "spike_grad": surrogate_of(neuron.spike_grad),
        "reset_mechanism": neuron.reset_mechanism,
        "reset_delay": getattr(neuron, "reset_delay", True),
        "output": output,
    }


def _twin(twin: LIF, neuron: Any) -> LIF:
    """Return the twin with the Parameters of the neuron."""
    for name in ("alpha", "beta", "threshold", "graded_spikes_factor"):
        value = getattr(neuron, name, None)
        if isinstance(value, nn.Parameter) and hasattr(twin, name):
            twin._buffers.pop(name, None)
            twin.register_parameter(name, value)
    twin.graded = twin.graded or isinstance(twin.graded_spikes_factor, nn.Parameter)
    return twin.train(neuron.training)


@lru_cache(maxsize=256)
def surrogate_of(spike_grad: Callable[[Tensor], Tensor] | None) -> Callable[[Tensor], Tensor] | None:
    """Return ours for snnTorch's arc tangent and fast sigmoid, whose functions do not say what they are."""
    parts = getattr(spike_grad, "__closure__", None) or ()
    numbers = [part.cell_contents for part in parts if isinstance(part.cell_contents, (int, float))]
    if spike_grad is None or isinstance(spike_grad, Surrogate) or len(numbers) != 1 or not numbers[0] > 0:
        return spike_grad
    for ours in (ArcTan(float(numbers[0])), FastSigmoid(float(numbers[0]))):
        if _alike(spike_grad, ours):
            return ours
    return spike_grad


def _alike(first: Callable[[Tensor], Tensor], second: Callable[[Tensor], Tensor]) -> bool:
    """Say whether two surrogates have the same spikes and gradients on a range of membrane potentials."""
    answers = []
    for function in (first, second):
        u = torch.linspace(-4, 4, 401).requires_grad_()
        with torch.enable_grad():
            spikes = function(u)
            (gradient,) = torch.autograd.grad(spikes.sum(), u)
        answers.append((spikes.detach(), gradient))
    return all(torch.allclose(one, other, rtol=1e-5, atol=1e-7) for one, other in zip(*answers, strict=True))


# ---- their nodes ---------------------------------------------------------------------------------


def _rsynaptic_losses(neuron: Any, shape: tuple[int, ...]) -> list[tuple[str, str]]:
    found = lif.losses_with_delay(neuron, shape)
    late = neuron.reset_mechanism == "zero" and not neuron.reset_delay and not _resets_at_once(neuron, shape)
    what = ("the late reset that this snnTorch gives to reset_delay=False", _RECURRENT)
    return [*([what] if late else []), *found]


def _resets_at_once(neuron: Any, shape: tuple[int, ...]) -> bool:
    """Say whether an RSynaptic that fires is at zero after the step; that of snnTorch 1.0.0 is not."""
    from snntorch_binary.convert.copies import copy_model  # which itself knows all layers and neurons

    neuron = copy_model(neuron).cpu().float()
    neuron.init_hidden = False
    x = torch.full((1, *shape), 1e6)
    with torch.no_grad():
        potential = neuron(x, *(torch.zeros_like(x) for _ in range(3)))[-1]
    return bool((potential == 0).all())


def _with_own_spikes(neuron: Any) -> tuple[Any, nn.Module]:
    return neuron, neuron.recurrent


_KEEPS = ("reset_delay",)
_DESCRIPTIONS = {
    "Leaky": NeuronDescription(
        spike=lif.SPIKE,
        operations=Leaky.description.operations,
        nir=NIRForm(leaky.to_nir, lif.losses, keeps=_KEEPS, name="Leaky"),
        over_time=leaky_over_time,
        takes_one_step=_takes_one_step,
    ),
    "Synaptic": NeuronDescription(
        spike=lif.SPIKE,
        operations=Synaptic.description.operations,
        nir=NIRForm(synaptic.to_nir, lif.losses_with_delay, keeps=_KEEPS, name="Synaptic"),
        over_time=synaptic_over_time,
        takes_one_step=_takes_one_step,
    ),
    "RLeaky": NeuronDescription(
        spike=lif.SPIKE,
        nir=NIRForm(leaky.to_nir, lif.losses_with_delay, keeps=_KEEPS, name="Leaky"),
        over_time=_none_over_time,
        takes_one_step=_takes_one_step,
        recurrence=_with_own_spikes,
    ),
    "RSynaptic": NeuronDescription(
        spike=lif.SPIKE,
        nir=NIRForm(synaptic.to_nir, _rsynaptic_losses, keeps=_KEEPS, name="Synaptic"),
        over_time=_none_over_time,
        takes_one_step=_takes_one_step,
        recurrence=_with_own_spikes,
    ),
}
_STEPWISE = NeuronDescription(over_time=_none_over_time, takes_one_step=_takes_one_step)
_OTHERS = ("Alpha", "AssociativeLeaky", "DeltaLeaky", "Lapicque", "LeakyParallel", "LinearLeaky", "SConv2dLSTM")
_DESCRIPTIONS |= dict.fromkeys((*_OTHERS, "SLSTM", "StateLeaky"), _STEPWISE)

for _name, _description in _DESCRIPTIONS.items():
    register(f"snntorch.{_name}", _description)
# Of a subclass no more is known than how many time steps it takes.
_SUBCLASS = NeuronDescription(over_time=None, takes_one_step=_takes_one_step)
for _name in ("SpikingNeuron", "LeakyParallel"):
    register(f"snntorch.{_name}", _SUBCLASS, family=True)
