"""Where everything is kept on the device: states in the struct, what lives within a step in room that is used again."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from snntorch_binary.export.c.errors import CExportError
from snntorch_binary.export.c.program import Delay, Input, Kind, Map, Node, Program, Weighted

ROOMS: dict[Kind, str] = {"bit": "bits", "sum": "sums", "real": "reals"}


def words(bits: int) -> int:
    """Return the words of 32 that bits take."""
    return (bits + 31) // 32


@dataclass
class Group:
    """Nodes that are computed together: one that is no map, or maps of one size in one loop over elements."""

    nodes: list[Node]

    @property
    def is_loop(self) -> bool:
        """Whether it is a loop over elements."""
        return isinstance(self.nodes[0], Map)


@dataclass
class Plan:
    """The order of a program's work, and the places of what it computes.

    Attributes:
        program: the program.
        groups: in the order in which they are computed.
        stored: for nodes that are kept beyond their group within a step, the place in the room of their kind.
        in_place: delays that are written where they are read, in the loop that computes what they will be.
        copied: delays that are written at the end of a step, in this order.
        rooms: elements of each room; of bits words.
        scratch: words of counters, and of the inputs of convolutions in another order.
    """

    program: Program
    groups: list[Group] = field(default_factory=list)
    stored: dict[Node, int] = field(default_factory=dict)
    in_place: dict[Node, list[Delay]] = field(default_factory=dict)
    copied: list[Delay] = field(default_factory=list)
    rooms: dict[str, int] = field(default_factory=dict)
    scratch: int = 0


def plan(program: Program) -> Plan:
    """Return the plan of a program."""
    found = Plan(program, _groups(program))
    place = {node: index for index, group in enumerate(found.groups) for node in group.nodes}
    readers: dict[Node, list[int]] = {node: [] for node in program.nodes}
    for node in program.nodes:
        for source in node.sources:
            readers[source].append(place[node])
    end = len(found.groups)
    readers[program.reading.node].append(end)
    _place_delays(found, place, readers, end)
    _place_nodes(found, place, readers)
    counting = [node for node in program.nodes if isinstance(node, Weighted) and node.kind == "sum" and not node.dense]
    found.scratch = max(map(_scratch_of, counting), default=0)
    return found


def planes_of(node: Weighted) -> int:
    """Return the bits of the largest count of a layer; at least four, which is what a carry-save adder writes to."""
    return max(4, node.fan_in.bit_length())


def _scratch_of(node: Weighted) -> int:
    """Return the words that a layer counts in; of a convolution those of what a row of its output sees."""
    if node.window is None:
        return planes_of(node) * words(node.positive.shape[1])
    geometry = node.window.geometry
    *across, along = geometry.kernel
    length = (node.window.after[-1] - 1) * geometry.stride[-1] + (along - 1) * geometry.dilation[-1] + 1
    return words(length * math.prod(across) * node.positive.shape[2])


def _groups(program: Program) -> list[Group]:
    groups: list[Group] = []
    for node in program.nodes:
        if isinstance(node, (Input, Delay)):
            continue
        if groups and isinstance(node, Map) and groups[-1].is_loop and groups[-1].nodes[0].size == node.size:
            groups[-1].nodes.append(node)
        else:
            groups.append(Group([node]))
    return groups


def _place_delays(found: Plan, place: dict[Node, int], readers: dict[Node, list[int]], end: int) -> None:
    delays = [node for node in found.program.nodes if isinstance(node, Delay)]
    read_at_end = {each.next for each in delays}
    waiting: list[Delay] = []
    for each in delays:
        after = each.next
        assert after is not None
        own = after.kind == each.kind and isinstance(after, Map) and each not in read_at_end
        if own and all(reader <= place[after] for reader in readers[each]):
            found.in_place.setdefault(after, []).append(each)
        else:
            waiting.append(each)
            readers[after].append(end + 1)
    while waiting:
        free = [each for each in waiting if not any(other.next is each for other in waiting if other is not each)]
        if not free:
            raise CExportError("C cannot express states that change places from step to step.")
        found.copied += free
        waiting = [each for each in waiting if each not in free]


def _place_nodes(found: Plan, place: dict[Node, int], readers: dict[Node, list[int]]) -> None:
    """Find room for what is read by a later group, first fit."""
    rooms = {room: _Room() for room in ROOMS.values()}
    for index, group in enumerate(found.groups):
        for node in group.nodes:
            last = max(readers[node], default=index)
            if group.is_loop and (last <= index or node in found.in_place):
                continue
            found.stored[node] = rooms[ROOMS[node.kind]].take(elements(node), index, last)
    found.rooms = {name: room.size for name, room in rooms.items()}


def elements(node: Node) -> int:
    """Return the elements of its room that a node takes."""
    return words(node.size) if node.kind == "bit" else node.size


class _Room:
    """A row of elements, parts of which are in use from one group to another."""

    def __init__(self) -> None:
        self.size = 0
        self._used: list[tuple[int, int, int]] = []  # begin, end, last group

    def take(self, size: int, now: int, last: int) -> int:
        self._used = sorted(part for part in self._used if part[2] >= now)
        begin = 0
        for first, end, _ in self._used:
            if first - begin >= size:
                break
            begin = max(begin, end)
        self._used.append((begin, begin + size, last))
        self.size = max(self.size, begin + size)
        return begin
