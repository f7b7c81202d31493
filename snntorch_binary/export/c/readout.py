"""The C that makes class scores of outputs, and an answer with its uncertainty of class scores."""

from __future__ import annotations

from snntorch_binary.export.c.numbers import Fixed, Floats, Numbers
from snntorch_binary.export.c.program import Reading
from snntorch_binary.export.c.steps import Steps


class Readout:
    """Writes what becomes of the outputs.

    Args:
        reading: how outputs become class scores.
        name: of the network.
        numbers: how real numbers are computed with.
        members: K.
        probabilities: whether answers have them.
    """

    def __init__(self, reading: Reading, name: str, numbers: Numbers, members: int, probabilities: bool) -> None:
        self.reading, self.name, self.numbers, self.members = reading, name, numbers, members
        self.probabilities = probabilities
        self.outputs = reading.node.size

    def state(self) -> list[str]:
        """Return what is kept of the outputs."""
        kind = self.numbers.type if self.reading.node.kind == "real" else "int32_t"
        return [f"{kind} total[{self.outputs}];"]

    @property
    def bytes(self) -> int:
        """What that takes, of one member."""
        return 4 * self.outputs

    def step(self, steps: Steps) -> list[str]:
        """Return the lines that read the outputs at a time step, behind what is computed at it."""
        node, skipped = self.reading.node, self.reading.skipped
        element = steps.element(node)
        if self.reading.over_time == "last":
            work = f"m->total[i] = {element if node.kind == 'real' else f'(int32_t){element}'};"
        elif node.kind == "real":
            work = f"m->total[i] = {self.numbers.binary('add', ('m->total[i]', 'real'), (element, 'real'))};"
        else:
            work = f"m->total[i] += (int32_t){element};"
        loop = f"for (i = 0; i < {self.outputs}u; i++) {work}"
        return [f"    if (s->steps >= {skipped}u) {loop}" if skipped else f"    {loop}"]

    def answer(self) -> str:
        """Return the declarations of answers."""
        classes = max(2, self.outputs)
        more = ""
        if self.probabilities:
            whose = "the mean over members" if self.members > 1 else "of the one network"
            more = f"""
    float probabilities[{classes}]; /* of the classes: {whose} */
    float entropy;              /* of the probabilities, in nats: how unsure the answer is */
    float mutual_information;   /* in nats: how far the members disagree */"""
        return f"""typedef struct {{
    uint32_t label; /* the most probable class */{more}
}} {self.name}_answer;

/* Class scores of the members, [{self.members}][{self.outputs}], of the steps since the last reset: {self._what()}. */
void {self.name}_scores(const {self.name}_state *s, {self.numbers.type} *scores);
/* The answer after the steps since the last reset, of which there has to be one. */
void {self.name}_result(const {self.name}_state *s, {self.name}_answer *answer);"""

    def _what(self) -> str:
        over = {"sum": "the sum over time", "mean": "the mean over time", "last": "what is there now"}
        scale = "the number of steps" if self.reading.scale is None else f"{self.reading.scale:g}"
        unit = f", with {self.numbers.point} binary places" if isinstance(self.numbers, Fixed) else ""
        skipped = self.reading.skipped
        later = f" of all but the first {skipped} of them" if skipped else ""
        return f"{over[self.reading.over_time]}{later} times {scale}{unit}"

    def _score(self) -> str:
        """Return the expression of one score, rounded as torch does it."""
        floats = isinstance(self.numbers, Floats)
        total = "m->total[i]"
        if floats:
            value = total if self.reading.node.kind == "real" else f"(float){total}"
            value = f"{value} / (float)steps" if self.reading.over_time == "mean" else value
            scale = "(float)steps" if self.reading.scale is None else self.numbers.literal(self.reading.scale)
            return value if self.reading.scale == 1.0 else f"{value} * {scale}"
        assert isinstance(self.numbers, Fixed)
        factor = 1.0 if self.reading.scale is None else self.reading.scale
        is_mean = self.reading.over_time == "mean" and self.reading.scale is not None
        if self.reading.node.kind != "real":  # a count may be larger than what 32 bits with a point hold
            total = f"(int64_t){total} * {self.numbers.literal(factor)}"
            return f"{total} / (int64_t)steps" if is_mean else total
        value = f"{total} / (int32_t)steps" if is_mean else total
        if factor == 1.0:
            return value
        return f"snnb_fixed_mul({value}, {self.numbers.literal(factor)}, {self.numbers.point}u)"

    def code(self) -> str:
        """Return the functions of class scores and answers."""
        name, kind, skipped = self.name, self.numbers.type, self.reading.skipped
        floats = isinstance(self.numbers, Floats)
        of_score, score = (kind, "score_of(s, k, i)") if floats else ("int64_t", "snnb_fixed_held(score_of(s, k, i))")
        scores = f"""/* Score i of a member. */
static {of_score} score_of(const {name}_state *s, uint32_t k, uint32_t i) {{
    const {name}_member *const m = &s->member[k];
    const uint32_t steps = {f"s->steps - {skipped}u" if skipped else "s->steps"};
    (void)steps;
    return {self._score()};
}}

void {name}_scores(const {name}_state *s, {kind} *scores) {{
    uint32_t k, i;
    for (k = 0; k < {name.upper()}_MEMBERS; k++)
        for (i = 0; i < {self.outputs}u; i++) *scores++ = {score};
}}
"""
        return scores + "\n" + (self._with_probabilities() if self.probabilities else self._label())

    def _label(self) -> str:
        name = self.name
        if self.outputs == 1:
            return f"""void {name}_result(const {name}_state *s, {name}_answer *answer) {{
    answer->label = score_of(s, 0, 0) > 0 ? 1u : 0u;
}}
"""
        return f"""void {name}_result(const {name}_state *s, {name}_answer *answer) {{
    uint32_t i;
    answer->label = 0;
    for (i = 1; i < {self.outputs}u; i++)
        if (score_of(s, 0, i) > score_of(s, 0, answer->label)) answer->label = i;
}}
"""

    def _with_probabilities(self) -> str:
        name, classes = self.name, max(2, self.outputs)

        def number(place: str) -> str:
            score = f"score_of(s, k, {place})"
            return score if isinstance(self.numbers, Floats) else f"(float){score} * {1 / 2**self.numbers.point!r}f"

        row = f"        for (i = 0; i < {classes}u; i++) p[i] = {number('i')};"
        if self.outputs == 1:
            row = f"""        p[1] = 0.5f * {number("0")};
        p[0] = -p[1];"""
        return f"""static float entropy_of(const float *p) {{
    float total = 0.0f;
    uint32_t i;
    for (i = 0; i < {classes}u; i++)
        if (p[i] > 0.0f) total -= p[i] * logf(p[i]);
    return total;
}}

void {name}_result(const {name}_state *s, {name}_answer *answer) {{
    float p[{classes}], inner = 0.0f;
    uint32_t k, i;
    for (i = 0; i < {classes}u; i++) answer->probabilities[i] = 0.0f;
    for (k = 0; k < {name.upper()}_MEMBERS; k++) {{
        float most, total = 0.0f;
{row}
        most = p[0];
        for (i = 1; i < {classes}u; i++)
            if (p[i] > most) most = p[i];
        for (i = 0; i < {classes}u; i++) {{
            p[i] = expf(p[i] - most);
            total += p[i];
        }}
        for (i = 0; i < {classes}u; i++) {{
            p[i] /= total;
            answer->probabilities[i] += p[i];
        }}
        inner += entropy_of(p);
    }}
    for (i = 0; i < {classes}u; i++) answer->probabilities[i] /= (float){name.upper()}_MEMBERS;
    answer->label = 0;
    for (i = 1; i < {classes}u; i++)
        if (answer->probabilities[i] > answer->probabilities[answer->label]) answer->label = i;
    answer->entropy = entropy_of(answer->probabilities);
    inner = answer->entropy - inner / (float){name.upper()}_MEMBERS;
    answer->mutual_information = inner > 0.0f ? inner : 0.0f;
}}
"""
