"""The C of one time step of one member: its groups of nodes in their order."""

from __future__ import annotations

from snntorch_binary.export.c.constants import Constants
from snntorch_binary.export.c.numbers import Floats, Numbers
from snntorch_binary.export.c.plan import ROOMS, Group, Plan, planes_of, words
from snntorch_binary.export.c.program import Const, Delay, Gather, Input, Kind, Map, Node, Pool, Weighted

Operand = tuple[str, Kind]


class Steps:
    """Writes the work of a time step.

    Args:
        plan: of the program.
        numbers: how real numbers are computed with.
        constants: to which arrays are added.
    """

    def __init__(self, plan: Plan, numbers: Numbers, constants: Constants) -> None:
        self.plan, self.numbers, self.constants = plan, numbers, constants
        self.number = {node: index for index, node in enumerate(plan.program.nodes)}
        self._now: dict[Node, str] = {}  # nodes that stand in a delay's place already

    def lines(self) -> list[str]:
        """Return the lines of what is computed at a time step."""
        return [
            line
            for group in self.plan.groups
            for line in (self._loop(group) if group.is_loop else self._call(group.nodes[0]))
        ]

    def end(self) -> list[str]:
        """Return the lines that write what is kept for the next step, behind all that reads what was kept."""
        return [line for delay in self.plan.copied for line in self._copied(delay)]

    # ---- where things are --------------------------------------------------------------------------

    def array(self, node: Node) -> str:
        """Return the array in which a node's elements stand."""
        if isinstance(node, Input):
            return "input"
        if isinstance(node, Delay):
            return f"m->d{self.number[node]}"
        if node in self._now:
            return self._now[node]
        place = self.plan.stored[node]
        return f"s->{ROOMS[node.kind]}" + (f" + {place}" if place else "")

    def element(self, node: Node, index: str = "i") -> str:
        """Return an element of a node's array."""
        array = self.array(node)
        if node.kind == "bit":
            return f"SNNB_BIT({array}, {index})"
        return f"({array})[{index}]" if " " in array else f"{array}[{index}]"

    # ---- loops over elements -----------------------------------------------------------------------

    def _loop(self, group: Group) -> list[str]:
        size, here = group.nodes[0].size, set(group.nodes)
        loads: dict[Node, None] = {}
        body: list[str] = []
        written: list[tuple[Node, str]] = []
        for node in group.nodes:
            assert isinstance(node, Map)
            for source in node.sources:
                if source not in here:
                    loads.setdefault(source)
            body.append(f"const {self._type(node)} v{self.number[node]} = {self._expression(node)};")
            arrays = [self.array(delay) for delay in self.plan.in_place.get(node, [])]
            if node in self.plan.stored:
                arrays.append(self.array(node))
            written += [(node, array) for array in arrays]
        before = [f"const {self._type(node)} v{self.number[node]} = {self.element(node)};" for node in loads]
        bits = [(node, array, f"word{index}") for index, (node, array) in enumerate(written) if node.kind == "bit"]
        after = [f"{_indexed(array)} = v{self.number[node]};" for node, array in written if node.kind != "bit"]
        after += [f"SNNB_FIRED({word}, v{self.number[node]});" for node, _, word in bits]
        for node in group.nodes:
            for delay in self.plan.in_place.get(node, []):
                self._now[node] = self.array(delay)
        work = [*before, *body, *after]
        if not bits:
            return [f"    for (i = 0; i < {size}u; i++) {{", *(f"        {line}" for line in work), "    }"]
        limits = (
            ["const uint32_t n = 32u;"]
            if size % 32 == 0
            else [f"const uint32_t n = {size}u - w < 32u ? {size}u - w : 32u;"]
        )
        limits.append(f"uint32_t j, {', '.join(f'{word} = 0' for _, _, word in bits)};")
        return [
            f"    for (w = 0; w < {size}u; w += 32u) {{",
            *(f"        {line}" for line in limits),
            "        for (j = 0; j < n; j++) {",
            *(f"            {line}" for line in ["const uint32_t i = w + j;", *work]),
            "        }",
            *(f"        {_indexed(array, 'w >> 5')} = SNNB_WORD({word}, n);" for _, array, word in bits),
            "    }",
        ]

    def _type(self, node: Node) -> str:
        return {"bit": "uint32_t", "sum": "int16_t", "real": self.numbers.type}[node.kind]

    def _operand(self, operand: Node | Const) -> Operand:
        if isinstance(operand, Const):
            return self.constants.number(operand), "real"
        return f"v{self.number[operand]}", operand.kind

    def _expression(self, node: Map) -> str:
        operands = [self._operand(each) for each in node.operands]
        real = [self.numbers.of(*each) for each in operands]
        if node.name in ("mul", "fma") and not any(isinstance(each, Const) for each in node.operands[:2]):
            operands = [(text, "real") for text in real]  # as nothing bounds what a count times a number makes
        if node.name in ("add", "sub", "mul", "div"):
            return self.numbers.binary(node.name, operands[0], operands[1])
        if node.name == "real":
            return real[0]
        if node.name == "neg":
            return f"-{real[0]}"
        if node.name == "fma":
            return self.numbers.fma(*operands)
        if node.name in ("gt", "ge"):
            return f"{real[0]} {'>' if node.name == 'gt' else '>='} {real[1]}"
        if node.name in ("max", "min"):
            return f"{real[0]} {'>' if node.name == 'max' else '<'} {real[1]} ? {real[0]} : {real[1]}"
        if node.name == "not":
            return f"{operands[0][0]} ^ (uint32_t)1"
        if node.name == "and":
            return f"{operands[0][0]} & {operands[1][0]}"
        assert node.name == "select"
        return f"{operands[0][0]} ? {real[1]} : {real[2]}"

    # ---- calls of the runtime ----------------------------------------------------------------------

    def _call(self, node: Node) -> list[str]:
        if isinstance(node, Weighted):
            return [f"    {self._sums(node)}"]
        if isinstance(node, Pool):
            kind = {"bit": "bits", "sum": "sums", "real": "real" if isinstance(self.numbers, Floats) else "fixed"}[
                node.kind
            ]
            channels = node.source.size // _volume(node.window.before)
            window = self.constants.window(node.window)
            return [f"    snnb_pool_{kind}({self.array(node.source)}, {channels}u, {window}, {self.array(node)});"]
        assert isinstance(node, Gather)
        return self._gathered(node)

    def _sums(self, node: Weighted) -> str:
        source, rows, outputs = self.array(node.source), self.constants.weights(node), node.positive.shape[1]
        out = self.array(node)
        if node.window is None and node.kind == "sum":
            if node.dense:
                return f"snnb_sum_columns({source}, {node.source.size}u, {rows}, {outputs}u, {out});"
            planes = f"s->scratch, {planes_of(node)}u"
            return f"snnb_sum_rows({source}, {node.source.size}u, {rows}, {outputs}u, {planes}, {out});"
        window = "0" if node.window is None else self.constants.window(node.window)
        channels = node.positive.shape[2] * node.groups
        given = f"{source}, {channels}u, {rows}, {outputs}u, {node.groups}u, {window}"
        if node.window is not None and node.kind == "sum":
            pool = self.constants.window(node.pool or node.window.over_one_place)
            return f"snnb_sum_window({given}, {pool}, s->scratch, {out});"
        kind = "real" if isinstance(self.numbers, Floats) else "fixed"
        return f"snnb_add_{kind}({given}, {out});"

    def _gathered(self, node: Gather) -> list[str]:
        places = self.constants.places(node.index)
        value = self.element(node.parts[0], "p")
        if len(node.parts) > 1:
            which = self.constants.places(node.which)
            for index, part in list(enumerate(node.parts))[1:]:
                value = f"({which}[i] == {index}u ? {self.element(part, 'p')} : {value})"
        lines = [f"    for (i = 0; i < {node.size}u; i++) {{", f"        const uint32_t p = {places}[i];"]
        if node.kind == "bit":
            out = self.array(node)
            lines.insert(0, f"    memset({out}, 0, {4 * words(node.size)}u);")
            return [*lines, f"        if ({value} != 0u) SNNB_SET({_whole(out)}, i);", "    }"]
        return [*lines, f"        {_indexed(self.array(node))} = {value};", "    }"]

    def _copied(self, delay: Delay) -> list[str]:
        """Return the lines that write a delay at the end of a step."""
        assert delay.next is not None
        source, out = delay.next, self.array(delay)
        if delay.kind == "bit":
            return [f"    memcpy({out}, {self.array(source)}, {4 * words(delay.size)}u);"]
        value = self.numbers.of(self.element(source), source.kind)
        return [f"    for (i = 0; i < {delay.size}u; i++) {_indexed(out)} = {value};"]


def _indexed(array: str, index: str = "i") -> str:
    return f"{_whole(array)}[{index}]"


def _whole(array: str) -> str:
    return f"({array})" if " " in array else array


def _volume(sides: tuple[int, ...]) -> int:
    total = 1
    for side in sides:
        total *= side
    return total
