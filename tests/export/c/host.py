"""Exported C on this machine: compiled to a library of its own and called, step by step."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import snntorch_binary as sb

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror"]
COMPILERS = {"gcc": ["gcc", "-std=c99"], "g++": ["g++", "-std=c++11", "-x", "c++"]}

_SHIM = """
#include <stdlib.h>
#include "{name}.h"
{name}_state *host_new(void) {{ return ({name}_state *)malloc(sizeof({name}_state)); }}
unsigned long host_size(void) {{ return (unsigned long)sizeof({name}_state); }}
"""


def compiler(name="gcc"):
    """The command of a compiler, or a skipped test."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return COMPILERS[name]


class Answer(ctypes.Structure):
    """What a network with probabilities answers; the arrays are read from memory."""


class Device:
    """A network on the device, which is this machine."""

    def __init__(self, packed, folder, name="net", *, language="gcc", flags=("-O1",), **options):
        command = compiler(language)
        self.sizes = sb.export.to_c(packed, folder / "c", name, **options)
        self.folder, self.name = folder / "c", name
        shim = folder / ("shim.cpp" if language == "g++" else "shim.c")
        shim.write_text(_shim(name, language))
        library = folder / "net.so"
        sources = [str(self.folder / f"{name}.c"), str(self.folder / "snnb.c"), str(shim)]
        build = [*command, *WARNINGS, *flags, "-ffp-contract=off", "-fPIC", "-shared", f"-I{self.folder}"]
        done = subprocess.run([*build, *sources, "-lm", "-o", str(library)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        self.library = ctypes.CDLL(str(library))
        self.library.host_new.restype = ctypes.c_void_p
        self.library.host_size.restype = ctypes.c_ulong
        header = (self.folder / f"{name}.h").read_text()
        define = {key: int(value) for key, value in re.findall(r"#define \w+?_(INPUTS|CLASSES|MEMBERS) (\d+)u", header)}
        self.inputs, self.classes, self.members = define["INPUTS"], define["CLASSES"], define["MEMBERS"]
        self.real = f"{name}_step_real" in header
        self.wide = f"const uint32_t *events" in header
        self.has_probabilities = "mutual_information" in header
        self.state = ctypes.c_void_p(self.library.host_new())

    def run(self, x, events=False):
        """Class scores [K, C] and the answer after a sequence of one example, [T, ...]."""
        call = {key: getattr(self.library, f"{self.name}_{key}") for key in ("reset", "scores", "result")}
        call["reset"](self.state)
        for step in x.flatten(1):
            self.step(step, events)
        scores = (ctypes.c_float * (self.members * self.classes))()
        call["scores"](self.state, scores)
        answer = (ctypes.c_uint32 * (3 + max(2, self.classes)))()
        call["result"](self.state, answer)
        floats = torch.tensor([ctypes.c_float.from_buffer(answer, 4 * i).value for i in range(1, len(answer))])
        return torch.tensor(list(scores)).view(self.members, self.classes), int(answer[0]), floats

    def step(self, x, events=False):
        """One time step, of inputs [N]."""
        if self.real:
            numbers = (ctypes.c_float * self.inputs)(*x.tolist())
            return getattr(self.library, f"{self.name}_step_real")(self.state, numbers)
        places = x.nonzero().flatten().tolist()
        if events:
            kind = ctypes.c_uint32 if self.wide else ctypes.c_uint16
            given = (kind * max(1, len(places)))(*places)
            return getattr(self.library, f"{self.name}_step_events")(self.state, given, ctypes.c_uint32(len(places)))
        words = (ctypes.c_uint32 * ((self.inputs + 31) // 32))()
        for place in places:
            words[place // 32] |= 1 << place % 32
        return getattr(self.library, f"{self.name}_step")(self.state, words)


def _shim(name, language):
    text = _SHIM.format(name=name)
    if language != "g++":
        return "struct none;\n" + text.replace("host_new(void) {", "host_new(void);\n" + f"{name}_state *host_new(void) {{", 1).replace(
            "unsigned long host_size(void) {", "unsigned long host_size(void);\nunsigned long host_size(void) {", 1
        )
    return text.replace(f"{name}_state *host_new", f'extern "C" {name}_state *host_new', 1).replace(
        "unsigned long host_size", 'extern "C" unsigned long host_size', 1
    )
