"""What all tests share."""

import itertools
import os
import pickle
from pathlib import Path

import pytest
import torch

import snntorch_binary as sb
from snntorch_binary.kernels import engine
from snntorch_binary.weights import binary_layers, draw, rule

# As modules with doctests: the first all have one name, the other is what Flower's own processes import.
collect_ignore_glob = ["*/conftest.py", "*/network_app/*"]

_WHOLE_COMMANDS = (
    "experiments",
    "tune",
    "golden",
    "test_cli.py",
    "test_cli_export.py",
    "test_cli_device.py",
    "test_faults.py",
)
_WHOLE_COMMANDS += ("test_readme.py", "test_tutorials.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Let ``-m "not slow"`` leave out what runs whole commands, too, and what runs only when it is asked for."""
    here = Path(__file__).parent
    for item in items:
        is_command = item.path.is_relative_to(here) and item.path.relative_to(here).parts[0] in _WHOLE_COMMANDS
        if is_command or any(map(item.get_closest_marker, ("repeated", "network"))):
            item.add_marker("slow")


def take_noise_from(monkeypatch, noise):
    """Let every draw to come have the noise that a function of latent and seed returns."""
    monkeypatch.setattr(engine, "_chosen", "torch")  # compiled kernels make their own
    for module in (draw, rule):
        monkeypatch.setattr(module, "noise_like", noise)


@pytest.fixture(autouse=True, scope="session")
def compile_in_silence():
    """Whichever test is the first to need a kernel, what a command says has no line about it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "print", lambda *said, **options: None, raising=False)
        yield


@pytest.fixture(autouse=True)
def seed():
    """Every test starts from the same random numbers, whichever others run."""
    torch.manual_seed(0)


@pytest.fixture
def real_data():
    """The folder of real data sets, or a skip that says why."""
    folder = os.environ.get("SNNTORCH_BINARY_DATA")
    if not folder:
        pytest.skip("SNNTORCH_BINARY_DATA does not name a folder with the real data sets")
    return Path(folder)


@pytest.fixture
def planted_pickle():
    """Return a function of a path that gives a pickle which makes that file when it is read."""

    class Opens:
        def __init__(self, path):
            self.path = path

        def __reduce__(self):
            return open, (str(self.path), "w")

    return lambda path: pickle.dumps(Opens(path))


@pytest.fixture
def freeze_noise(monkeypatch):
    """Return a function that fixes the uniform noise of every draw to come."""

    def freeze(uniform):
        take_noise_from(monkeypatch, lambda latent, seed: uniform.to(latent.dtype).clone())

    return freeze


@pytest.fixture
def noises(monkeypatch):
    """Return a function that yields once for each way to give every weight of a network one of some noise levels.

    It yields the noise of all weights, a flat tensor. Layers are told apart by the shape of their latent.
    """

    def each(net, levels):
        layers = list({id(layer.draw): layer for layer in binary_layers(net).values()}.values())
        sizes = [layer.latent.numel() for layer in layers]
        for noise in itertools.product(levels, repeat=sum(sizes)):
            flat = torch.tensor(noise, dtype=torch.float64)
            by_shape = {layer.latent.shape: part for layer, part in zip(layers, flat.split(sizes), strict=True)}
            assert len(by_shape) == len(layers)
            take_noise_from(monkeypatch, lambda latent, seed, of=by_shape: of[latent.shape].view_as(latent))
            sb.resample_(net)
            yield flat

    return each
