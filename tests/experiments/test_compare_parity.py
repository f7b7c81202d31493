"""`compare two-moons --paper-exact`: the published arithmetic beside the reference's learning curves."""

import json
from dataclasses import replace

from snntorch_binary.cli import main
from snntorch_binary.data import load
from snntorch_binary.experiments.compare import parity
from snntorch_binary.experiments.compare.parity import REFERENCE


def with_a_smaller_test_part(name):
    """The validation part instead of a test part that is five times as large."""
    splits = load(name)
    return replace(splits, test=splits.validation)


def test_parity_trains_with_the_published_constants(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(parity, "load", with_a_smaller_test_part)
    arguments = ["--paper-exact", "--epochs", "1", "--seeds", "0", "--out", str(tmp_path)]
    assert main(["compare", "two-moons", *arguments]) == 0
    rows = json.loads((tmp_path / "parity.json").read_text())
    assert [(row["rule"], row["prediction"], row["score"]) for row in rows] == [
        (*key, score) for key in REFERENCE for score in ("accuracy", "ece")
    ]
    for row in rows:  # one seed of the first epoch is already near the reference's three
        assert row["reference"] == [
            point[row["score"] == "ece"] for point in REFERENCE[row["rule"], row["prediction"]][1]
        ]
        assert abs(row["ours"][0] - sum(row["reference"]) / 3) < 0.15
    assert "published arithmetic" in capsys.readouterr().out
    assert main(["compare", "digits", "--paper-exact", "--out", str(tmp_path)]) == 1
    assert "two-moons, whose reference is known" in capsys.readouterr().err
