"""`import snntorch_binary` costs torch and nothing else."""

import ast
import functools
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import snntorch_binary
from snntorch_binary._errors import MissingPackageError

HEAVY = [
    "snntorch",
    "norse",
    "tonic",
    "lightning",
    "pytorch_lightning",
    "torchmetrics",
    "nir",
    "nirtorch",
    "numba",
    "triton",
    "sklearn",
    "matplotlib",
    "rich",
    "jsonargparse",
    "ray",
    "flwr",
    "safetensors",
    "pandas",
    "scipy",
]

SCRIPT = f"""
import sys
import torch
before = set(sys.modules)
import snntorch_binary
from snntorch_binary import inference, models, nn, optim, weights
new = {{name.split(".")[0] for name in set(sys.modules) - before}}
outside = new - {{"snntorch_binary", "torch"}} - set(sys.stdlib_module_names)
assert not outside, f"importing brings {{sorted(outside)}}"
heavy = {{name for name in {HEAVY!r} if name in sys.modules}}
assert not heavy, f"importing brings {{sorted(heavy)}}"
net = torch.nn.Sequential(nn.BinaryLinear(64, 64, weight=snntorch_binary.Bernoulli()), nn.Leaky(0.9))
net(torch.ones(5, 2, 64)).sum().backward()
assert "triton" not in sys.modules, "Triton is imported before it is asked for"
"""


@pytest.mark.slow
def test_import_loads_torch_and_nothing_else():
    done = subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Doctests skip modules that cannot be imported, so that those of adapters need no package; here none is forgiven.
MODULES = [module.name for module in pkgutil.walk_packages(snntorch_binary.__path__, "snntorch_binary.", onerror=print)]


@pytest.mark.parametrize("name", [name for name in MODULES if ".kernels.triton" not in name])
def test_every_module_can_be_imported(name):
    if name.endswith("__main__"):
        return
    try:
        importlib.import_module(name)
    except MissingPackageError as error:  # of Norse, Flower or Ray, which the test extra does not bring
        pytest.skip(str(error))


@functools.cache
def imports_of(path):
    """Return the modules that a file imports, wherever in it; of "from a import b" both a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


PACKAGE = Path(snntorch_binary.__file__).parent


@pytest.mark.slow
@pytest.mark.parametrize(
    ("room", "may"),
    [
        ("experiments", ("experiments", "commands", "cli.py")),  # the library knows nothing of experiments
        ("federated/flower", ("federated/flower", "experiments")),  # an adapter
        ("commands", ("commands", "cli.py")),
    ],
)
def test_who_imports_a_room(room, may):
    name = f"snntorch_binary.{room.replace('/', '.')}"
    files = [path for path in PACKAGE.rglob("*.py") if not str(path.relative_to(PACKAGE)).startswith(may)]
    assert len(files) > 100
    for path in files:
        inside = {module for module in imports_of(path) if module == name or module.startswith(f"{name}.")}
        assert not inside, f"{path.relative_to(PACKAGE)} imports {sorted(inside)}"
