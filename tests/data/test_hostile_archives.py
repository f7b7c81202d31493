"""Whatever is in an archive, nothing is written outside its folder, and what is damaged is no data set."""

import io
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import hostile_archives as hostile
import pytest

from snntorch_binary.data import CorruptDataError, archives, folders
from snntorch_binary.data.folders import find, unpack

PATTERNS = ("Train/[0-9]", "Test/[0-9]")
REFUSED, ACCEPTED = sorted(hostile.refused("/x")), sorted(hostile.accepted())


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "there").write_bytes(b"as it was")
    return outside, hostile.refused(str(outside))


def snapshot(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def place(tmp_path, file):
    user = tmp_path / "user"
    user.mkdir()
    name, content = file
    (user / name).write_bytes(content() if callable(content) else content)
    return user


def test_there_are_enough():
    assert len(REFUSED) >= 55


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_or_damaged_archive_is_refused_in_a_sentence(name, table, tmp_path, cache):
    outside, files = table
    user = place(tmp_path, files[name])
    before, before_outside = snapshot(tmp_path), snapshot(outside)
    with pytest.raises(
        CorruptDataError, match=rf"^The archive .*{files[name][0]} (was refused|is truncated or dam)"
    ) as said:
        find(user, "NMNIST", PATTERNS)
    assert "\n" not in str(said.value)
    assert len(str(said.value)) < 1000
    assert snapshot(outside) == before_outside
    after = {path: content for path, content in snapshot(tmp_path).items() if path not in before}
    assert set(after) <= {
        cache / "archives",
        cache,
        cache.parent,
    }  # nothing half-unpacked, and nothing where a link led


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_odd_archive_gives_its_files_and_no_others(name, tmp_path, cache):
    user = place(tmp_path, hostile.accepted()[name])
    [[home]] = find(user, "NMNIST", PATTERNS)
    found = {path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert {name: content for name, content in found.items() if not name.startswith(".")} == hostile.GOOD
    for path in home.rglob("*"):
        assert os.access(path, os.R_OK)
        assert not path.is_symlink()


def test_an_archive_of_something_else_may_be_anything(tmp_path):
    user = place(tmp_path, ("backup.tar", hostile.tar(hostile.link("etc/x", "/etc/passwd"), good={})))
    assert find(user, "NMNIST", PATTERNS) == []


def test_more_members_than_the_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MAX_MEMBERS", 100)
    names = {f"Train/6/{number:05}.bin": b"x" for number in range(101)}
    for name, data in (("a.zip", hostile.zip_(good=names)), ("a.tar", hostile.tar(good=names))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(CorruptDataError, match=f"{name} was refused: it has more than 100 members"):
            unpack(tmp_path / name)
    (tmp_path / "b.tar").write_bytes(hostile.tar(good=dict(list(names.items())[:100])))
    assert len(list(unpack(tmp_path / "b.tar").rglob("*.bin"))) == 100


@pytest.mark.repeated
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_million_members(tmp_path, name):
    archive = tmp_path / name
    if name == "a.zip":
        with zipfile.ZipFile(archive, "w") as opened:
            for number in range(10**6):
                opened.writestr(f"Train/6/{number}", b"")
    else:
        with tarfile.open(archive, "w:gz") as opened:
            for number in range(10**6):
                opened.addfile(tarfile.TarInfo(f"Train/6/{number}"))
    start = time.monotonic()
    with pytest.raises(CorruptDataError, match="was refused"):
        unpack(archive)
    assert time.monotonic() - start < 300


@pytest.mark.slow
def test_memory_is_bounded(tmp_path):
    """Names and headers of a tar are held no longer than needed, and an extended header is not read whole."""
    content = hostile.pax(hostile.record(b"path", b"x" * 2**26))
    (tmp_path / "a.tar").write_bytes(hostile.behind(content, hostile.header("x")))
    with pytest.raises(CorruptDataError, match="header of a member has more than 1 MiB"):
        unpack(tmp_path / "a.tar")


def test_a_write_that_fails_leaves_nothing(tmp_path, cache, monkeypatch):
    (tmp_path / "a.zip").write_bytes(hostile.zip_())
    full = OSError(28, "No space left on device")

    class Full(io.FileIO):
        def write(self, data):
            raise full

    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, mode="r", **named: Full(self, "x") if "x" in mode else opened(self, mode, **named)
    )
    with pytest.raises(OSError, match="No space left"):
        unpack(tmp_path / "a.zip")
    assert list((cache / "archives").iterdir()) == []


def test_what_was_unpacked_by_halves_is_never_taken(tmp_path, cache, caplog):
    (tmp_path / "a.zip").write_bytes(hostile.zip_())
    tree = unpack(tmp_path / "a.zip")
    for damage in (
        lambda: (tree / "Train/6/00001.bin").unlink(),  # what cleans caches does
        lambda: (tree / "Train/6/00001.bin").write_bytes(b""),
        lambda: next(tree.glob(".*")).unlink(),
        lambda: next(tree.glob(".*")).write_text("{"),
    ):
        damage()
        caplog.clear()
        assert unpack(tmp_path / "a.zip") == tree
        assert (tree / "Train/6/00001.bin").read_bytes() == b"a" * 50
        assert "is unpacked again" in caplog.text
        assert list((cache / "archives").iterdir()) == [tree]


@pytest.mark.slow
def test_a_killed_unpacking_is_done_again(tmp_path, cache):
    """The process dies, without a word to Python, while the last member is written."""
    (tmp_path / "a.zip").write_bytes(hostile.zip_())
    code = (
        "import os, sys, pathlib\n"
        "from snntorch_binary.data import archives, folders\n"
        "content = archives._content\n"
        "archives._content = lambda a, member: os._exit(9) if 'Test' in member.name else content(a, member)\n"
        "folders.unpack(pathlib.Path(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.zip")], timeout=100)
    assert done.returncode == 9
    assert len(list((cache / "archives").rglob("*.bin"))) == 2  # one whole, one empty
    [[home]] = find(tmp_path, "NMNIST", PATTERNS)
    assert {path.relative_to(home).as_posix() for path in home.rglob("*.bin")} == set(hostile.GOOD)


def test_two_processes_unpack_at_once(tmp_path, cache, monkeypatch, caplog):
    """The other one is done just before this one is."""
    (tmp_path / "a.zip").write_bytes(hostile.zip_())
    trees = []

    def extract(archive, folder):
        monkeypatch.setattr(folders, "extract", archives.extract)
        trees.append(unpack(archive))
        archives.extract(archive, folder)

    monkeypatch.setattr(folders, "extract", extract)
    trees.append(unpack(tmp_path / "a.zip"))
    assert list((cache / "archives").iterdir()) == trees[:1] == trees[1:]
    assert len(list(trees[0].rglob("*.bin"))) == 2
    assert caplog.text == ""
