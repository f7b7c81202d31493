"""`compare --shift`: trained networks answer a degraded test part."""

import io
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from matplotlib.image import imread
from rich.console import Console

from snntorch_binary.cli import main
from snntorch_binary.data import RateEncoder, SpikeDataset
from snntorch_binary.data.corruptions import CORRUPTIONS, dead_pixels, gaussian_noise
from snntorch_binary.data.dataset import keyed_generator
from snntorch_binary.experiments import compare
from snntorch_binary.experiments.compare.comparison import files_of
from snntorch_binary.experiments.compare.predictors import Predictor
from snntorch_binary.experiments.compare.shift import check_shift, inputs, report_shift
from snntorch_binary.experiments.compare.shift.answers import answer_all, answer_under, kept
from snntorch_binary.experiments.compare.shift.inputs import DegradedTest, chosen, with_one_symbol
from snntorch_binary.experiments.compare.shift.report import _panel
from snntorch_binary.experiments.compare.shift.rows import Scored, leads, score
from snntorch_binary.experiments.data import ShippedData
from snntorch_binary.lightning.spiking_module import SpikingModule
from snntorch_binary.metrics import apply_temperature, evaluate, fit_temperature
from snntorch_binary.models import SpikingMLP

DIGITS = ShippedData("digits")


def small(input_size, seed=0):
    return SpikingMLP(input_size, [16], 10)


def carry_out(out, shift=("dead_pixels", "gaussian_noise"), **settings):
    console = Console(record=True, width=80)
    data = {"name": "digits", "limit_per_class": 12}
    settings = {"epochs": 2, "seeds": (0, 1), **settings}
    found = compare(
        small, data, ["st", {"bayes": {"num_members": 2}}], out=out, shift=shift, console=console, **settings
    )
    return found, console.export_text(), json.loads((out / "shift.json").read_text())


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return carry_out(tmp_path_factory.mktemp("shift"))


def rows_of(values, **wanted):
    return [row for row in values["rows"] if all(row[name] == value for name, value in wanted.items())]


class TestRows:
    def test_one_for_each_corruption_strength_prediction_and_seed(self, done):
        _, _, values = done
        places = [
            ("none", 0.0),
            *((name, s) for name in ("dead_pixels", "gaussian_noise") for s in CORRUPTIONS[name].strengths),
        ]
        for corruption, strength in places:
            found = rows_of(values, corruption=corruption, strength=strength)
            who = [(row["rule"], row["prediction"], row["trainings"], row["scaled"], row["seed"]) for row in found]
            alone = [("st", "single"), ("bayes", "mode"), ("bayes", "draw"), ("bayes", "ensemble")]
            wanted = {(*key, 1, scaled, seed) for key in alone for scaled in (False, True) for seed in (0, 1)}
            wanted |= {("st", "single", 2, scaled, None) for scaled in (False, True)}
            assert len(who) == len(set(who))
            assert set(who) == wanted
        assert len(values["rows"]) == 11 * 18
        assert values["num_examples"] == len(done[0].runs[0].labels)

    def test_a_network_alone_says_what_its_checkpoint_says_to_the_degraded_test_part(self, done):
        comparison, _, values = done
        run = next(run for run in comparison.runs if (run.rule, run.seed) == ("bayes", 1))
        module, data = comparison.load(run)
        x, labels = next(iter(data.test()))
        x = dead_pixels(x, 0.3, keyed_generator("shift", "dead_pixels", 0.3, 0))
        answer = module.answers(x, final=True)["ensemble"]
        logits = run.validation_answers["ensemble"].log()
        scaled = apply_temperature(answer.log(), fit_temperature(logits, run.validation_labels))
        for is_scaled, probabilities in ((False, answer), (True, scaled)):
            place = {"corruption": "dead_pixels", "strength": 0.3, "seed": 1, "scaled": is_scaled}
            (row,) = rows_of(values, rule="bayes", prediction="ensemble", **place)
            scores = evaluate(probabilities, labels)
            assert row["accuracy"] == pytest.approx(scores.accuracy)
            assert row["nll"] == pytest.approx(scores.nll, rel=1e-4)
            assert row["ece"] == pytest.approx(scores.ece, abs=1e-4)

    def test_networks_together_answer_by_the_mean(self, done):
        comparison, _, values = done
        runs = [run for run in comparison.runs if run.rule == "st"]
        mean = torch.stack([run.probabilities["single"] for run in runs]).mean(0)
        (row,) = rows_of(values, corruption="none", trainings=2, scaled=False)
        assert row["nll"] == pytest.approx(evaluate(mean, runs[0].labels).nll, rel=1e-5)
        assert (row["bits_per_weight"], row["trainings"]) == (2, 2)

    def test_clean_inputs_are_those_of_the_comparison(self, done):
        comparison, _, values = done
        results = json.loads((comparison.out / "results.json").read_text())
        for row in rows_of(values, corruption="none", trainings=1, scaled=False):
            same = {name: row[name] for name in ("rule", "prediction", "seed", "trainings", "scaled")}
            (other,) = [each for each in results if all(each[name] == value for name, value in same.items())]
            assert row["accuracy"] == pytest.approx(other["accuracy"])
            assert "ood_auroc" not in row

    def test_tables_and_pictures(self, done):
        comparison, said, _ = done
        for text in ("dead pixels", "gaussian noise", "st x 2, scaled", "rejection", "level with"):
            assert text in said
        assert "shift.json, shift-spikes.png, shift-images.png" in said
        for kind in ("spikes", "images"):
            assert imread(comparison.out / f"shift-{kind}.png").shape[0] > 500


def report_again(comparison, *names):
    console = Console(record=True, width=80)
    report_shift(replace(comparison, console=console), check_shift(comparison.experiment, names))
    return " ".join(console.export_text().split()), json.loads((comparison.out / "shift.json").read_text())


class TestAgain:
    def test_what_is_answered_is_not_answered_again(self, done, monkeypatch):
        comparison, _, values = done
        monkeypatch.setattr(SpikingModule, "answers", None)
        assert report_again(comparison, "dead_pixels", "gaussian_noise")[1] == values

    def test_two_at_once_answer_the_same(self, done, tmp_path):
        comparison, _, _ = done
        corruptions = check_shift(comparison.experiment, ["dead_pixels"])
        shutil.copytree(comparison.out / "runs", tmp_path / "runs")
        runs = [replace(run, folder=tmp_path / "runs" / run.folder.name) for run in comparison.runs]
        for run in runs:
            (run.folder / "shift-dead_pixels.pt").unlink()
        again = replace(comparison, out=tmp_path, runs=runs, console=Console(file=io.StringIO()))
        answer_all(again, corruptions, jobs=2)
        for one, other in zip(comparison.runs, runs, strict=True):
            found = [kept(files_of(of, run), run, corruptions[0]) for of, run in ((comparison, one), (again, other))]
            assert found[0].keys() == found[1].keys()
            for name, value in found[0].items():
                torch.testing.assert_close(found[1][name], value, rtol=1e-5, atol=1e-6)  # of another number of threads
            assert not any(each.is_shared() for each in (other.labels, *other.probabilities.values()))

    def test_those_that_are_trained_answer_while_others_train(self, tmp_path, monkeypatch):
        monkeypatch.setitem(answer_all.__globals__, "in_processes", None)
        network = {"class_path": "snntorch_binary.models.SpikingMLP", "init_args": {"hidden_sizes": [16]}}
        data, settings = {"name": "digits", "limit_per_class": 12}, {"epochs": 1, "seeds": (0,), "jobs": 2}
        found = compare(
            network,
            data,
            ["st", "balanced"],
            out=tmp_path,
            shift=["dead_pixels"],
            console=Console(file=io.StringIO()),
            **settings,
        )
        (corruption,) = check_shift(found.experiment, ["dead_pixels"])
        for run in found.runs:
            answers = kept(files_of(found, run), run, corruption)["single"]
            (run.folder / "shift-dead_pixels.pt").unlink()
            answer_under(found.experiment, [corruption], run.folder, (run.rule, run.seed, run.fold))
            assert torch.equal(answers, kept(files_of(found, run), run, corruption)["single"])

    def test_more_corruptions_are_answered_alone(self, done):
        comparison, _, _ = done
        first = comparison.runs[0].folder / "shift-dead_pixels.pt"
        at = first.stat().st_mtime_ns
        _, values = report_again(comparison, "dead_pixels", "spikes_lost")
        assert {row["corruption"] for row in values["rows"]} == {"none", "dead_pixels", "spikes_lost"}
        assert first.stat().st_mtime_ns == at

    def test_damaged_files_are_made_anew(self, done):
        comparison, _, values = done
        files = [run.folder / "shift-gaussian_noise.pt" for run in comparison.runs[-2:]]
        intact = [file.read_bytes() for file in files]
        for file, content in zip(files, (b"", intact[1][:-9]), strict=True):
            file.write_bytes(content)
        said, again = report_again(comparison, "dead_pixels", "gaussian_noise")
        assert said.count("shift-gaussian_noise.pt is damaged or of another run: it is made anew") == 2
        assert again == values
        assert [file.read_bytes() for file in files] == intact

    def test_answers_at_other_strengths_are_made_anew(self, done, monkeypatch):
        comparison, _, values = done
        other = replace(CORRUPTIONS["dead_pixels"], strengths=(0.05, 0.1, 0.15, 0.2, 0.25))
        monkeypatch.setitem(CORRUPTIONS, "dead_pixels", other)
        _, found = report_again(comparison, "dead_pixels")
        assert {row["strength"] for row in found["rows"]} == {0.0, 0.05, 0.1, 0.15, 0.2, 0.25}
        at_a_tenth = rows_of(values, corruption="dead_pixels", strength=0.1)
        assert rows_of(found, corruption="dead_pixels", strength=0.1) == at_a_tenth


def test_folds_are_joined(tmp_path):
    _, _, values = carry_out(tmp_path, ("dead_pixels",), num_folds=2, seeds=(0,), epochs=1)
    assert values["num_examples"] == 240
    assert {row["trainings"] for row in values["rows"]} == {1}


class TestInputs:
    def test_a_large_part_is_thinned_evenly(self):
        assert chosen(3).tolist() == [0, 1, 2]
        assert torch.equal(chosen(2000), torch.arange(2000))
        many = chosen(10_000)
        assert len(many) == 2000
        assert (many[0], many[-1]) == (0, 9999)
        assert set(many.diff().tolist()) <= {5, 6}

    def test_images_are_degraded_before_they_are_encoded_and_the_same_noise_encodes_them(self):
        test = DIGITS.load().splits.test
        corruption = CORRUPTIONS["gaussian_noise"]
        (x, labels), *_ = DegradedTest(DIGITS, test, fold=2).batches(corruption, 0.2)
        noise = keyed_generator("shift", "gaussian_noise", 0.2, 2)
        values = gaussian_noise(test.inputs.view(-1, 8, 8), 0.2, noise).flatten(1)
        same = SpikeDataset(values, test.labels, num_steps=10, encoder=RateEncoder(), seed=1, fixed=True)
        wanted = same.__getitems__(range(len(test)))
        assert torch.equal(x, wanted[0])
        assert torch.equal(labels, wanted[1])

    def test_a_batch_has_the_sensor_of_all_others(self, monkeypatch):
        test = DIGITS.load().splits.test
        monkeypatch.setattr(inputs, "_CELLS", 100 * 640)
        small = list(DegradedTest(DIGITS, test, 0).batches(CORRUPTIONS["hot_pixels"], 0.1))
        assert [len(labels) for _, labels in small] == [100, 100, 100, len(test) - 300]
        always = [x.amin(dim=(0, 1)) for x, _ in small]
        assert all(torch.equal(each, always[0]) for each in always)
        assert int(always[0].sum()) == 6

    def test_a_batch_has_other_noise_than_all_others(self, monkeypatch):
        test = SpikeDataset(torch.zeros(8, 30), torch.zeros(8).long(), num_steps=5, encoder=RateEncoder(), fixed=True)
        monkeypatch.setattr(inputs, "_CELLS", 4 * 150)
        first, second = (x for x, _ in DegradedTest(DIGITS, test, 0).batches(CORRUPTIONS["noise_spikes"], 0.5))
        assert not torch.equal(first, second)

    def test_a_pixel_keeps_one_polarity(self):
        frames = (torch.rand(10, 20, 2, 6, 6) < 0.5).float()
        found = with_one_symbol(frames, torch.Generator().manual_seed(0))
        both = frames.amin(2).bool()
        assert torch.equal(found.sum(2) > 0, frames.sum(2) > 0)
        assert bool((found.sum(2) <= 1).all())
        assert bool((found <= frames).all())
        assert 0.4 < found[:, :, 0][both].mean() < 0.6


class TestLeads:
    def test_against_the_best_opponent_of_each_score(self):
        def line(correct, nll):
            return {"accuracy": torch.tensor(correct), "nll": torch.tensor(nll)}

        sure, torn = [[1.0] * 50] * 2, [[1.0] * 20 + [0.0] * 30]
        low, high = [[0.1] * 50] * 2, [[0.5] * 25 + [0.6] * 25]
        means = {
            Predictor("bayes", "ensemble"): line(sure, low),
            Predictor("bayes", "ensemble", scaled=True): line(sure, low),
            Predictor("st", "single"): line(torn * 2, [[0.0] * 50] * 2),
            Predictor("st", "single", trainings=2): line([[1.0] * 30 + [0.0] * 20], high),
        }
        by_accuracy, by_nll = leads(means, bits=lambda one: 1.0)
        assert (by_accuracy.opponent.label, by_accuracy.verdict) == ("st x 2", "ahead")
        assert by_accuracy.difference.difference == pytest.approx(0.4)
        assert (by_nll.opponent.label, by_nll.verdict) == ("st", "behind")
        assert by_nll.difference.difference == pytest.approx(0.1)

    def test_one_draw_against_those_of_its_bits(self):
        means = {
            Predictor("bayes", "draw"): {"accuracy": torch.full((1, 40), 0.5), "nll": torch.full((1, 40), 1.0)},
            Predictor("st", "single"): {"accuracy": torch.full((1, 40), 0.4), "nll": torch.full((1, 40), 1.5)},
            Predictor("st", "single", trainings=3): {
                "accuracy": torch.full((1, 40), 0.9),
                "nll": torch.full((1, 40), 0.1),
            },
        }
        found = leads(means, bits=lambda one: float(one.trainings))
        assert [(one.opponent.label, one.verdict) for one in found] == [("st", "ahead")] * 2

    def test_entropy_tells_degraded_inputs_from_clean_ones(self):
        one, labels = Predictor("st", "single"), torch.tensor([0, 1])
        clean = {one: {0: torch.tensor([[[0.9, 0.1], [0.2, 0.8]]])}}
        degraded = {one: {0: torch.tensor([[[0.5, 0.5], [0.85, 0.15]]])}}  # the second is surer than one of two
        found = score(degraded, labels, (0.1,), clean)
        assert found.scores[one]["ood_auroc"].tolist() == [[0.75]]
        assert found.scores[one]["accuracy"].tolist() == [[0.5]]
        assert found.scores[one]["rejection_area"].tolist() == [[0.25]]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (
            "two-moons --shift rotation",
            "for two-moons, which has no images that spikes are made of, but got 'rotation'",
        ),
        ("digits --shift fog", "some of spikes_lost, noise_spikes, dead_pixels, hot_pixels,"),
        ("digits --shift blur,blur", "`shift` to be different corruptions, but got blur, blur"),
        ("regression-1d --shift", "`--shift` to be left out where a set is a regression or of your own"),
        ("digits --hidden 4,8 --shift", "`--hidden` to be a single size with --ood, --anytime or --shift"),
        ("split-mnist --shift", "`--shift` to be left out with split-mnist"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(command, sentence, tmp_path, capsys):
    assert main(["compare", *command.split(), "--out", str(tmp_path / "out")]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert sentence in said
    assert not (tmp_path / "out").exists()


def test_data_of_ones_own(tmp_path):
    part = (torch.rand(20, 4, 8), torch.arange(20) % 2)
    with pytest.raises(ValueError, match="`--shift` to be left out where a set is a regression or of your own"):
        compare(small, (part, part, part), ["st"], out=tmp_path / "out", shift=True)


def test_values_that_are_no_spikes(tmp_path):
    with pytest.raises(ValueError, match="for digits, which has no spikes of 0 and 1, but got 'spikes_lost'"):
        compare(small, {"name": "digits", "encoder": "direct"}, ["st"], out=tmp_path, shift=["spikes_lost"])


def test_soft_lif_networks_are_asked_as_they_are_and_not_in_spikes(tmp_path):
    arguments = {"image_shape": [1, 8, 8], "channels": [2], "hidden_size": 4}
    network = {"class_path": "snntorch_binary.models.SoftLIFConvNet", "init_args": arguments}
    data = {"name": "digits", "limit_per_class": 3, "num_steps": 1, "encoder": "direct"}
    rules = {"softlif": {"spiking": {"tau_syn": 0.0, "scoring": 0.01, "presentation": 0.02}}}
    options = {"epochs": 1, "seeds": (0,), "shift": ["rotation"], "readout_scale": 1.0, "console": Console(record=True)}
    compare(network, data, rules, out=tmp_path, **options)
    rows = json.loads((tmp_path / "shift.json").read_text())["rows"]
    assert {row["prediction"] for row in rows} == {"single"}


@pytest.mark.parametrize("shift", ["rotation", None, 3])
def test_what_is_no_list_of_corruptions(shift, tmp_path):
    with pytest.raises(ValueError, match="`shift` to be True, False or a list of names of corruptions"):
        compare(small, {"name": "digits"}, ["st"], out=tmp_path, shift=shift)


class TestPicturesThatAnExperimentNames:
    def test_corruptions_without_a_meaning_are_left_out(self, tmp_path):
        data = {"name": "two-moons", "limit_per_class": 4}
        options = {"epochs": 1, "seeds": (0,), "pictures": ["shift"], "console": Console(record=True)}
        compare(lambda input_size: SpikingMLP(input_size, [4], 2), data, ["st"], out=tmp_path, **options)
        rows = json.loads((tmp_path / "shift.json").read_text())["rows"]
        assert {row["corruption"] for row in rows} == {"none", "spikes_lost", "noise_spikes", "dead_pixels"}
        assert not (tmp_path / "shift-images.png").exists()

    def test_data_of_ones_own_are_refused_by_the_name_of_what_was_given(self, tmp_path):
        x, y = torch.rand(12, 5, 4).round(), torch.arange(12) % 2
        parts = [(x, y)] * 3
        with pytest.raises(
            ValueError, match="`pictures` to be without shift where a set is a regression or of your own"
        ):
            compare(lambda input_size: SpikingMLP(input_size, [4], 2), parts, ["st"], out=tmp_path, pictures=["shift"])

    def test_where_a_checkpoint_is_gone_they_are_left_out_with_a_word(self, tmp_path):
        def once_more():
            console = Console(record=True, width=200)
            data = {"name": "digits", "limit_per_class": 4}
            options = {"epochs": 1, "seeds": (0,), "pictures": ["shift"], "console": console}
            compare(small, data, ["st"], out=tmp_path, **options)
            return console.export_text()

        once_more()
        (tmp_path / "shift.json").unlink()
        (tmp_path / "runs" / "st-seed0" / "last.ckpt").unlink()
        assert "last.ckpt is gone: there are no pictures of a degraded test part" in once_more()
        assert not (tmp_path / "shift.json").exists()


def test_only_a_posterior_leads_and_the_ensemble_of_another_rule_is_an_opponent():
    means = {
        Predictor("bayes", "ensemble"): {"accuracy": torch.full((1, 4), 0.5), "nll": torch.full((1, 4), 1.0)},
        Predictor("vowel-wta", "ensemble"): {"accuracy": torch.full((1, 4), 0.75), "nll": torch.full((1, 4), 0.5)},
    }
    found = leads(means, bits=lambda one: 1.0)
    assert [(one.predictor.rule, one.opponent.rule, one.verdict) for one in found] == [
        ("bayes", "vowel-wta", "behind"),
        ("bayes", "vowel-wta", "behind"),
    ]


def test_a_picture_of_many_rules_leaves_networks_of_all_seeds_to_the_tables():
    def scored(trainings):
        predictors = [Predictor("st", f"p{index}", trained) for index in range(5) for trained in trainings]
        values = {"accuracy": torch.rand(2, 2), "nll": torch.rand(2, 2), "ece": torch.rand(2, 2)}
        clean = {name: value[:, :1] for name, value in values.items()}
        return [Scored((), scores=dict.fromkeys(predictors, each)) for each in (clean, values)]

    one = SimpleNamespace(title="noise", unit="share", strengths=(0.1, 0.2))
    assert list(_panel(one, *scored((1, 3))).curves) == [f"st p{index}" for index in range(5)]
    assert len(_panel(one, *scored((3,))).curves) == 5
