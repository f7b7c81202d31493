"""numba looks at a kernel's own file only when it decides whether what it has on disk is still the kernel."""

import hashlib
import importlib
from pathlib import Path

import pytest

import snntorch_binary.kernels

FOLDER = Path(snntorch_binary.kernels.__file__).parent / "compiled"
SHARED = [path for path in FOLDER.glob("*.py") if "@announced" not in path.read_text() and path.stem != "__init__"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_kernels_say_the_digest_of_what_they_are_compiled_with(path):
    text = path.read_text()
    for shared in SHARED:
        # A shared file says it of what it shares, so that its own digest moves along.
        if f"compiled.{shared.stem} import" in text:
            digest = hashlib.sha256(shared.read_bytes()).hexdigest()[:8]
            assert f"# {shared.name}: {digest}" in text, f"put the comment `# {shared.name}: {digest}` into {path.name}"


def test_functions_of_several_widths_have_names_of_their_own():
    """Numba numbers functions of one name by process: kernels kept on disk by two would take each other's."""
    pytest.importorskip("numba")
    names = {}
    for path in sorted(FOLDER.glob("[!_]*.py")):
        for function in _compiled_in(importlib.import_module(f"snntorch_binary.kernels.compiled.{path.stem}")):
            names.setdefault((function.__module__, function.__qualname__), set()).add(id(function))
    assert any(name.endswith("add_8") for _, name in names)
    assert [name for name, functions in names.items() if len(functions) > 1] == []


def _compiled_in(module):
    """Yield the functions that numba compiles of a module's, and those that they are closed over."""
    waiting = [value for value in vars(module).values() if hasattr(getattr(value, "kernel", value), "py_func")]
    while waiting:
        function = getattr(waiting[-1], "kernel", waiting[-1]).py_func
        waiting.pop()
        yield function
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        waiting += [value for value in cells if hasattr(value, "py_func")]
