"""What all tests share."""

import contextlib
import itertools
import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import figures
import pytest
import torch

import snntorch_binary as sb
from snntorch_binary.kernels import engine
from snntorch_binary.weights import binary_layers, draw, rule

fcntl = None
with contextlib.suppress(ImportError):  # not on Windows
    import fcntl

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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Let ``-n 2`` give each process half of the files, as what a file's tests share is then made once."""
    if config.getvalue("dist") == "load":
        from xdist.scheduler import WorkStealingScheduling

        return WorkStealingScheduling(config, log)
    return None


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
def forget_neurons():
    """snnTorch keeps all neurons for good, and resets them all: each test would be slower than the last."""
    yield
    if "snntorch" in sys.modules:
        kept = sys.modules["snntorch"].SpikingNeuron.instances
        (alone,) = [_references(one) for one in [SimpleNamespace()]]  # what loop and calls hold, by Python's version
        kept[:] = [neuron for neuron in kept if _references(neuron) > alone]


def _references(neuron):
    """Count those who hold a neuron, but for its own methods."""
    own = sum(getattr(value, "__self__", None) is neuron for value in vars(neuron).values())
    return sys.getrefcount(neuron) - own


@pytest.fixture(autouse=True, scope="session")
def compile_once(tmp_path_factory):
    """Of several processes that test, one compiles a kernel, which takes seconds, and the others take its result."""
    if fcntl is None:
        yield
        return
    compile_and_call, folder = engine.announced._compile_and_call, tmp_path_factory.getbasetemp().parent

    def in_turn(announced, *args):
        with open(folder / f"compiling-{announced.kernel.py_func.__name__}", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            return compile_and_call(announced, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.announced, "_compile_and_call", in_turn)
        yield


@pytest.fixture(autouse=True)
def seed():
    """Every test starts from the same random numbers, whichever others run."""
    torch.manual_seed(0)


@pytest.fixture
def undrawn():
    """Commands do not draw the figures that they write."""
    with figures.left_undrawn():
        yield


@pytest.fixture
def real_data(tmp_path_factory, monkeypatch):
    """The folder of real data sets, or a skip that says why; one cache for all tests that unpack them."""
    folder = os.environ.get("SNNTORCH_BINARY_DATA")
    if not folder:
        pytest.skip("SNNTORCH_BINARY_DATA does not name a folder with the real data sets")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "shared-cache"))
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
