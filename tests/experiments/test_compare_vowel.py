"""Winner-take-all networks and VOWEL in `compare`, also at several sizes."""

import json

import pytest

from snntorch_binary.cli import main


@pytest.mark.drawn
def test_compare_at_several_sizes(tmp_path, capsys):
    command = ["compare", "digits", "--rules", "vowel-binary,bayes", "--epochs", "1", "--limit-per-class", "5"]
    command += ["--seeds", "0,1", "--hidden", "0,3", "--out", str(tmp_path)]
    assert main(command) == 0
    rows = json.loads((tmp_path / "results.json").read_text())
    keys = [
        (row["rule"], row["prediction"], row["credit"], row["hidden"], row["bits_per_weight"])
        for row in rows
        if row["seed"] == 0 and not row["scaled"]
    ]
    assert keys == [
        (*line, size, bits)
        for size in (0, 3)
        for *line, bits in (
            ("bayes", "mode", "through-time", 1.0),
            ("bayes", "draw", "through-time", 1.0),
            ("bayes", "ensemble", "through-time", 10.0),
            ("vowel-binary", "single", "online", 32.0),
            ("vowel-binary", "ensemble", "online", 32.0),
        )
    ]
    assert (tmp_path / "sizes.png").stat().st_size > 1000
    assert (tmp_path / "hidden-3" / "runs" / "vowel-binary-seed1" / "last.ckpt").exists()
    assert "vowel-binary ensemble" in capsys.readouterr().out
    # One size alone reuses nothing of it and shows what circuits emit.
    command[command.index("0,3")], command[-1] = "3", str(tmp_path / "alone")
    assert main(command) == 0
    assert (tmp_path / "alone" / "symbols.png").exists()
    # What bayes learned in another comparison is not mixed with this one.
    command[command.index("3")] = "4"
    assert main(command) == 1
    assert "rules.bayes.network.init_args.hidden_sizes" in capsys.readouterr().err


def test_compare_signs_with_and_without(real_data, tmp_path):
    command = ["compare", "nmnist", "--data-dir", real_data, "--classes", "6,9", "--limit-per-class", "20"]
    command += ["--rules", "vowel-wta,vowel-binary", "--epochs", "1", "--seeds", "0", "--hidden", "2"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "results.json").read_text())
    assert [row["rule"] for row in rows if not row["scaled"]] == 2 * ["vowel-wta"] + 2 * ["vowel-binary"]
    assert "vowel-wta ensemble - vowel-binary ensemble" in json.loads((tmp_path / "differences.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digits", "--rules", "vowel-wta"], "`--rules` to be rules that one of the experiments digits, "),
        (["digits", "--rules", "vowel-binary", "--credit", "local"], "has with --credit local, but got vowel-binary"),
        (["regression-1d", "--rules", "vowel-binary"], "experiments regression-1d, regression-1d-local has"),
        (["digits", "--hidden", "-1"], "`--hidden` to be integers of at least 0, but got -1"),
        (["digits", "--hidden", "4,4"], "`--hidden` to be different integers"),
        (["regression-1d", "--hidden", "2,4"], "`--hidden` to be a single size for a regression, but got (2, 4)"),
        (["digits-softlif", "--hidden", "4"], "`--hidden` to be left out for snntorch_binary.models.SoftLIFConvNet"),
    ],
)
def test_what_cannot_be_compared(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *arguments]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
