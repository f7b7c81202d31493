"""Local and online credit in `compare`, answers before the end, and regression."""

import json
import math

import pytest
import torch
from matplotlib.image import imread

from snntorch_binary.cli import main
from snntorch_binary.experiments.compare import surface


def lines_of(folder, name="results.json"):
    return json.loads((folder / name).read_text())


@pytest.mark.drawn
@pytest.mark.parametrize("credit", ["local", "online"])
def test_compare_two_moons(credit, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(surface, "_RESOLUTION", 12)  # the picture of a paper takes minutes
    arguments = ["--epochs", "1", "--limit-per-class", "20", "--seeds", "0", "--credit", credit, "--anytime"]
    arguments += ["--hidden", "16"]
    assert main(["compare", "two-moons", *arguments, "--out", str(tmp_path)]) == 0
    rows = lines_of(tmp_path)
    assert {row["credit"] for row in rows} == {credit}
    assert imread(tmp_path / "surface.png").shape[1] > 500
    assert imread(tmp_path / "anytime.png").shape[1] > 500
    last = {
        (row["rule"], row["prediction"]): row["accuracy"]
        for row in lines_of(tmp_path, "anytime.json")
        if row["steps"] == 90 and "threshold" not in row
    }
    # After the last time step the answer is the answer.
    assert last == {(r["rule"], r["prediction"]): r["accuracy"] for r in rows if not r["scaled"]}
    assert "answers before the end" in capsys.readouterr().out
    assert main(["compare", "two-moons", "--epochs", "1", "--limit-per-class", "20", "--out", str(tmp_path)]) == 1
    assert "other settings" in capsys.readouterr().err


@pytest.mark.drawn
@pytest.mark.parametrize("credit", ["through-time", "online"])
def test_compare_regression(credit, tmp_path, capsys):
    arguments = ["--epochs", "1", "--seeds", "0,1", "--credit", credit, "--hidden", "48"]
    assert main(["compare", "regression-1d", *arguments, "--out", str(tmp_path)]) == 0
    rows = lines_of(tmp_path)
    lines = {(row["rule"], row["prediction"], row["seed"], row["where"]) for row in rows}
    assert len(lines) == len(rows) == (5 * 2 + 2) * 2
    assert {(row["rule"], row["bits_per_weight"]) for row in rows if row["trainings"] == 2} == {
        ("full-precision", 64),
        ("st", 2),
    }
    for row in rows:
        assert row["rmse"] > 0
        assert 0 <= row["coverage"] <= 1
        assert math.isfinite(row["nll"])
        assert (row["spread"] > 0) == (row["prediction"] == "ensemble" or row["trainings"] == 2)
    assert imread(tmp_path / "predictive.png").shape[1] > 500
    done = [torch.load(tmp_path / f"runs/st-seed{seed}/predictions.pt", weights_only=True) for seed in (0, 1)]
    error = sum(run["probabilities"]["single"][:, 0] for run in done) / 2 - done[0]["labels"]
    squares = [row["rmse"] ** 2 for row in rows if (row["rule"], row["trainings"]) == ("st", 2)]
    assert sum(squares) / 2 == pytest.approx(float(error.double().square().mean()), rel=1e-5)
    text = capsys.readouterr().out
    assert "coverage" in text
    assert "st x 2" in text
    assert "…" not in text  # all columns fit


def test_regression_rmse_is_what_the_answers_say(tmp_path):
    assert (
        main(["compare", "regression-1d", "--epochs", "1", "--seeds", "0", "--rules", "st", "--out", str(tmp_path)])
        == 0
    )
    done = torch.load(tmp_path / "runs/st-seed0/predictions.pt", weights_only=True)
    error = (done["probabilities"]["single"][:, 0] - done["labels"]).double().square()
    squares = {row["where"]: row["rmse"] ** 2 for row in lines_of(tmp_path)}
    assert squares["inside"] / 2 + squares["outside"] / 2 == pytest.approx(float(error.mean()), rel=1e-5)
