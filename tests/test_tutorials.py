"""Every notebook runs from top to bottom, in smoke mode, and the stored one shows what it says it shows."""

import importlib.util
import re
from pathlib import Path

import commands
import nbformat
import pytest
from jupyter_client.provisioning import local_provisioner
from nbclient import NotebookClient

TUTORIALS = Path(__file__).parent.parent / "tutorials"
NOTEBOOKS = sorted(TUTORIALS.glob("*.ipynb"))
NEED_NORSE = ("08_deploy",)
NEED_RAY = ("12_population_based_training",)
NEED_RECORDINGS = ("03_events_with_tonic", "09_winner_take_all")  # the first would else download about a gigabyte


def outputs(cell):
    return [output.output_type for output in cell.get("outputs", [])]


def kernel(command, cwd, env, **_):
    """Return a kernel that need not import; the command begins with Python's own name."""
    return commands.Command(command[1:], cwd, env)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def test_runs(notebook, request, tmp_path, monkeypatch):
    if request.node.callspec.id in NEED_RECORDINGS:
        request.getfixturevalue("real_data")
    if request.node.callspec.id in NEED_NORSE and importlib.util.find_spec("norse") is None:
        pytest.skip("Norse is not installed")
    if request.node.callspec.id in NEED_RAY and importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    monkeypatch.setenv("SNNTORCH_BINARY_SMOKE", "1")
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    monkeypatch.setattr(local_provisioner, "launch_kernel", kernel)
    in_scratch = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=in_scratch).execute()
    warned = [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and re.search(r"\w*Warning: ", output.text)
    ]
    assert warned == []


def test_is_stored_executed_in_order_without_errors(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all("error" not in outputs(cell) for cell in cells)


def test_is_small_enough_for_a_clone():
    assert NOTEBOOKS
    assert max(path.stat().st_size for path in NOTEBOOKS) < 300_000
