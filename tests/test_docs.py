"""Every public name of every part has its place on the reference site."""

import ast
import re
import subprocess
from pathlib import Path
from shutil import which

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "snntorch_binary"
REFERENCE = ROOT / "docs" / "reference"


AT_THE_TOP = {".ci", ".gitignore", "CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "docs", "pyproject.toml"}
AT_THE_TOP |= {"snntorch_binary", "tests", "tutorials"}


@pytest.mark.skipif(not (ROOT / ".git").exists() or which("git") is None, reason="no repository")
def test_nothing_else_stands_at_the_top():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip(f"git does not read it: {listed.stderr}")  # such as that of another user
    assert {name.partition("/")[0] for name in listed.stdout.split("\0") if name} == AT_THE_TOP


def public_names(init):
    """Return what an `__init__` exports, as the house writes it: ``from snntorch_binary... import name as name``."""
    imports = [node for node in ast.walk(ast.parse(init.read_text())) if isinstance(node, ast.ImportFrom)]
    own = [node for node in imports if node.module.startswith("snntorch_binary")]
    names = {alias.name for node in own for alias in node.names if alias.asname == alias.name}
    return {name for name in names if not (PACKAGE / name).is_dir()}


def documented(page):
    """Return the names a page documents."""
    return set(re.findall(r"^\.\. (?:autoclass|autofunction|py:data):: (\S+)$", page.read_text(), re.MULTILINE))


PARTS = sorted(init.parent.name for init in PACKAGE.glob("*/__init__.py") if public_names(init))
TOP = public_names(PACKAGE / "__init__.py")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_has_a_page_with_all_its_names(part):
    page, names = REFERENCE / f"{part}.rst", public_names(PACKAGE / part / "__init__.py")
    assert f".. automodule:: snntorch_binary.{part}\n" in page.read_text()
    there = documented(page)
    # What `import snntorch_binary as sb` gives is shown under that shorter name.
    short = {name for name in names & TOP if f"snntorch_binary.{name}" in there}
    assert {f"snntorch_binary.{part}.{name}" for name in names - short} - there == set()


def test_every_tutorial_is_shown_with_a_picture_and_words_for_it():
    page = (ROOT / "docs" / "tutorials.rst").read_text()
    names = sorted(path.stem for path in (ROOT / "tutorials").glob("*.ipynb"))
    assert re.findall(r"^   tutorials/(\w+)$", page, re.MULTILINE) == names
    assert re.findall(r"^:doc:`.+ <tutorials/(\w+)>`$", page, re.MULTILINE) == names
    pictures = re.findall(r"image:: drawn/tutorial-(\d\d)\.\w+\n {6}:alt: \w+", page)
    assert pictures == [name[:2] for name in names]


def test_every_picture_has_words_for_it():
    pages = [*(ROOT / "docs").glob("*.rst"), *(ROOT / "docs").glob("*/*.rst"), *(ROOT / "docs").glob("guide/*.md")]
    text = "\n".join(page.read_text() for page in [ROOT / "README.md", *pages])
    assert re.findall(r"!\[\s*\]", text) == []
    assert text.count(".. image::") == len(re.findall(r"\.\. image:: \S+\n +:alt: \S", text))


def test_the_first_page_lists_what_the_import_gives():
    page = REFERENCE / "snntorch_binary.rst"
    listed = re.findall(r"^   (\w+)$", page.read_text().split(".. autosummary::")[1], re.MULTILINE)
    assert set(listed) == TOP
    everywhere = set().union(*map(documented, REFERENCE.glob("*.rst")))
    assert {f"snntorch_binary.{name}" for name in TOP} <= everywhere
