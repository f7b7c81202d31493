"""What a comparison of soft LIF networks adds: answers in spikes, their energy and pictures."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snntorch_binary._files import write_json
from snntorch_binary.convert import to_spiking
from snntorch_binary.experiments.compare.comparison import Comparison
from snntorch_binary.experiments.rules import Presentation
from snntorch_binary.metrics import spiking_energy
from snntorch_binary.nn.neurons.soft_lif import SoftLIF
from snntorch_binary.nn.neurons.spiking_lif import SpikingLIF
from snntorch_binary.plots import raster, rate_curve, rates_against_spikes


@torch.no_grad()
def draw_spikes(comparison: Comparison) -> None:
    """Print the energy of the first run of each rule; write energy.json and, of the first run, three pictures.

    Where no rule has networks that run in spikes there is none of this.
    """
    energies: dict[str, Any] = {}
    firsts = [next(run for run in comparison.runs if run.rule == rule.name) for rule in comparison.experiment.rules]
    runs = [run for run in firsts if comparison.experiment.rule(run.rule).spiking is not None]
    if not runs:
        return
    for run in runs:
        module, data = comparison.load(run)
        given = comparison.experiment.rule(run.rule).spiking
        assert given is not None
        assert data.splits is not None
        test = data.splits.test
        x = test.__getitems__(list(range(min(20, len(test)))))[0]
        found = spiking_energy(given.in_spikes(module.net), x)
        energies[run.rule] = {**asdict(found), "efficiency": found.efficiency}
        comparison.console.print(f"{run.rule}: {found}", highlight=False, markup=False)
    write_json(comparison.out / "energy.json", energies)
    module, _ = comparison.load(runs[0])
    given = comparison.experiment.rule(runs[0].rule).spiking
    assert given is not None
    _draw_rates(module.net, comparison.out / "rates.png")
    _draw_example(module.net, given, x[:, :1], comparison.out)
    comparison.written("energy.json", "rates.png", "spikes.png", "rates_against_spikes.png")


def _draw_rates(net: nn.Module, path: Path) -> None:
    constants = next(module.constants for module in net.modules() if isinstance(module, SoftLIF))
    x = torch.linspace(-1, 4, 1000)
    curves = {"soft LIF": SoftLIF(*constants[:5])(x), "LIF": SoftLIF(*constants[:4], gamma=0.0)(x)}
    curves["ReLU"] = x.relu()
    if constants.noise > 0:
        curves["soft LIF in training"] = SoftLIF(*constants)(x)
    rate_curve(x, curves, path, num_dots=int(constants.noise > 0))


def _draw_example(net: nn.Module, given: Presentation, x: Tensor, out: Path) -> None:
    """Draw the spikes of the last layer of neurons at one image, and all layers' rates against their spikes."""
    rates = _outputs(net, SoftLIF, x)
    spikes = _outputs(to_spiking(net, tau_syn=0.0, presentation=given.presentation, scoring=0.0).net, SpikingLIF, x)
    layers = {
        f"layer {index}": (rate[0], y[round(len(y) * given.scoring / given.presentation) :].mean(0))
        for index, (rate, y) in enumerate(zip(rates, spikes, strict=True), 1)
    }
    amplitude = next(module.constants.amplitude for module in net.modules() if isinstance(module, SoftLIF))
    rates_against_spikes(layers, out / "rates_against_spikes.png", amplitude)
    raster((spikes[-1].flatten(1)[:, :100] > 0).float(), out / "spikes.png")


def _outputs(net: nn.Module, kind: type[nn.Module], x: Tensor) -> list[Tensor]:
    found: list[Tensor] = []
    with ExitStack() as hooks:
        for module in net.modules():
            if isinstance(module, kind):
                hooks.enter_context(module.register_forward_hook(lambda module, inputs, y: found.append(y)))
        net(x)
    return found
