"""A comparison that is continued over damaged files names them, and ends with the unbroken one's results."""

import shutil

import pytest
import torch

from snntorch_binary.cli import main

ARGUMENTS = ["compare", "digits", "--rules", "st,bayes", "--seeds", "0", "--epochs", "2", "--limit-per-class", "2"]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    out = tmp_path_factory.mktemp("compare") / "out"
    assert main([*ARGUMENTS, "--out", str(out)]) == 0
    return out


def contents(out, rule):
    found = torch.load(out / "runs" / f"{rule}-seed0" / "predictions.pt", weights_only=True)
    return {
        **found.pop("probabilities"),
        **{f"validation {name}": answer for name, answer in found["validation_answers"].items()},
        "labels": found["labels"],
    }


def changed(path):
    content = path.read_bytes()
    place = content.index(b"data/0") + len(content) // 3
    return content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :]


@pytest.mark.parametrize("name", ["predictions.pt", "last.ckpt"])
@pytest.mark.parametrize("how", ["a changed byte", "cut off", "text", "empty", "of another rule"])
def test_a_damaged_file_is_said_and_made_anew(name, how, unbroken, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(unbroken, out)
    path = out / "runs" / "bayes-seed0" / name
    whole = path.read_bytes()
    other = (out / "runs" / "st-seed0" / name).read_bytes()
    damage = {"a changed byte": changed(path), "cut off": whole[:-200], "text": b"text", "empty": b""}
    path.write_bytes(damage.get(how, other))
    capsys.readouterr()
    assert main([*ARGUMENTS, "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert f"{path} is damaged or of another run: it is made anew." in printed.out
    for rule in ("st", "bayes"):
        before, after = contents(unbroken, rule), contents(out, rule)
        assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_the_runs_of_another_folder_are_not_taken(unbroken, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(unbroken, out)
    shutil.rmtree(out / "runs" / "bayes-seed0")
    shutil.copytree(out / "runs" / "st-seed0", out / "runs" / "bayes-seed0")
    assert main([*ARGUMENTS, "--out", str(out)]) == 0
    assert "record.json is of another run: the files beside it are made anew." in capsys.readouterr().out
    assert all(torch.equal(value, contents(out, "bayes")[key]) for key, value in contents(unbroken, "bayes").items())
