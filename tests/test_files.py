"""Files are written whole or not at all, read as data, and taken for the result of the run that made them only."""

import errno
import io
import json
import os
import subprocess
import sys
import threading
import zipfile

import pytest
import torch

from snntorch_binary import _files
from snntorch_binary._files import (
    DamagedFileError,
    RunFolder,
    digest,
    read_json,
    read_tensors,
    replacing,
    tensor_bytes,
    write_bytes,
    write_json,
    write_text,
)

CONTENTS = {"labels": torch.arange(5), "history": {"single": [0.5, 0.25]}, "seconds": 1.5}
RUN = {"rule": "st", "seed": 0, "settings": digest({"epochs": 2})}


class Runs:
    """A thing whose pickle makes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


# ---- written whole ---------------------------------------------------------------------------------------------------


def test_a_file_takes_its_place_whole(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "before")
    with pytest.raises(FileNotFoundError), replacing(path):
        (tmp_path / "missing").read_text()
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_a_dead_process_was_writing_is_removed(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    part = tmp_path / f".a[1].csv.{int(dead.stdout)}.part"
    of_another = part.with_name(part.name.replace("a[1]", "b"))
    running = part.with_name(f".a[1].csv.{os.getppid()}.part")
    for path in (part, of_another, running):
        path.write_text("half")
    _files.write_text(tmp_path / "a[1].csv", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([running.name, of_another.name, "a[1].csv"])


@pytest.mark.parametrize("event", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(event, tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, [1])

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if event == "write":
        monkeypatch.setattr(_files.Path, "write_bytes", full)
    else:
        monkeypatch.setattr(os, event, full)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, [2])
    monkeypatch.undo()
    assert read_json(path) == [1]
    assert os.listdir(tmp_path) == ["a.json"]


# ---- read as data ----------------------------------------------------------------------------------------------------


def test_what_was_written_is_read(tmp_path):
    write_bytes(tmp_path / "a.pt", tensor_bytes(CONTENTS))
    found = read_tensors(tmp_path / "a.pt")
    assert torch.equal(found.pop("labels"), CONTENTS["labels"])
    assert found == {"history": {"single": [0.5, 0.25]}, "seconds": 1.5}


@pytest.mark.slow
def test_a_changed_byte_is_seen_or_changes_nothing(tmp_path):
    path = tmp_path / "a.pt"
    content, seen = tensor_bytes(CONTENTS), 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            found = read_tensors(path)
        except DamagedFileError:
            seen += 1
        else:
            assert torch.equal(found.pop("labels"), CONTENTS["labels"])
            assert found == {"history": {"single": [0.5, 0.25]}, "seconds": 1.5}
    numbers = content.index(torch.arange(5).numpy().tobytes())
    path.write_bytes(content[:numbers] + b"\x07" + content[numbers + 1 :])
    with pytest.raises(DamagedFileError, match="does not have its checksum"):
        read_tensors(path)
    assert seen > 100


def hostile(marker):
    """Contents of a file of tensors by what is wrong with them."""
    nested = values = []
    for _ in range(_files.MAX_DEPTH + 1):
        values.append([])
        values = values[0]
    shared = [1.0]
    for _ in range(_files.MAX_DEPTH + 1):
        shared = [shared, shared]  # 2^65 values for who walks through them
    return {
        "code": {"labels": Runs(marker)},
        "expanded": {"labels": torch.zeros(1).expand(2**40)},
        "sparse": {"labels": torch.sparse_coo_tensor(size=(2**40,), check_invariants=True)},
        "meta": {"labels": torch.empty(2**40, device="meta")},
        "nested": {"labels": nested},
        "shared": {"labels": shared},
        "a list": [torch.zeros(1)],
        "numbers for names": {1: torch.zeros(1)},
    }


@pytest.mark.parametrize("kind", hostile("marker"))
def test_a_hostile_file_of_tensors_is_refused(kind, tmp_path):
    torch.save(hostile(tmp_path / "marker")[kind], tmp_path / "a.pt")
    with pytest.raises(DamagedFileError, match=r"a\.pt (is damaged|cannot be read)"):
        read_tensors(tmp_path / "a.pt")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("content", [b"", b"text", tensor_bytes(CONTENTS)[:-100], tensor_bytes(CONTENTS)[100:]])
def test_no_file_of_tensors(content, tmp_path):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(DamagedFileError, match="cannot be read as tensors"):
        read_tensors(tmp_path / "a.pt")


def test_an_archive_that_unfolds_is_refused(tmp_path):
    content = io.BytesIO(tensor_bytes({"labels": torch.zeros(2**20)}))
    with zipfile.ZipFile(content) as before, zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as after:
        for member in before.infolist():
            after.writestr(member.filename, before.read(member))
    assert (tmp_path / "a.pt").stat().st_size < 2**14
    with pytest.raises(DamagedFileError, match="damaged"):
        read_tensors(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[" * 100 + b"]" * 100])
def test_no_json_file(content, tmp_path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"a\.json is damaged"):
        read_json(tmp_path / "a.json")


def test_a_json_file_without_end_is_refused(tmp_path):
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(_files.MAX_JSON_BYTES + 1)
    with pytest.raises(DamagedFileError, match="larger than"):
        read_json(tmp_path / "a.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among its files")
@pytest.mark.parametrize("read", [read_json, read_tensors])
def test_a_pipe_is_not_waited_for(read, tmp_path):
    os.mkfifo(tmp_path / "a")
    with pytest.raises(DamagedFileError, match="is no file"):
        read(tmp_path / "a")
    assert threading.active_count() >= 1


# ---- the files of one run --------------------------------------------------------------------------------------------


def test_a_run_finds_its_files(tmp_path):
    RunFolder(tmp_path, RUN).write_tensors("answers.pt", CONTENTS)
    said = []
    found = RunFolder(tmp_path, RUN, said.append).read_tensors("answers.pt")
    assert torch.equal(found["labels"], CONTENTS["labels"])
    assert "answers.pt" in RunFolder(tmp_path, RUN)
    assert "other.pt" not in RunFolder(tmp_path, RUN, said.append)
    assert said == []
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["run"] == RUN
    assert {"format", "version"} <= record.keys()


@pytest.mark.parametrize("change", [{"rule": "bayes"}, {"seed": 1}, {"settings": digest({"epochs": 3})}, {"fold": 0}])
def test_another_run_does_not(change, tmp_path):
    RunFolder(tmp_path, RUN).write_tensors("answers.pt", CONTENTS)
    said = []
    assert RunFolder(tmp_path, {**RUN, **change}, said.append).read("answers.pt") is None
    assert said[0] == f"{tmp_path / 'record.json'} is of another run: the files beside it are made anew."


def test_another_result_is_not_taken(tmp_path):
    """Be it a good file, such as that of another run, or one whose numbers somebody has changed."""
    folder, said = RunFolder(tmp_path, RUN), []
    folder.write_tensors("answers.pt", CONTENTS)
    torch.save({**CONTENTS, "labels": torch.arange(1, 6)}, tmp_path / "answers.pt")
    assert RunFolder(tmp_path, RUN, said.append).read_tensors("answers.pt") is None
    assert said == [f"{tmp_path / 'answers.pt'} is damaged or of another run: it is made anew."]


@pytest.mark.parametrize(
    "record",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"format": 1}',
        '{"format": 2}',
        '{"format": 1, "run": %s, "sha256": {"answers.pt": 5}}',
    ],
)
def test_a_damaged_record_vouches_for_nothing(record, tmp_path):
    RunFolder(tmp_path, RUN).write_tensors("answers.pt", CONTENTS)
    (tmp_path / "record.json").write_text(record.replace("%s", json.dumps(RUN)))
    said = []
    assert RunFolder(tmp_path, RUN, said.append).read("answers.pt") is None
    assert said
    RunFolder(tmp_path, RUN).write_tensors("answers.pt", CONTENTS)
    assert "answers.pt" in RunFolder(tmp_path, RUN)


def test_killed_at_any_moment_one_of_two_files_is_there(tmp_path, monkeypatch):
    first, second = b"first", b"second"
    replace = os.replace
    for moment in range(3):
        folder = tmp_path / str(moment)
        RunFolder(folder, RUN).write("last", first)
        left = [moment]

        def killed(*arguments, left=left):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            replace(*arguments)

        monkeypatch.setattr(os, "replace", killed)
        if moment < 2:
            with pytest.raises(KeyboardInterrupt):
                RunFolder(folder, RUN).write("last", second)
        else:
            RunFolder(folder, RUN).write("last", second)
        monkeypatch.undo()
        again = RunFolder(folder, RUN)
        assert again.read("last") == (second if moment == 2 else first)
        again.write("last", b"third")
        assert RunFolder(folder, RUN).read("last") == b"third"
