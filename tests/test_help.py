"""Help fits a screen, its examples are commands that there are, and messages name pages that there are."""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import snntorch_binary
from snntorch_binary._errors import MODULES, MissingPackageError, require_extras
from snntorch_binary.cli import _LIGHTNING_COMMANDS, _parser, main

ROOT = Path(__file__).parent.parent
OWN = ("compare", "evaluate", "export", "federate", "predict", "summary", "tune")
COMMANDS = (*OWN, *_LIGHTNING_COMMANDS)


def help_of(capsys, *command):
    with pytest.raises(SystemExit) as exit_:
        main([*command, "--help"])
    assert exit_.value.code == 0
    return capsys.readouterr().out


def examples(text):
    """Return the commands in a help, each as words: lines of their own, or what follows "Example:"."""
    inline = re.findall(r"snntorch-binary (\w+ --config [\w-]+)", " ".join(text.partition("Example:")[2].split()))
    listed = re.findall(r"^ {2}snntorch-binary (.+?)(?: {3,}.*)?$", text, re.MULTILINE)
    return [shlex.split(example) for example in (*inline, *listed)]


def test_the_help_fits_a_screen_and_lists_all_commands(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = help_of(capsys).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    listed = {line.split()[0] for line in lines if re.match(r" {4}\w", line)}
    assert listed == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_has_examples_that_can_be_read(command, capsys):
    from snntorch_binary.experiments.config import shipped
    from snntorch_binary.experiments.fit.command import shipped_configs

    found = examples(help_of(capsys, command))
    assert any(words[0] == command for words in found)
    known = {*shipped(), "split-mnist"}
    for folder in ("federate", "fl_snn", "tune"):
        known |= set(shipped(ROOT / "snntorch_binary" / "experiments" / folder / "configs"))
    for words in found:
        if words[0] in _LIGHTNING_COMMANDS:
            config = words[words.index("--config") + 1]
            assert config in shipped_configs() or config.endswith(".yaml")
            continue
        options = _parser().parse_args(words, argparse.Namespace(arguments=words))
        assert options.command == words[0]
        named = {"compare": "name", "federate": "config", "tune": "config"}.get(words[0])
        assert named is None or getattr(options, named) in {None, *known}


def test_a_command_names_all_extras_that_it_misses_at_once(monkeypatch):
    for module in ("matplotlib", "ray.tune", "flwr"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackageError, match=r"^matplotlib is not .*'snntorch-binary\[lightning,tune\]'`\.$"):
        require_extras("lightning", "tune")
    with pytest.raises(MissingPackageError, match=r"'snntorch-binary\[lightning,federated\]'`\.$"):
        require_extras("lightning", also=("federated",))
    with pytest.raises(MissingPackageError, match=r"^flwr is not .*'snntorch-binary\[federated\]'`\.$"):
        require_extras("federated")


def test_an_extra_that_is_only_named_is_not_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "flwr", None)
    require_extras("lightning", also=("federated",))


def test_extras_are_those_of_the_package():
    declared = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
    assert set(MODULES) <= set(re.findall(r"^(\w+) = \[", declared, re.MULTILINE))


def test_pages_that_messages_name_are_there():
    package = Path(snntorch_binary.__file__).parent
    code = "".join(path.read_text(encoding="utf8") for path in package.rglob("*.py"))
    pages = set(re.findall(r"docs/[\w/]+\.(?:md|rst)", code))
    assert pages
    assert [page for page in pages if not (ROOT / page).is_file()] == []


@pytest.mark.slow
def test_help_needs_no_optional_package():
    program = f"""
import sys
for name in ("matplotlib", "rich", "lightning", "torchmetrics", "numba"):
    sys.modules[name] = None
from snntorch_binary.cli import main
for command in {OWN!r}:
    try:
        main([command, "--help"])
    except SystemExit as exit:
        assert exit.code == 0
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
