import io
import os
import tarfile
import zipfile

import pytest

from snntorch_binary.data import CorruptDataError, DataNotFoundError
from snntorch_binary.data.folders import find, fingerprint, unpack

PATTERNS = ("Train/[0-9]", "Test/[0-9]")


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_tar(path, members):
    with tarfile.open(path, "w:" + {".gz": "gz", ".xz": "xz", ".tar": ""}[path.suffix]) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def content(copies):
    """The files of each copy, relative to the folder that holds it."""
    return [
        sorted(file.relative_to(home).as_posix() for home in copy for file in home.rglob("*.bin")) for copy in copies
    ]


@pytest.fixture
def user(tmp_path):
    folder = tmp_path / "user"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("place", ["NMNIST/", ""])
def test_an_unpacked_tree_is_found_and_wins_over_archives(user, place):
    file = user / place / "Train" / "6" / "00014.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    write_zip(user / "other.zip", {"Train/7/1.bin": b"y"})
    assert find(user, "NMNIST", PATTERNS) == [[user / place]]


@pytest.mark.parametrize("place", ["NMNIST/", ""])
@pytest.mark.parametrize("top", ["", "NMNIST/", "some/NMNIST/"])
@pytest.mark.parametrize(("name", "write"), [("a.zip", write_zip), ("a.tar.gz", write_tar), ("a.tar", write_tar)])
def test_archives_are_unpacked_once_and_nothing_is_written_beside_them(user, cache, place, top, name, write):
    (user / "NMNIST").mkdir()
    write(user / place / name, {f"{top}Train/6/1.bin": b"abc", f"{top}Test/6/2.bin": b"d"})
    write_zip(user / "unrelated.zip", {"cats/1.bin": b"z"})
    before = snapshot(user)
    copies = find(user, "NMNIST", PATTERNS)
    assert content(copies) == [["Test/6/2.bin", "Train/6/1.bin"]]
    assert (copies[0][0] / "Train/6/1.bin").read_bytes() == b"abc"
    unpacked = snapshot(cache)
    assert find(user, "NMNIST", PATTERNS) == copies
    assert snapshot(cache) == unpacked
    assert snapshot(user) == before
    assert len(list((cache / "archives").iterdir())) == 1  # neither scratch folders nor the unrelated archive


def test_train_and_test_archives_are_halves_of_one_copy(user):
    write_zip(user / "train.zip", {"Train/6/1.bin": b"abc"})
    write_zip(user / "test.zip", {"Test/6/2.bin": b"abc"})
    write_zip(user / "more.zip", {"Train/6/3.bin": b"abc"})
    assert sorted(content(find(user, "NMNIST", PATTERNS))) == [
        ["Test/6/2.bin", "Train/6/1.bin"],
        ["Train/6/3.bin"],
    ]


def test_a_changed_archive_is_unpacked_again(user):
    archive = user / "a.zip"
    write_zip(archive, {"Train/6/1.bin": b"old"})
    old = unpack(archive)
    write_zip(archive, {"Train/6/1.bin": b"new"})
    os.utime(archive, ns=(1, 1))
    assert unpack(archive) != old
    assert (unpack(archive) / "Train/6/1.bin").read_bytes() == b"new"


@pytest.mark.parametrize("member", ["../evil.bin", "/evil.bin", "Train/../../evil.bin"])
@pytest.mark.parametrize(("name", "write"), [("a.zip", write_zip), ("a.tar.xz", write_tar)])
def test_members_that_escape_are_refused(user, cache, name, write, member):
    write(user / name, {"Train/6/1.bin": b"abc", member: b"evil"})
    with pytest.raises(CorruptDataError, match=f"{name} was refused: .*evil"):
        find(user, "NMNIST", PATTERNS)
    assert list((cache / "archives").iterdir()) == []
    assert not list(user.parent.glob("evil*"))
    assert not list(cache.glob("evil*"))


@pytest.mark.parametrize(("name", "write"), [("a.zip", write_zip), ("a.tar.gz", write_tar), ("a.tar.xz", write_tar)])
def test_a_truncated_archive_is_named(user, cache, name, write):
    archive = user / name
    write(archive, {f"Train/6/{i}.bin": os.urandom(2000) for i in range(30)})
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(CorruptDataError, match=rf"{name} is truncated or damaged"):
        find(user, "NMNIST", PATTERNS)
    assert list(cache.rglob("*.bin")) == []


def test_missing_things_are_said(user):
    assert find(user, "NMNIST", PATTERNS) == []
    assert find(None, "NMNIST", PATTERNS) == []
    with pytest.raises(DataNotFoundError, match=r"`data_dir` to be an existing folder, but got '.*nowhere'"):
        find(user / "nowhere", "NMNIST", PATTERNS)


def test_a_cache_that_cannot_be_made_is_said(user, monkeypatch):
    (user / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(user / "file"))
    with pytest.raises(OSError, match="set the environment variable XDG_CACHE_HOME"):
        find(None, "NMNIST", PATTERNS)


def test_a_user_without_a_home_is_told_what_to_set(user, monkeypatch):
    """As under ``docker run -u 1234``: HOME is not set, and the user has no entry with a home folder."""

    def no_entry(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for variable in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", no_entry)
    write_zip(user / "a.zip", {"Train/6/1.bin": b"abc"})
    for folder in (None, user):
        with pytest.raises(OSError, match=r"no home folder, .* set the environment variable XDG_CACHE_HOME"):
            find(folder, "NMNIST", PATTERNS)
    monkeypatch.setenv("XDG_CACHE_HOME", str(user.parent / "cache"))
    assert content(find(user, "NMNIST", PATTERNS)) == [["Train/6/1.bin"]]


def test_fingerprints_differ_by_file_and_parameter(user):
    a, b = user / "a", user / "b"
    a.write_bytes(b"x")
    b.write_bytes(b"x")
    prints = [fingerprint([a], 1), fingerprint([a], 2), fingerprint([b], 1), fingerprint([a, b], 1)]
    os.utime(a, ns=(5, 5))
    prints.append(fingerprint([a], 1))
    assert len(set(prints)) == 5
    assert fingerprint([a], 1) == prints[-1]
