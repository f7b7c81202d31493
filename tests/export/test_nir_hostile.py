"""Files that ask for what they cannot hold, point elsewhere or never end: one sentence, soon and with little memory."""

import lzma
import random
import struct
import subprocess
import sys
import time
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.export import NIRFileError, hdf5

HERE = Path(__file__).parent


@pytest.fixture
def path(tmp_path):
    net = nn.Sequential(
        nn.Linear(6, 4), snn.RLeaky(beta=0.9, linear_features=4, reset_mechanism="zero", reset_delay=False)
    )
    net[1].init_hidden = True
    sb.binarize_(net, sb.Bernoulli())
    path = tmp_path / "net.nir"
    nir.write(path, sb.export.to_nir(net, torch.zeros(1, 6)))
    return path


def compact(group, key, shape, **options):
    """A data set of a shape that nothing is stored for."""
    group.create_dataset(key, shape, "f8", **options)


def bomb(group, key, count):
    """Many zeros in few bytes, again and again: every one of them is borne out, all together are not."""
    for index in range(count):
        group.create_dataset(f"{key}{index}", data=np.zeros(10**6), chunks=(10**6,), compression="gzip")


def other_file(node, path):
    secret = path.with_name("secret.h5")
    with h5py.File(secret, "w") as file:
        file["weight"] = np.ones((4, 6))
        file["raw"] = np.ones(24)
    return secret


def external_link(node, path):
    del node["nodes/0_linear/weight"]
    node["nodes/0_linear/weight"] = h5py.ExternalLink(str(other_file(node, path)), "/weight")


def external_storage(node, path):
    raw = path.with_name("secret.raw")
    raw.write_bytes(np.ones(24).tobytes())
    del node["nodes/0_linear/weight"]
    node["nodes/0_linear"].create_dataset("weight", (4, 6), "f8", external=[(str(raw), 0, 192)])


def virtual(node, path):
    layout = h5py.VirtualLayout((4, 6), "f8")
    layout[:] = h5py.VirtualSource(str(other_file(node, path)), "weight", (4, 6))
    del node["nodes/0_linear/weight"]
    node["nodes/0_linear"].create_virtual_dataset("weight", layout)


def circle(node, path):
    node["nodes/0_linear/metadata/again"] = node["nodes"]


def soft_link(node, path):
    node["nodes/0_linear/more"] = h5py.SoftLink("/node/nodes/0_linear/weight")


def twice(node, path):
    node["nodes/0_linear/more"] = node["nodes/0_linear/weight"]


def deep(node, path):
    for _ in range(40):
        node = node.create_group("nodes/deep" if "nodes" in node else "x")


def replace(node, key, value):
    del node[key]
    node[key] = value


HOSTILE = {
    "external link": (external_link, "'0_linear/weight'.*is a link to another place or file"),
    "external storage": (external_storage, "'0_linear/weight'.*is kept in another file"),
    "virtual": (virtual, "'0_linear/weight'.*is kept in another file"),
    "soft link": (soft_link, "'0_linear/more'.*is a link to another place or file"),
    "a circle": (circle, "'0_linear/metadata/again'.*stands in two places"),
    "one array in two places": (twice, "'0_linear/weight'.*stands in two places"),
    "forty groups deep": (deep, "nested too deeply"),
    "nothing is stored": (
        lambda n, p: compact(n["nodes/0_linear"], "a", (10**5,)),
        "'0_linear/a'.*larger than the file",
    ),
    "nothing is stored of 10^12": (
        lambda n, p: compact(n["nodes/0_linear"], "a", (10**12,), chunks=(10**3,)),
        "'0_linear/a'.*larger than the file can hold",
    ),
    "a large chunk": (
        lambda n, p: compact(n["nodes/0_linear"], "a", (1,), chunks=(10**8,), maxshape=(None,)),
        "'0_linear/a'.*larger than the file can hold",
    ),
    "complex numbers": (
        lambda n, p: replace(n, "nodes/0_linear/weight", np.ones((4, 6), np.complex128)),
        "'0_linear/weight'.*neither numbers nor text",
    ),
    "references": (
        lambda n, p: n["nodes/0_linear"].create_dataset("a", data=n.ref, dtype=h5py.ref_dtype),
        "'0_linear/a'.*neither numbers nor text",
    ),
    "arrays of any length": (
        lambda n, p: n["nodes/0_linear"].create_dataset("a", (3,), h5py.vlen_dtype(np.float64)),
        "'0_linear/a'.*(neither numbers nor text|larger)",
    ),
    "another compression": (
        lambda n, p: n["nodes/0_linear"].create_dataset("a", data=np.arange(99), scaleoffset=0),
        "'0_linear/a'.*compressed by other means",
    ),
    "a stride of 2^40": (lambda n, p: conv(n, 1, stride=2**40), "'c'.*sizes in \\[1, 1024\\]"),
    "a stride of zero": (lambda n, p: conv(n, stride=0), "'c'|does not hold together"),
    "padding of 2^40": (lambda n, p: conv(n, 8 + 2**41, padding=2**40), "'c'.*sizes in \\[0, 1024\\]"),
    "groups of 2^40": (lambda n, p: conv(n, groups=2**40), "'c'.*damaged"),
    "groups of -1": (lambda n, p: conv(n, groups=-1), "'c'.*damaged"),
    "an edge to nowhere": (
        lambda n, p: replace(n, "edges", np.array([[b"input", b"nowhere"]])),
        "does not hold together",
    ),
    "no edges": (lambda n, p: n.__delitem__("edges"), "does not hold together|inputs, and a network here has one"),
    "edges of numbers": (lambda n, p: replace(n, "edges", np.ones((3, 2))), "does not hold together"),
    "edges in a row": (lambda n, p: replace(n, "edges", np.array([b"input", b"output"])), "does not hold together"),
    "no nodes": (lambda n, p: n.__delitem__("nodes"), "is no NIRGraph"),
    "two types": (lambda n, p: replace(n, "nodes/0_linear/type", np.array([b"Linear", b"Affine"])), "unknown type"),
    "weights that are NaN": (
        lambda n, p: n["nodes/0_linear/weight"].__setitem__((0, 0), np.nan),
        "'0_linear'.*weight that is empty, infinite or no number",
    ),
    "biases too large for float32": (
        lambda n, p: replace(n, "nodes/0_linear/bias", np.array([1e300, 0.0, 0.0, 0.0])),
        "'0_linear'.*bias that is empty, infinite or no number",
    ),
    "a threshold too large for float32": (
        lambda n, p: n["nodes/1_rleaky/nodes/lif/v_threshold"].__setitem__(..., 1e300),
        "'1_rleaky.lif'.*constants that are infinite in float32",
    ),
    "latents that are NaN": (
        lambda n, p: n["nodes/0_linear/metadata/latent"].__setitem__((0, 0), np.nan),
        "'0_linear'.*'latent' is damaged",
    ),
    "a scale of 1e999": (
        lambda n, p: replace(n["nodes/0_linear/metadata"], "scale", "1e999"),
        "'0_linear'.*the number 1e999 is too large",
    ),
    "a rule twice": (
        lambda n, p: replace(n["nodes/0_linear/metadata"], "rule", '{"rule": "sign", "rule": "bernoulli"}'),
        "'0_linear'.*the key 'rule' stands twice",
    ),
    "a temperature that is a word": (
        lambda n, p: replace(n["nodes/0_linear/metadata"], "rule", '{"rule": "bernoulli", "tau": "1"}'),
        "'0_linear'.*`tau` to be of the type of 1.0",
    ),
    "an infinite time step": (lambda n, p: replace(n["metadata"], "dt", np.inf), "time step is .*inf"),
}


def conv(node, outputs=8, **changes):
    """A graph of one convolution, of eight positions."""
    sizes = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | changes
    del node["nodes"], node["edges"]
    for key in ("input", "output"):
        node[f"nodes/{key}/type"] = key.capitalize()
        node[f"nodes/{key}/shape"] = np.array([2, 8 if key == "input" else outputs])
    node["nodes/c/type"] = "Conv1d"
    node["nodes/c/weight"], node["nodes/c/bias"] = np.arange(1.0, 5.0).reshape(2, 2, 1), np.ones(2)
    node["nodes/c/input_shape"] = 8
    for key, value in sizes.items():
        node[f"nodes/c/{key}"] = value
    node["edges"] = np.array([[b"input", b"c"], [b"c", b"output"]])


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(path, name, reading):
    change, sentence = HOSTILE[name]
    with h5py.File(path, "r+") as file:
        change(file["node"], path)
    with pytest.raises(NIRFileError, match=sentence) as raised:
        sb.export.from_nir(path)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 800


@pytest.mark.slow
def test_many_nodes(path, reading):
    with h5py.File(path, "r+") as file:
        for index in range(1001):
            file[f"node/nodes/n{index}/type"] = "Threshold"
            file[f"node/nodes/n{index}/threshold"] = np.ones(1)
    with pytest.raises(NIRFileError, match="has 1005 nodes and 3 edges, more than a network has"):
        sb.export.from_nir(path)


@pytest.mark.slow
def test_what_gzip_unfolds_is_in_proportion_to_the_file(path, reading):
    """Arrays of 8 MB, each in 8 KB: a thousand times the file, which gzip can hold."""
    with h5py.File(path, "r+") as file:
        bomb(file["node/nodes/0_linear"], "a", 20)
    with pytest.raises(NIRFileError, match=r"'0_linear'.*is damaged"):
        sb.export.from_nir(path)
    assert reading.memory < 4 * 1100 * path.stat().st_size + 300 * 2**20


def test_a_reader_that_never_ends_or_crashes(path, tmp_path, monkeypatch):
    """Whatever the HDF5 library does with a file, this process goes on."""
    for script, seconds in (("import os; os.abort()", 10), ("import time; time.sleep(600)", 10)):
        (tmp_path / "child.py").write_text(script)
        monkeypatch.setattr(hdf5, "_CHILD", tmp_path / "child.py")
        monkeypatch.setattr(hdf5, "_WALL", 0.3)
        start = time.monotonic()
        with pytest.raises(NIRFileError, match="takes more than 5 s or more memory than it can fill"):
            sb.export.from_nir(path)
        assert time.monotonic() - start < seconds


@pytest.mark.slow
def test_a_changed_byte_on_which_the_hdf5_library_never_ends(tmp_path, monkeypatch):
    """A string's length in the global heap; reading it by h5py 3.16, HDF5 2.0, was stopped after minutes."""
    path = tmp_path / "endless.nir"
    path.write_bytes(lzma.decompress((HERE / "files" / "endless.nir.xz").read_bytes()))
    monkeypatch.setattr(hdf5, "_SECONDS", 2)
    with pytest.raises(NIRFileError, match="no readable NIR file"):
        sb.export.from_nir(path)


class Reading:
    """Reads many files by the same code, each in a fork of one process that has imported h5py: fifty times faster."""

    def __init__(self):
        child = Path(hdf5.__file__).with_name("hdf5_child.py")
        command = [sys.executable, str(HERE / "reading_server.py"), str(child)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.seconds = self.memory = 0.0

    def __call__(self, path, seconds):
        self.process.stdin.write(f"{seconds} {path}\n".encode())
        self.process.stdin.flush()
        length, used, memory = struct.unpack("<qdq", self.process.stdout.read(24))
        self.seconds, self.memory = used, 1024 * memory
        return None if length < 0 else self.process.stdout.read(length)


@pytest.fixture(scope="module")
def server():
    if not hasattr(sys, "getwindowsversion"):
        reading = Reading()
        yield reading
        reading.process.stdin.close()
        reading.process.stdout.close()
        reading.process.wait()


@pytest.fixture
def reading(server, monkeypatch):
    monkeypatch.setattr(hdf5, "_answer_of_child", server)
    return server


def mutated(whole, used, chance):
    """A file cut, or with some bytes changed: of a file of a hundred thousand zeros, mostly the others."""
    content = bytearray(whole)
    if chance.random() < 0.1:
        return content[: chance.randrange(len(content))]
    for _ in range(chance.choice([1, 1, 1, 2, 8])):
        at = chance.choice(used) if chance.random() < 0.8 else chance.randrange(len(content))
        content[at] = chance.choice([chance.randrange(256), content[at] ^ 1 << chance.randrange(8), 0, 255])
    return content


@pytest.mark.slow
@pytest.mark.parametrize("files", [80, pytest.param(20_000, marks=pytest.mark.repeated)])
def test_mutated_files(path, reading, files, monkeypatch):
    monkeypatch.setattr(hdf5, "_SECONDS", 2)
    whole, chance = path.read_bytes(), random.Random(0)
    used = [at for at, byte in enumerate(whole) if byte]
    loaded = ended = 0
    slowest = most = 0.0
    reading(path, 2)
    least = reading.memory
    for _ in range(files):
        path.write_bytes(mutated(whole, used, chance))
        start = time.process_time()
        try:
            net = sb.export.from_nir(path)
        except NIRFileError as error:
            message = str(error)
        else:
            message = ""
            loaded += 1
            assert all(bool(torch.isfinite(value).all()) for value in net.state_dict().values())
        assert "\n" not in message
        ended += "takes more than" in message
        slowest = max(slowest, reading.seconds, time.process_time() - start)
        most = max(most, reading.memory)
    assert files / 20 < loaded < files
    assert slowest < 3.5  # two seconds, and how often a system looks
    assert most < least + 400 * 2**20
    print(
        f"{files} files, {loaded} loaded, {ended} ended by their limits, the slowest took {slowest:.2f} s, "
        f"the largest {(most - least) / 2**20:.0f} MiB more than the first"
    )
