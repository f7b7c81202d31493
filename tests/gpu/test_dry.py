"""The check of a GPU runs to its end on the CPU, and finds what is wrong."""

import json
import sys

import pytest
import torch

from tests.gpu import check, correct


@pytest.mark.slow
def test_dry(tmp_path, monkeypatch, capsys):
    out = tmp_path / "found.json"
    monkeypatch.setattr(sys, "argv", ["check", "--dry", "--out", str(out)])
    assert check.main() == 0
    found = json.loads(out.read_text())
    assert len(found["checks"]) == len(correct.CHECKS) * (2 if check.fast_engine(torch.device("cpu")) else 1)
    sides = {row["side"] for row in found["training_steps"]}
    assert {"snnTorch", "ours, float, torch", "ours, Sign, torch", "ours, Bernoulli, torch"} <= sides
    assert "left out" not in capsys.readouterr().out


def test_a_wrong_kernel_is_found(monkeypatch):
    values = iter([1.0, 1.0, 2.0, 2.0])

    def run(device):
        return [torch.tensor([next(values)])], []

    cpu = torch.device("cpu")
    assert correct.compare(correct.Check("one", run), "torch", cpu) == ""
    assert correct.compare(correct.Check("one", lambda device: ([], [run(device)[0][0]])), "torch", cpu) == ""
    values = iter([1.0, 2.0, 1.0, 1.1])
    assert correct.compare(correct.Check("one", run), "torch", cpu) == "1 of 1 values differ"
    apart = correct.compare(correct.Check("one", lambda device: ([], [run(device)[0][0]])), "torch", cpu)
    assert apart.startswith("apart by 1.0e-01")


def test_no_gpu_has_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["check"])
    assert check.main() == 2
    assert "There is no CUDA device; --dry" in capsys.readouterr().err
