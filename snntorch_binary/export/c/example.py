"""`example/`: the network as it is used, which builds with make, as an Arduino library, and as a Zephyr module."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from snntorch_binary.export.c.constants import braces, words_of
from snntorch_binary.export.c.numbers import Numbers
from snntorch_binary.export.c.program import Program

_MOST_STEPS = 32


def write_example(
    folder: Path, name: str, program: Program, numbers: Numbers, x: Tensor | None, probabilities: bool
) -> None:
    """Write the example beside a network.

    Args:
        folder: which holds the network and the runtime.
        name: of the network.
        program: the network.
        numbers: how it computes with real numbers.
        x: an example that it is shown, [T, N], of one with time steps of its own [1, N]; ``None`` for no spikes.
        probabilities: whether its answers have them.
    """
    example = folder / "example"
    sources = [f"{name}.h", f"{name}.c", "snnb.h", "snnb.c"]
    sketch = example / "examples" / f"{name}_answers"
    for place in (example / "src", sketch, example / "zephyr"):
        place.mkdir(parents=True)
    for file in sources:
        (example / "src" / file).write_bytes((folder / file).read_bytes())
    (example / "src" / "shown.h").write_text(_shown(name, program, numbers, x))
    real = program.input.kind != "bit"
    given = {"name": name, "NAME": name.upper(), "call": "step_real" if real else "step"}
    sure = _SURE if probabilities else '        printf("step %u: class %u\\n", t + 1, (unsigned)answer.label);'
    texts = {
        "main.c": _MAIN.format(**given, say=sure.format(NAME=name.upper())),
        "Makefile": _MAKEFILE.format(**given),
        "library.properties": _LIBRARY.format(**given),
        "CMakeLists.txt": _CMAKE.format(**given),
        "zephyr/module.yml": _MODULE.format(**given),
        "README.txt": _README.format(**given),
        f"examples/{sketch.name}/{sketch.name}.ino": _SKETCH.format(
            **given, more=_SKETCH_SURE.format(NAME=name.upper()) if probabilities else ""
        ),
    }
    for file, text in texts.items():
        (example / file).write_text(text, encoding="ascii")


def _shown(name: str, program: Program, numbers: Numbers, x: Tensor | None) -> str:
    """Return what the example is shown."""
    rows = torch.zeros(4, program.input.size) if x is None else x[:_MOST_STEPS]
    if program.input.kind == "bit":
        kind, texts = "uint32_t", [[f"0x{word:08X}u" for word in words_of(row[None] != 0).tolist()] for row in rows]
    else:
        kind, texts = numbers.type, [[numbers.stored(value) for value in row.tolist()] for row in rows]
    content = ",\n".join(map(braces, texts))
    own = program.own_steps is not None
    rows_are = "the same at every time step" if own else "one row a time step"
    return f"""/* What the example shows the network, {rows_are}. */
#include "{name}.h"

#define SHOWN_STEPS {f"{name.upper()}_STEPS" if own else f"{len(texts)}u"}
#define SHOWN(t) shown[{"0" if own else "t"}]
static const {kind} shown[{len(texts)}][{len(texts[0])}] = {{
{content}}};
"""


_SURE = """        printf("step %u: class %u with probability %.3f%s\\n", t + 1, (unsigned)answer.label,
               (double)answer.probabilities[answer.label], answer.entropy > UNSURE ? ", not sure" : "");"""

_MAIN = """/* Shows the network an example, and says after every time step what it takes it for. */
#include <stdio.h>

#include "shown.h"

/* Above this entropy, in nats, the answer is "not sure"; a program that waits for a sure one can stop below it. */
#define UNSURE 0.5f

int main(void) {{
    static {name}_state state;
    {name}_answer answer;
    unsigned t;
    {name}_reset(&state);
    for (t = 0; t < SHOWN_STEPS; t++) {{
        {name}_{call}(&state, SHOWN(t));
        {name}_result(&state, &answer);
{say}
    }}
    return 0;
}}
"""

_MAKEFILE = """# `make` builds the example for this machine and runs it.
CC ?= cc
CFLAGS ?= -O2 -Wall -Wextra -pedantic
# Without this, some compilers fuse a product and a sum into one rounding, and spikes may be others than in training.
EXACT = -std=c99 -ffp-contract=off

run: answers
\t./answers

answers: main.c src/{name}.c src/snnb.c src/{name}.h src/snnb.h src/shown.h
\t$(CC) $(EXACT) $(CFLAGS) -Isrc main.c src/{name}.c src/snnb.c -lm -o answers

clean:
\trm -f answers

.PHONY: run clean
"""

_LIBRARY = """name={name}
version=1.0.0
author=snntorch_binary
maintainer=snntorch_binary
sentence=A spiking network of 1-bit weights.
paragraph=Shows a network of spikes one time step after the other, and answers with a class and how sure it is.
category=Data Processing
url=https://pypi.org/project/snntorch-binary
architectures=*
includes={name}.h
"""

_SKETCH = """// Shows the network an example, and says what it takes it for.
#include <shown.h>

static {name}_state state;

void setup() {{
  Serial.begin(115200);
}}

void loop() {{
  {name}_answer answer;
  {name}_reset(&state);
  for (unsigned t = 0; t < SHOWN_STEPS; t++) {name}_{call}(&state, SHOWN(t));
  {name}_result(&state, &answer);
  Serial.print("class ");
  Serial.println((unsigned long)answer.label);
{more}  delay(1000);
}}
"""

_SKETCH_SURE = """  Serial.print("entropy in nats ");
  Serial.println(answer.entropy);
"""

_CMAKE = """# The network as a library of Zephyr.
zephyr_library()
zephyr_library_sources(src/{name}.c src/snnb.c)
zephyr_library_compile_options(-ffp-contract=off)
zephyr_include_directories(src)
"""

_MODULE = """name: {name}
build:
  cmake: .
"""

_README = """The network {name} as it is used.

PC       make
Arduino  Put this folder into the libraries folder of the sketchbook, and open the example {name}_answers.
Zephyr   Give this folder as a module: west build -- -DZEPHYR_EXTRA_MODULES=PATH_OF_THIS_FOLDER
others   Compile src/{name}.c and src/snnb.c with -std=c99 -ffp-contract=off.
"""
