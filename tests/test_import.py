"""`import snntorch_binary` costs torch and nothing else."""

import importlib
import pkgutil
import subprocess
import sys

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
