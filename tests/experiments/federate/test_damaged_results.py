"""A folder of results that is damaged, or has files of another run: they are named and made anew, or refused."""

import json
import logging
import os
import pickle
import shutil
from dataclasses import replace

import pytest
import torch

pytest.importorskip("flwr")
pytest.importorskip("lightning")

from small_federation import ONLINE, SMALL, run, same, written

from snntorch_binary._files import OutputError
from snntorch_binary.experiments.federate import record
from snntorch_binary.experiments.federate.apps import apps
from snntorch_binary.experiments.federate.config import read_federation
from snntorch_binary.federated.flower.grid import InProcessGrid, run_in_process


class Federations:
    """Folders of the same federation: finished, stopped after round 2, and finished with another seed."""

    def __init__(self, folder):
        self.config = written(folder, seeds=[0, 1])
        self.whole = folder / "whole"
        self.runs = run(self.config, self.whole)
        self.stopped = folder / "stopped"
        shutil.copytree(self.whole, self.stopped)
        shutil.rmtree(self.stopped / "runs" / "product-seed0")
        after = record.RoundRecord.after_round

        def killed(self, report):
            after(self, report)
            if report.round == 2:
                raise KeyboardInterrupt

        record.RoundRecord.after_round = killed
        try:
            with pytest.raises(KeyboardInterrupt):
                run(self.config, self.stopped)
        finally:
            record.RoundRecord.after_round = after


@pytest.fixture(scope="module")
def federations(tmp_path_factory):
    return Federations(tmp_path_factory.mktemp("federations"))


class Planted:
    def __reduce__(self):
        return os.system, ("touch planted",)


def change_byte(place):
    def damage(path, folder):
        content = bytearray(path.read_bytes())
        content[int(place * len(content))] ^= 1
        path.write_bytes(content)

    return damage


def nested():
    value = []
    for _ in range(300):
        value = [value]
    return {"probabilities": value}


def write(content):
    return lambda path, folder: path.write_bytes(content() if callable(content) else content)


def saved(value):
    return lambda path, folder: torch.save(value(), path)


def copied(other):
    """Put another run's file in its place, or one of the same run."""
    return lambda path, folder: shutil.copy(folder / other.format(name=path.name), path)


def often(names, quick):
    """Leave out of quick runs those that have none of the words in their names."""
    return [
        pytest.param(name, marks=[] if any(word in name for word in quick.split()) else pytest.mark.repeated)
        for name in names
    ]


DAMAGES = {
    "changed near the beginning": change_byte(0.05),
    "changed in the middle": change_byte(0.5),
    "changed at the end": change_byte(0.97),
    "truncated": lambda path, folder: path.write_bytes(path.read_bytes()[:-100]),
    "longer": lambda path, folder: path.write_bytes(path.read_bytes() + b"x"),
    "empty": write(b""),
    "text": write(b"results\n"),
    "a pickle": write(lambda: pickle.dumps(Planted())),
    "code saved by torch": saved(lambda: {"probabilities": Planted()}),
    "nested": saved(nested),
    "a list": saved(lambda: [1, 2]),
    "other numbers": saved(lambda: {"probabilities": {"mode": torch.rand(8, 10)}, "labels": torch.arange(8)}),
    "a folder": lambda path, folder: path.unlink() or path.mkdir(),
}


@pytest.mark.parametrize("damage", often([*DAMAGES, "another method's", "another seed's"], quick="middle pickle seed"))
def test_damaged_answers_are_made_anew(federations, damage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    shutil.copytree(federations.whole, out)
    path = out / "runs" / "product-seed0" / "predictions.pt"
    others = {"another method's": copied("bits-seed0/{name}"), "another seed's": copied("product-seed1/{name}")}
    {**DAMAGES, **others}[damage](path, out / "runs")
    if damage == "a folder":
        with pytest.raises(OSError, match=r"predictions\.pt"):
            run(federations.config, out)
        return
    said = []
    assert same(run(federations.config, out, said), federations.runs)
    assert said == [f"{path} is damaged or of another run: it is made anew."]
    assert not (tmp_path / "planted").exists()
    said = []
    assert same(run(federations.config, out, said), federations.runs)
    assert not said


@pytest.mark.parametrize(
    "damage",
    often([*(name for name in DAMAGES if name != "a folder"), "another seed's"], quick="truncated seed"),
)
def test_a_damaged_checkpoint_begins_anew(federations, damage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    shutil.copytree(federations.stopped, out)
    path = out / "runs" / "product-seed0" / "last.ckpt"
    {**DAMAGES, "another seed's": copied("product-seed1/{name}")}[damage](path, out / "runs")
    said = []
    assert same(run(federations.config, out, said), federations.runs)
    assert said == [f"{path} is damaged or of another run: it is made anew."]
    assert not (tmp_path / "planted").exists()


MEMORIES = {
    **DAMAGES,
    "missing": lambda path, folder: path.unlink(),
    "another client's": copied("product-seed0/client1-round2.pt"),
}


@pytest.mark.parametrize(
    "damage",
    often(
        ["changed in the middle", "empty", "a pickle", "missing", "a folder", "another client's"], quick="missing other"
    ),
)
def test_what_a_client_kept_is_damaged_and_the_run_begins_anew(federations, damage, tmp_path, caplog):
    out = tmp_path / "out"
    shutil.copytree(federations.stopped, out)
    path = out / "runs" / "product-seed0" / "client0-round2.pt"
    MEMORIES[damage](path, out / "runs")
    if damage == "a folder":
        with pytest.raises(OSError, match=r"client0-round2\.pt"):
            run(federations.config, out)
        return
    with caplog.at_level(logging.WARNING, logger="snntorch_binary.federated"):
        assert same(run(federations.config, out), federations.runs)
    assert len(caplog.messages) == 1
    assert str(path) in caplog.messages[0]
    assert caplog.messages[0].endswith(": the run begins anew.")


def other_run(path, folder):
    path.write_text(json.dumps({**json.loads(path.read_text()), "run": {"command": "another"}}))


RECORDS = {
    "empty": write(b""),
    "text": write(b"record\n"),
    "deep": write(b"[" * 100_000 + b"]" * 100_000),
    "deep inside": write(b'{"format": 1, "run": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a list": write(b"[1]"),
    "no checksums": write(b'{"format": 1}'),
    "other checksums": write(b'{"format": 1, "sha256": {"predictions.pt": 5}}'),
    "of another run": other_run,
    "missing": lambda path, folder: path.unlink(),
    "another seed's": copied("product-seed1/{name}"),
}


@pytest.mark.parametrize("damage", often(RECORDS, quick="deep another missing"))
def test_without_its_record_nothing_is_taken_for_a_result(federations, damage, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(federations.whole, out)
    path = out / "runs" / "product-seed0" / "record.json"
    RECORDS[damage](path, out / "runs")
    said = []
    assert same(run(federations.config, out, said), federations.runs)
    assert any(str(path) in line for line in said) or damage == "missing"
    assert f"{path.parent / 'predictions.pt'} is damaged or of another run: it is made anew." in said


@pytest.mark.parametrize("content", [b"", b"settings\n", b"[" * 100_000 + b"]" * 100_000, b"5", b"{}"])
def test_damaged_settings_are_refused(federations, content, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(federations.whole, out)
    (out / "settings.json").write_bytes(content)
    with pytest.raises(OutputError, match=r"settings.json is damaged|holds runs of another version"):
        run(federations.config, out)


def test_another_method_of_the_same_name_is_refused_and_one_of_another_name_is_not(federations, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(federations.whole, out)
    with pytest.raises(OutputError, match=r"holds runs with other settings \(methods\.product\."):
        run(written(tmp_path, seeds=[0], methods={"product": SMALL["methods"]["bits"]}), out)
    (found,) = run(written(tmp_path, seeds=[0], methods={"other": SMALL["methods"]["bits"]}), out)
    assert same([found], [replace(federations.runs[1], method="other")])
    assert set(json.loads((out / "settings.json").read_text())["methods"]) == {"product", "bits", "other"}


def test_whole_folders_of_another_run_are_named(federations, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(federations.whole, out)
    shutil.rmtree(out / "runs" / "product-seed0")
    shutil.copytree(out / "runs" / "product-seed1", out / "runs" / "product-seed0")
    said = []
    assert same(run(federations.config, out, said), federations.runs)
    assert any(f"{out / 'runs' / 'product-seed0' / 'record.json'} is of another run" in line for line in said)


@pytest.mark.parametrize(
    "damage", often([*(name for name in DAMAGES if name != "a folder"), "other"], quick="text other")
)
def test_online_answers_that_are_damaged_are_made_anew(damage, tmp_path):
    config, out = written(tmp_path, ONLINE), tmp_path / "out"
    whole = run(config, out)
    path = out / "runs" / "turns-seed0" / "predictions.pt"
    {**DAMAGES, "other": copied("separate-seed0/{name}")}[damage](path, out / "runs")
    said = []
    assert same(run(config, out, said), whole)
    assert said == [f"{path} is damaged or of another run: it is made anew."]
    said = []
    assert same(run(config, out, said), whole)
    assert not said


def test_a_server_on_real_nodes_refuses_the_folder_of_another_run(tmp_path):
    federation = read_federation(written(tmp_path))

    def serve(method, seed):
        server, client = apps(federation, method, seed, tmp_path / "out", wait=0.0)
        run_in_process(server, InProcessGrid(client, 2))

    serve("bits", 0)
    before = (tmp_path / "out" / "last.ckpt").read_bytes()
    serve("bits", 0)
    for other in (("product", 0), ("bits", 1)):
        with pytest.raises(OutputError, match="holds the files of another run; give another folder or remove it"):
            serve(*other)
    assert (tmp_path / "out" / "last.ckpt").read_bytes() == before


def test_a_checkpoint_chooses_no_path(federations, tmp_path, caplog):
    """A record and a checkpoint that are made up together."""
    from snntorch_binary.experiments.federate.checkpoint import RoundCheckpoint

    torch.save({"w": torch.zeros(1)}, tmp_path / "other.pt")
    checkpoint = RoundCheckpoint(tmp_path / "out")
    checkpoint.save({}, 1, {0: {"w": torch.ones(1)}})
    assert checkpoint.load()[1] == {0: {"w": torch.ones(1)}}
    checkpoint._memories[0] = "../other.pt", "0"
    checkpoint.save({}, 2, {})
    assert RoundCheckpoint(tmp_path / "out").load() is None
    assert "names a file that is no client's" in caplog.text


def test_a_network_of_another_version_is_one_sentence(federations, tmp_path, monkeypatch):
    from snntorch_binary.federated.coordinator import NetworkCoordinator

    out = tmp_path / "out"
    shutil.copytree(federations.stopped, out)
    state_dict = NetworkCoordinator.load_state_dict
    monkeypatch.setattr(
        NetworkCoordinator, "load_state_dict", lambda self, state: state_dict(self, {"old": torch.zeros(1)})
    )
    with pytest.raises(ValueError, match="holds a checkpoint of another version of this package; remove it"):
        run(federations.config, out)
