"""Exported C on this machine: compiled to a library of its own and called, step by step."""

import atexit
import ctypes
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import snntorch_binary as sb

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror"]
COMPILERS = {"gcc": ["gcc", "-std=c99"], "g++": ["g++", "-std=c++11", "-x", "c++"]}

_SHIM = """
#include <stdlib.h>
#include "{name}.h"
#ifdef __cplusplus
extern "C" {{
#endif
{name}_state *host_new(void);
unsigned long host_size(void);
#ifdef __cplusplus
}}
#endif
{name}_state *host_new(void) {{ return ({name}_state *)malloc(sizeof({name}_state)); }}
unsigned long host_size(void) {{ return (unsigned long)sizeof({name}_state); }}
"""


def compiler(name="gcc"):
    """The command of a compiler, or a skipped test."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return COMPILERS[name]


class Answer(NamedTuple):
    """What a network answers."""

    label: int
    probabilities: torch.Tensor
    entropy: float
    mutual_information: float


class Device:
    """A network on the device, which is this machine."""

    def __init__(self, packed, folder, name="net", *, language="gcc", flags=("-O1",), **options):
        compiler(language)
        self.sizes = sb.export.to_c(packed, folder / "c", name, **options)
        self._open(folder / "c", folder, name, language, flags)

    @classmethod
    def of(cls, written, folder, name, *, language="gcc", flags=("-O1",)):
        """A network that was exported before."""
        device = cls.__new__(cls)
        device._open(written, folder, name, language, flags)
        return device

    def _open(self, written, folder, name, language, flags):
        command = compiler(language)
        self.folder, self.name = written.absolute(), name
        shim = folder / "shim.c"
        shim.write_text(_SHIM.format(name=name))
        library = folder / "net.so"
        runtime = objects(command, (*flags, "-fPIC"), self.folder / "snnb.c")
        sources = [str(self.folder / f"{name}.c"), str(shim), "-x", "none", str(runtime)]
        options = [*WARNINGS, *flags, "-ffp-contract=off", "-fPIC", "-shared", f"-I{self.folder}"]
        build([*command, *options, *sources, "-lm", "-o", str(library)])
        self.library = ctypes.CDLL(str(library))
        self.library.host_new.restype = ctypes.c_void_p
        self.library.host_size.restype = ctypes.c_ulong
        header = (self.folder / f"{name}.h").read_text()
        define = {key: int(value) for key, value in re.findall(r"#define \w+?_(INPUTS|CLASSES|MEMBERS) (\d+)u", header)}
        self.inputs, self.classes, self.members = define["INPUTS"], define["CLASSES"], define["MEMBERS"]
        self.real = f"{name}_step_real" in header
        self.wide = "const uint32_t *events" in header
        self.number = ctypes.c_int32 if "int32_t *scores" in header else ctypes.c_float
        self.state = ctypes.c_void_p(self.library.host_new())

    def call(self, what, *args):
        """Call one of the network's functions."""
        return getattr(self.library, f"{self.name}_{what}")(self.state, *args)

    def scores(self):
        """Class scores of the members, [K, C]."""
        scores = (self.number * (self.members * self.classes))()
        self.call("scores", scores)
        return torch.tensor(list(scores)).view(self.members, self.classes)

    def answer(self):
        """What the network answers; without probabilities the label alone."""
        classes = max(2, self.classes)
        memory = (ctypes.c_uint32 * (3 + classes))()
        self.call("result", memory)
        floats = [ctypes.c_float.from_buffer(memory, 4 * i).value for i in range(1, 3 + classes)]
        return Answer(int(memory[0]), torch.tensor(floats[:classes]), floats[classes], floats[classes + 1])

    def run(self, x, events=False):
        """Class scores [K, C] after a sequence of one example, [T, ...]."""
        self.call("reset")
        for step in x.flatten(1):
            self.step(step, events)
        return self.scores()

    def step(self, x, events=False):
        """One time step, of inputs [N]."""
        if self.real:
            return self.call("step_real", (self.number * self.inputs)(*x.tolist()))
        places = x.nonzero().flatten().tolist()
        if events:
            kind = ctypes.c_uint32 if self.wide else ctypes.c_uint16
            return self.call("step_events", (kind * max(1, len(places)))(*places), ctypes.c_uint32(len(places)))
        return self.call("step", (ctypes.c_uint32 * ((self.inputs + 31) // 32))(*words_of(x)))


def words_of(x):
    """Spikes [N] as words of 32 bits."""
    words = [0] * ((len(x) + 31) // 32)
    for place in x.nonzero().flatten().tolist():
        words[place // 32] |= 1 << place % 32
    return words


def objects(command, flags, source):
    """The runtime, compiled once for each way of compiling."""
    key = (*command, *flags)
    if key not in _RUNTIMES:
        folder = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        built = folder / "snnb.o"
        build([*command, *WARNINGS, *flags, "-ffp-contract=off", "-c", str(source), "-o", str(built)])
        _RUNTIMES[key] = built
    return _RUNTIMES[key]


_RUNTIMES = {}


def build(command):
    """Run a compiler, which has to say nothing."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
