import io

import pytest
from rich.console import Console

from snntorch_binary.metrics import Difference, differences_table, results_table


def row(**changed):
    return {
        "dataset": "digits", "rule": "full-precision", "credit": "through-time", "prediction": "single",
        "seed": 0, "accuracy": 0.97, "ece": 0.012, "nll": 0.1, "brier": 0.05, "bits_per_weight": 32.0,
        "train_seconds": 30.0, "epochs": 20, **changed,
    }  # fmt: skip


def rendered(table, width=80):
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    return file.getvalue()


def test_mean_and_sample_standard_deviation_over_seeds():
    rows = [row(seed=seed, accuracy=accuracy) for seed, accuracy in enumerate((0.96, 0.97, 0.98))]
    text = rendered(results_table(rows))
    lines = [line.split() for line in text.splitlines()]
    assert ["full-precision", "32", "97.00", "1.20", "0.100", "0.050", "30", "s"] in lines
    assert ["±1.00", "±0.00", "±0.000", "±0.000"] in lines
    assert "mean over 3 seeds; ± their sample standard deviation" in text


def test_scores_of_a_regression():
    rows = [
        row(dataset="regression-1d", rmse=0.0312, coverage=coverage, seed=s) for s, coverage in enumerate((0.9, 1.0))
    ]
    for of_seed in rows:
        del of_seed["accuracy"], of_seed["ece"], of_seed["brier"]
    text = rendered(results_table(rows))
    assert ["full-precision", "32", "0.0312", "0.100", "95.0", "30", "s"] in [
        line.split() for line in text.splitlines()
    ]
    assert "accuracy" not in text
    assert "±7.1" in text
    text = rendered(differences_table({"a - b": {"coverage": Difference(0.1, 0.05, 0.15)}}))
    assert "+10.0 differs" in text


def test_a_single_seed_has_no_spread():
    text = rendered(results_table([row()]))
    assert "±" not in text
    assert "one seed" in text


def test_an_interval_takes_the_place_of_the_standard_deviation():
    intervals = {"bayes ensemble": {"nll": Difference(0.1, 0.0801, 0.1249), "brier": Difference(0.05, 0.04, 0.06)}}
    rows = [row(rule="bayes", prediction="ensemble", seed=seed) for seed in range(3)]
    text = rendered(results_table([*rows, row(rule="st", seed=0), row(rule="st", seed=1)], intervals))
    assert "0.080..0.125" in text
    assert "0.040..0.060" in text
    assert text.count("±0.000") == 2  # NLL and Brier of st
    assert "95 % bootstrap interval" in text
    assert max(map(len, text.splitlines())) <= 80


def test_an_interrupted_run_says_how_many_seeds_there_are():
    text = rendered(results_table([row(), row(seed=1), row(rule="st")]))
    assert "mean over 1 to 2 seeds" in text


def test_everything_fits_into_80_columns_in_order_of_appearance():
    rows = [
        row(
            seed=seed,
            rule=rule,
            prediction=prediction,
            accuracy=1.0,
            ece=0.1 * (seed + 1),
            train_seconds=7000.0,
        )
        for seed in range(3)
        for rule, prediction in (
            ("full-precision", "single"),
            ("full-precision + temperature", "single"),
            ("st", "single"),
            ("bayes", "mode"),
            ("bayes", "ensemble"),
        )
    ]
    text = rendered(results_table(rows))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert text.count("100.00") == 5
    assert text.count("20.00") == 5
    assert text.count("±10.00") == 5
    assert text.count("1.9 h") == 5
    assert text.index("temperature") < text.index("st   ") < text.index("mode") < text.index("ensemble")


def test_rows_of_different_credit_assignment_are_not_averaged():
    table = results_table([row(), row(credit="local", accuracy=0.5)])
    text = rendered(table, width=120)
    assert table.row_count == 2
    assert "full-precision, local" in text
    assert "50.00" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99.4, "99 s"), (99.6, "2 min"), (5900, "98 min"), (6000, "1.7 h")]
)
def test_training_time(seconds, text):
    assert text in rendered(results_table([row(train_seconds=seconds)]))


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "`rows` to be at least one result, but got none"),
        ([{"dataset": "digits"}], "`rows` to be dictionaries with the key 'rule'"),
        ([row(), {k: v for k, v in row(seed=1).items() if k != "nll"}], "with the key 'nll'"),
        ([row(), row()], "one row for each seed, but got seed 0 twice for full-precision, single"),
        ([row(), row(dataset="mnist", seed=1)], "of one dataset, but got digits, mnist"),
    ],
)
def test_bad_rows(rows, sentence):
    with pytest.raises(ValueError, match=sentence):
        results_table(rows)


DIFFERENCES = {
    "bayes ensemble - full precision + temperature": {
        "accuracy": Difference(-0.002, -0.0052, 0.0012),
        "ece": Difference(-0.01, -0.014, -0.006),
        "nll": Difference(0.03, 0.02, 0.04),
        "brier": Difference(-0.000001, -0.000002, -0.0000001),
    }
}


def test_differences_and_a_tie_called_a_tie():
    text = rendered(differences_table(DIFFERENCES))
    for cell in ("-0.20 tie", "-1.00 better", "+0.030 worse", "+0.000 better"):
        assert cell in text
    for interval in ("-0.52..+0.12", "-1.40..-0.60", "+0.020..+0.040"):
        assert interval in text
    assert "-0.000" not in text
    assert "95 % interval" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(("sign", "verdict"), [(1, "better"), (-1, "worse")])
def test_more_accuracy_is_better(sign, verdict):
    difference = Difference(*sorted([sign * 0.02, sign * 0.01, sign * 0.03]))
    assert verdict in rendered(differences_table({"a - b": {"accuracy": difference}}))


def test_brackets_in_a_label_are_not_markup():
    text = rendered(differences_table({"a [bold] - b": next(iter(DIFFERENCES.values()))}, 0.9), 120)
    assert "a [bold]" in text
    assert "- b" in text
    assert "90 % interval" in text


def test_bad_differences():
    with pytest.raises(ValueError, match="at least one comparison"):
        differences_table({})
    with pytest.raises(ValueError, match="of accuracy, ece, rmse, nll, brier, coverage, but got 'f1'"):
        differences_table({"a - b": {"f1": Difference(0, 0, 0)}})
    zero = Difference(0, 0, 0)
    with pytest.raises(ValueError, match="of the same scores in each comparison"):
        differences_table({"a - b": {"nll": zero}, "a - c": {"ece": zero}})


def fair_rows():
    return [
        row(rule="st", bits_per_weight=bits, trainings=trainings, scaled=scaled, seed=seed)
        for bits, trainings, seeds in ((1.0, 1, (0, 1, 2)), (3.0, 3, (None,)))
        for scaled in (False, True)
        for seed in seeds
    ]


def test_networks_together_and_scaled_ones_are_lines_of_their_own():
    table = results_table(fair_rows())
    text = rendered(table)
    assert table.row_count == 4
    lines = [line.split() for line in text.splitlines()]
    assert ["st", "x", "3,", "scaled", "3", "3", "97.00", "1.20", "0.100", "0.050", "30", "s"] in lines
    assert ["st,", "scaled", "1", "1", "97.00", "1.20", "0.100", "0.050", "30", "s"] in lines
    assert text.count("±0.00 ") == 4  # accuracy and ECE of the two lines over seeds
    assert "mean over 3 seeds" in text  # not "1 to 3"
    assert "x 3: the networks of all seeds together" in text
    assert "temperature fitted on validation data" in text


def test_intervals_and_costs_fit_into_80_columns():
    wide = {"nll": Difference(0.1, 0.0801, 0.1249), "brier": Difference(0.05, 0.04, 0.06)}
    names = [("st", "single", 3, True), ("full-precision", "single", 3, True), ("bayes", "ensemble", 1, False)]
    rows = [
        row(rule=rule, prediction=prediction, trainings=trainings, scaled=scaled, seed=None if trainings == 3 else 0)
        for rule, prediction, trainings, scaled in names
    ]
    labels = ["st x 3, scaled", "full-precision x 3, scaled", "bayes ensemble"]
    text = rendered(results_table(rows, dict.fromkeys(labels, wide)))
    assert text.count("0.080..0.125") == 3
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_without_costs_there_is_no_column_of_them():
    assert "ings" not in rendered(results_table([row()]))
    assert "scaled" not in rendered(results_table([row()]))


def test_a_note_below_differences_and_what_stands_in_brackets():
    pair = "bayes ensemble - st x 3, scaled (at its bits)"
    text = rendered(differences_table({pair: next(iter(DIFFERENCES.values()))}, note="a note"))
    lines = [line.strip() for line in text.splitlines()]
    assert lines[-1] == "a note"
    assert "(at its bits)" in lines
    assert any(line.startswith("- st x 3, scaled ") for line in lines)
