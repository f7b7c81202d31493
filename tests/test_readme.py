"""README and guide keep their word: their Python runs, their diffs apply, their commands exist, as .ci/run has them."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest
import torch

import snntorch_binary
from snntorch_binary.weights import binary_layers

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
GUIDE = re.findall(r"^   (guide/\w+)$", (ROOT / "docs" / "index.rst").read_text(), re.MULTILINE)
PAGES = [README, *(ROOT / "docs" / f"{page}.md" for page in GUIDE)]


def blocks(page):
    """Return the language and the code of each block of a page."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


BLOCKS = [block for page in PAGES for block in blocks(page)]
PYTHON = [code for language, code in BLOCKS if language == "python"]
DIFFS = list(dict.fromkeys(code for language, code in BLOCKS if language == "diff"))
COMMANDS = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]
USES = [command for command in COMMANDS if command.startswith("snntorch-binary ")]
INSTALLS = [line for language, code in blocks(README) if language == "sh" for line in code.splitlines()]
OPTIONAL = ("norse", "spikingjelly")  # blocks that name one of these are left out where it is not installed
SCRIPT = next(code for code in PYTHON if code.startswith("# train.py"))

# Lightning's advice about DataLoader workers, log intervals and TensorBoard, and a deprecated call of its own.
ADVICE = pytest.mark.filterwarnings(
    "ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning",
    "ignore:Starting from v1.9.0, `tensorboardX` has been removed:UserWarning",
    "ignore:.*LeafSpec.* is deprecated:FutureWarning",
)


SHORTER = {"range(20)": "range(6)", "20 * len(": "6 * len(", "max_epochs=20": "max_epochs=6"}
"""Of the 20 epochs of the guide's script, six show that it learns."""


def execute(code, name, namespace):
    for shown, run in SHORTER.items():
        code = code.replace(shown, run)
    exec(compile(code, name, "exec"), namespace)
    return namespace


def patched(diff):
    """Return the script after one of the diffs, each of whose kept and removed lines must be there."""
    lines, position = SCRIPT.splitlines(), 1
    for change in diff.splitlines():
        sign, text = change[:1], change[1:]
        if sign == "+":
            lines.insert(position, text)
            position += 1
            continue
        position = lines.index(text, position)
        if sign == "-":
            del lines[position]
        else:
            position += 1
    return "\n".join(lines)


def test_python_runs_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for number, code in enumerate(PYTHON):
        if any(library in code and importlib.util.find_spec(library) is None for library in OPTIONAL):
            continue
        execute(code, f"Python block {number}", namespace)
    prediction, labels = namespace["prediction"], namespace["y_test"]
    for probabilities in (prediction.probs, prediction.mode_probs):
        assert 0.85 < (probabilities.argmax(-1) == labels).float().mean() < 1
    assert (tmp_path / "reliability.png").stat().st_size > 0


@ADVICE
@pytest.mark.parametrize("diff", DIFFS, ids=["st", "bayes", "lightning"])
def test_diff_applies_and_the_script_learns_with_binary_weights(diff, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    namespace = execute(patched(diff), "train.py", {})
    net = namespace["net"].eval()
    assert set(binary_layers(net)) == {"fc1", "fc2"}
    images, labels = namespace["test_set"].tensors
    with torch.no_grad():
        correct = net(images)[1].mean(0).argmax(-1) == labels
    assert correct.float().mean() > 0.85  # ten classes


@pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="a source distribution has no .ci")
def test_ci_executes_the_commands_for_installation():
    listed = subprocess.run([ROOT / ".ci" / "run", "--list"], capture_output=True, text=True, check=True)
    assert listed.stdout.splitlines() == [command for command in INSTALLS if command.startswith("pip ")]


@pytest.mark.parametrize("command", USES)
def test_options_and_names_of_commands_exist(command, capsys):
    from snntorch_binary.cli import main

    words = command.split()[1:]
    with pytest.raises(SystemExit) as exit_:
        main([words[0], "--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert [word for word in words[1:] if word.startswith("--") and word not in text] == []
    name = words[2] if words[1] == "--config" else words[1]
    assert name in text


def test_every_page_of_the_guide_is_on_the_site():
    assert {page.name for page in PAGES[1:]} == {page.name for page in (ROOT / "docs" / "guide").iterdir()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())
    there = [page.parent / link.partition("#")[0] for link in links if "://" not in link]
    # The site shows the notebooks below its own folder.
    there = [ROOT / "tutorials" / link.name if link.suffix == ".ipynb" else link for link in there]
    assert [link for link in there if not link.exists()] == []


def test_the_citation_is_of_this_version():
    cited = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {snntorch_binary.__version__}\n" in cited
    released = re.search(r"^date-released: (\S+)$", cited, re.MULTILINE)[1]
    assert f"## {snntorch_binary.__version__} - {released}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_front_door_is_short():
    assert len(README.read_text().splitlines()) <= 200
    assert README.stat().st_size <= 10_000
