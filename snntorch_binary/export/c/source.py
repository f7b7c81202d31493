"""`NAME.c` and `NAME.h` of a program."""

from __future__ import annotations

from dataclasses import dataclass

from snntorch_binary.export.c.constants import Constants
from snntorch_binary.export.c.numbers import Floats, Numbers
from snntorch_binary.export.c.plan import Plan, plan, words
from snntorch_binary.export.c.program import Delay, Program
from snntorch_binary.export.c.readout import Readout
from snntorch_binary.export.c.sizes import Sizes, sizes_of
from snntorch_binary.export.c.steps import Steps


@dataclass(frozen=True)
class Source:
    """The text of a network.

    Attributes:
        header: of ``NAME.h``.
        code: of ``NAME.c``.
        sizes: what it takes on a device.
    """

    header: str
    code: str
    sizes: Sizes


def source(program: Program, name: str, numbers: Numbers, probabilities: bool, notes: list[str]) -> Source:
    """Return the text of a program.

    Args:
        program: the program.
        name: with which all that it defines begins.
        numbers: how real numbers are computed with.
        probabilities: whether answers have them, which need the mathematical library.
        notes: lines for the comment at the top.
    """
    planned = plan(program)
    constants = Constants(name, numbers)
    steps = Steps(planned, numbers, constants)
    readout = Readout(program.reading, name, numbers, program.members, probabilities)
    lines = [*steps.lines(), *readout.step(steps), *steps.end()]
    reset = _reset(planned, numbers, constants)
    sizes = sizes_of(planned, constants, readout)
    code = _CODE.format(
        name=name,
        include="#include <math.h>\n" if probabilities else "",
        constants="\n".join(constants.declarations()),
        NAME=name.upper(),
        input=_input(program, numbers),
        steps="\n".join(lines),
        reset="\n".join(reset),
        result=readout.code(),
        entry=_entry(program, name, numbers),
        unused="    (void)k;\n    (void)i;\n    (void)w;\n",
    )
    header = _HEADER.format(
        name=name,
        NAME=name.upper(),
        notes="\n".join(f" * {line}".rstrip() for line in [*sizes.lines(), *notes]),
        sizes=_sizes(program, name),
        member="\n".join(f"    {line}" for line in [*_states(planned, numbers), *readout.state()]),
        rooms="\n".join(f"    {line}" for line in _rooms(planned, numbers)),
        answer=readout.answer(),
        steps=_declarations(program, name, numbers),
    )
    return Source(header, code, sizes)


def _input(program: Program, numbers: Numbers) -> str:
    return "const uint32_t" if program.input.kind == "bit" else f"const {numbers.type}"


def _sizes(program: Program, name: str) -> str:
    sizes = {"INPUTS": program.input.size, "CLASSES": program.reading.node.size, "MEMBERS": program.members}
    lines = [f"#define {name.upper()}_{what} {size}u" for what, size in sizes.items()]
    if program.own_steps is not None:
        lines += ["/* Time steps of an answer, at each of which the network sees the same input. */"]
        lines += [f"#define {name.upper()}_STEPS {program.own_steps}u"]
    return "\n".join(lines)


def _states(planned: Plan, numbers: Numbers) -> list[str]:
    number = {node: index for index, node in enumerate(planned.program.nodes)}
    return [
        f"uint32_t d{number[node]}[{words(node.size)}];"
        if node.kind == "bit"
        else f"{numbers.type} d{number[node]}[{node.size}];"
        for node in planned.program.nodes
        if isinstance(node, Delay)
    ]


def _rooms(planned: Plan, numbers: Numbers) -> list[str]:
    types = {"bits": "uint32_t", "sums": "int16_t", "reals": numbers.type}
    lines = [f"{types[room]} {room}[{size}];" for room, size in planned.rooms.items() if size]
    lines += [f"uint32_t scratch[{planned.scratch}];"] if planned.scratch else []
    if planned.program.input.kind == "bit":
        lines.append(f"uint32_t events[{words(planned.program.input.size)}];")
    return lines


def _reset(planned: Plan, numbers: Numbers, constants: Constants) -> list[str]:
    """Return the lines that start states which do not begin with zeros."""
    number = {node: index for index, node in enumerate(planned.program.nodes)}
    lines: list[str] = []
    for node in planned.program.nodes:
        if not isinstance(node, Delay) or not bool((node.initial.values != 0).any()):
            continue
        value, at = constants.number(node.initial), f"m->d{number[node]}"
        if node.kind == "bit":
            lines.append(
                f"        for (i = 0; i < {node.size}u; i++) if ({value} != {numbers.literal(0.0)}) SNNB_SET({at}, i);"
            )
        else:
            lines.append(f"        for (i = 0; i < {node.size}u; i++) {at}[i] = {value};")
    return lines


def _declarations(program: Program, name: str, numbers: Numbers) -> str:
    if program.input.kind != "bit":
        unit = "" if isinstance(numbers, Floats) else f", with {numbers.point} binary places"
        return (
            f"/* One time step, of {name.upper()}_INPUTS numbers{unit}. */\n"
            f"void {name}_step_real({name}_state *s, const {numbers.type} *x);"
        )
    return f"""/* One time step, of {name.upper()}_INPUTS bits: words of 32, the first input in the lowest bit. */
void {name}_step({name}_state *s, const uint32_t *spikes);
/* One time step, of the inputs that spike, which may stand there twice; any other place is left out. */
void {name}_step_events({name}_state *s, const {event_type(program)} *events, uint32_t num_events);"""


def event_type(program: Program) -> str:
    """Return the type of the place of an input."""
    return "uint16_t" if program.input.size <= 2**16 else "uint32_t"


def _entry(program: Program, name: str, numbers: Numbers) -> str:
    if program.input.kind != "bit":
        return f"""void {name}_step_real({name}_state *s, const {numbers.type} *x) {{
    step(s, x);
}}"""
    return f"""void {name}_step({name}_state *s, const uint32_t *spikes) {{
    step(s, spikes);
}}

void {name}_step_events({name}_state *s, const {event_type(program)} *events, uint32_t num_events) {{
    uint32_t i;
    for (i = 0; i < num_events; i++)
        if (events[i] < {name.upper()}_INPUTS) SNNB_SET(s->events, (uint32_t)events[i]);
    step(s, s->events);
    for (i = 0; i < num_events; i++)
        if (events[i] < {name.upper()}_INPUTS) s->events[events[i] >> 5] = 0;
}}"""


_CODE = """#include "{name}.h"

{include}#include "snnb.h"

{constants}

/* One time step of member k. */
static void step_member({name}_state *s, uint32_t k, {input} *input) {{
    {name}_member *const m = &s->member[k];
    uint32_t i, w;
{unused}{steps}
}}

static void step({name}_state *s, {input} *input) {{
    uint32_t k;
    for (k = 0; k < {NAME}_MEMBERS; k++) step_member(s, k, input);
    s->steps++;
}}

{entry}

void {name}_reset({name}_state *s) {{
    uint32_t k, i;
    memset(s, 0, sizeof *s);
    for (k = 0; k < {NAME}_MEMBERS; k++) {{
        {name}_member *const m = &s->member[k];
        (void)m;
        (void)i;
{reset}
    }}
}}

{result}"""

_HEADER = """/* {name}: a spiking network of 1-bit weights, written by snntorch_binary.
 *
{notes}
 */
#ifndef {NAME}_H
#define {NAME}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

{sizes}

/* What one member keeps from step to step. */
typedef struct {{
{member}
}} {name}_member;

/* A network in use: its size is constant, and nothing else is kept. */
typedef struct {{
    uint32_t steps;
    {name}_member member[{NAME}_MEMBERS];
{rooms}
}} {name}_state;

{answer}

/* Return to rest; call it before every sequence. */
void {name}_reset({name}_state *s);
{steps}

#ifdef __cplusplus
}}
#endif
#endif
"""
