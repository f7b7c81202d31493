"""What a comparison of soft LIF networks adds: answers in spikes, their energy and pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from snntorch_binary._files import write_json
from snntorch_binary.lightning.compare import Run, load_module
from snntorch_binary.lightning.in_spikes import in_spikes
from snntorch_binary.lightning.recipes import SoftLIFRecipe
from snntorch_binary.lightning.settings import Settings
from snntorch_binary.metrics import raster, rate_curve, rates_against_spikes, spiking_energy
from snntorch_binary.nn.neurons.soft_lif import SoftLIF
from snntorch_binary.nn.neurons.spiking_lif import SpikingLIF
from snntorch_binary.to_spiking import to_spiking


@torch.no_grad()
def draw_spikes(settings: Settings, runs: list[Run], out: Path, console: Console) -> None:
    """Print the energy of the first run of each rule; write energy.json and, of the first run, three pictures."""
    given = settings.recipe.soft_lif
    assert given is not None
    energies: dict[str, Any] = {}
    for rule in settings.rules:
        module, splits = load_module(settings, next(run for run in runs if run.rule == rule))
        x = splits.test.__getitems__(list(range(min(20, len(splits.test)))))[0]
        found = spiking_energy(in_spikes(module.net, given), x)
        energies[rule] = {**asdict(found), "efficiency": found.efficiency}
        console.print(f"{rule}: {found}", highlight=False, markup=False)
    write_json(out / "energy.json", energies)
    module, _ = load_module(settings, runs[0])
    _draw_rates(module.net, out / "rates.png")
    _draw_example(module.net, given, x[:, :1], out)
    written = "energy.json, rates.png, spikes.png, rates_against_spikes.png"
    console.print(f"Written to {out}: {written}", highlight=False, markup=False, soft_wrap=True)


def _draw_rates(net: nn.Module, path: Path) -> None:
    constants = next(module.constants for module in net.modules() if isinstance(module, SoftLIF))
    x = torch.linspace(-1, 4, 1000)
    curves = {"soft LIF": SoftLIF(*constants[:5])(x), "LIF": SoftLIF(*constants[:4], gamma=0.0)(x)}
    curves["ReLU"] = x.relu()
    if constants.noise > 0:
        curves["soft LIF in training"] = SoftLIF(*constants)(x)
    rate_curve(x, curves, path, num_dots=int(constants.noise > 0))


def _draw_example(net: nn.Module, given: SoftLIFRecipe, x: Tensor, out: Path) -> None:
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
    hooks = [
        module.register_forward_hook(lambda module, inputs, y: found.append(y))
        for module in net.modules()
        if isinstance(module, kind)
    ]
    net(x)
    for hook in hooks:
        hook.remove()
    return found
