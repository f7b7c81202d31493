"""Every notebook runs from top to bottom, in smoke mode, and the stored one shows what it says it shows."""

import ast
import importlib.util
import re
import subprocess
import sys
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
# The first would else download about a gigabyte.
NEED_RECORDINGS = ("03_events_with_tonic", "09_winner_take_all", "14_to_a_microcontroller")


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


def imports(path):
    """The statements by which a notebook imports, and says which warnings of theirs it does not want."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            for node in ast.parse(cell.source).body:
                text = ast.unparse(node)
                if isinstance(node, ast.Import | ast.ImportFrom) or text.startswith("warnings.filterwarnings("):
                    yield text


def test_imports_warn_of_nothing():
    """In a fresh interpreter: what a kernel of these tests imports has been imported before."""
    names = {**dict.fromkeys(NEED_NORSE, "norse"), **dict.fromkeys(NEED_RAY, "ray")}
    there = [path for path in NOTEBOOKS if importlib.util.find_spec(names.get(path.stem, "torch"))]
    program = "\n".join(text for path in there for text in imports(path))
    assert program.count("import") > 50
    done = subprocess.run([sys.executable, "-W", "default", "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_is_stored_executed_in_order_without_errors(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all("error" not in outputs(cell) for cell in cells)


def test_is_small_enough_for_a_clone():
    assert NOTEBOOKS
    assert max(path.stat().st_size for path in NOTEBOOKS) < 300_000
