"""`compare --ood`: another data set is told from its own by uncertainty."""

import json

import pytest
import torch
from matplotlib.image import imread

from snntorch_binary.cli import main
from snntorch_binary.experiments.compare.out_of_distribution import fit_frame


def lines_of(folder, name="ood.json"):
    return json.loads((folder / name).read_text())


def test_frames_of_another_camera_are_cut_or_padded_around_their_middle():
    x = torch.arange(25.0).view(1, 5, 5)
    assert fit_frame(x, 3, 3).flatten().tolist() == [6, 7, 8, 11, 12, 13, 16, 17, 18]
    assert torch.equal(fit_frame(fit_frame(x, 7, 9), 5, 5), x)
    assert fit_frame(x, 6, 7).shape == (1, 6, 7)
    assert fit_frame(x, 6, 7).sum() == x.sum()


@pytest.mark.drawn
def test_out_of_distribution(real_data, tmp_path, capsys):
    common = ["compare", "mnist", "--data-dir", real_data, "--epochs", "1", "--limit-per-class", "8", "--seeds", "0,1"]
    common += ["--hidden", "8"]
    assert main([*common, "--ood", "fashion-mnist", "--out", str(tmp_path)]) == 0
    found = lines_of(tmp_path)
    entropies = [row for row in found["rows"] if row["score"] == "predictive_entropy"]
    assert len(entropies) == 5 * 2
    assert all(0 <= row["auroc"] <= 1 for row in entropies)
    assert {row["prediction"] for row in found["rows"] if row["score"] == "mutual_information"} == {"ensemble"}
    pair = found["auroc_differences"]["bayes ensemble - st"]

    def mean(rule, prediction):
        chosen = [row["auroc"] for row in entropies if (row["rule"], row["prediction"]) == (rule, prediction)]
        return sum(chosen) / len(chosen)

    assert pair["difference"] == pytest.approx(mean("bayes", "ensemble") - mean("st", "single"), abs=1e-6)
    assert imread(tmp_path / "ood.png").shape[1] > 500
    capsys.readouterr()
    assert main([*common, "--ood", "nmnist", "--out", str(tmp_path)]) == 1
    assert "inputs of shape (784,), as mnist has" in capsys.readouterr().err


def test_nmnist_against_poker_dvs(real_data, tmp_path, capsys):
    command = "compare nmnist --classes 6,7 --epochs 1 --limit-per-class 12 --seeds 0 --ood poker-dvs --data-dir"
    assert main([*command.split(), real_data, "--out", str(tmp_path)]) == 0
    assert {row["ood"] for row in lines_of(tmp_path)["rows"]} == {"poker-dvs"}
