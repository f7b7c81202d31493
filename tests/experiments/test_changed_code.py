"""A folder of results is that of one network and one data set as they were written, and says what it had already."""

import importlib
import linecache
import sys

import pytest
import torch

import snntorch_binary as sb
from snntorch_binary.cli import main
from snntorch_binary.experiments.named import Named

MODEL = """
import snntorch as snn, torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.lif, self.fc2 = nn.Linear(12, 9), snn.Leaky(beta=0.9), nn.Linear(9, 3)

    def forward(self, x):
        mem, found = self.lif.init_leaky(), []
        for _ in range(5):
            spikes, mem = self.lif(self.fc1(x), mem)
            found.append(self.fc2(spikes))
        return torch.stack(found)

def images(scale=1.0):
    torch.manual_seed(0)
    labels = torch.arange(3).repeat(8)
    x = (scale * (torch.rand(24, 12) / 2 + nn.functional.one_hot(labels, 3).repeat(1, 4) / 2)).clamp(0, 1)
    return [(x, labels)] * 3
"""
CONFIG = """
network: {class_path: changing.Net}
data: {class_path: changing.images, time: none}
rules: [st]
epochs: 1
seeds: [0]
readout: membrane
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "changing.py").write_text(MODEL)
    (tmp_path / "mine.yaml").write_text(CONFIG)
    yield tmp_path
    forget()


def forget():
    """Let the module be imported anew, as another process would."""
    sys.modules.pop("changing", None)
    importlib.invalidate_caches()
    linecache.clearcache()


COMPARE = ["compare", "--config", "mine.yaml", "--out", "results", "--jobs", "1"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("beta=0.9", "beta=0.31", "code.changing.Net"),
        ("x = (scale * (", "x = 1 - (scale * (", "code.changing.images"),
    ],
)
def test_code_that_has_changed_is_refused(before, after, said, folder, capsys):
    assert main(COMPARE) == 0
    assert "done before" not in capsys.readouterr().out
    forget()
    (folder / "changing.py").write_text(MODEL.replace("import snntorch", "# by hand\nimport snntorch"))
    assert main(COMPARE) == 0
    assert "1 of 1 were done before" in capsys.readouterr().out
    forget()
    (folder / "changing.py").write_text(MODEL.replace(before, after))
    assert main(COMPARE) == 1
    assert f"other settings ({said})" in capsys.readouterr().err


def test_networks_that_are_shown_numbers_are_exported(folder, capsys):
    assert main(COMPARE) == 0
    how = ["results/runs/st-seed0", "--config", "mine.yaml"]
    assert main(["export", "--to", "c", *how[:1], "c_out", *how[1:]]) == 0
    assert main(["export", "--to", "packed", *how[:1], "p.safetensors", *how[1:]]) == 0
    packed = sb.load_packed("p.safetensors")
    run = sb.experiments.load_run("results/runs/st-seed0", "changing.Net")
    x = torch.rand(7, 12)
    torch.testing.assert_close(packed(x), run.net(x))


def test_inputs_that_are_no_numbers_are_found_before_training(folder, capsys):
    text = MODEL.replace("    return [(x", "    x[3, 2] = float('nan')\n    return [(x")
    (folder / "changing.py").write_text(text)
    assert main(COMPARE) == 1
    assert "finite inputs in its train part" in capsys.readouterr().err
    assert not (folder / "results").exists()


def test_code_is_looked_for_where_there_is_some():
    made = {}
    exec("def network(): pass", made)
    ours = [sb.models.SpikingMLP, made["network"], torch.nn.Linear]
    assert [len(Named.of("network", each).source("network")) for each in ours] == [0, 0, 0]
    assert Named("snntorch_binary.models.SpikingMLP").source("network") == {}
