"""Every figure in a table of README and guide has a row in `tutorials/`, and says what the row says."""

import csv
import re
import statistics
from pathlib import Path

import pytest
from result_tables import README_CELLS, TABLES, Score

ROOT = Path(__file__).parent.parent
FIGURE = re.compile(r"(?<![\w.])[-+]?(?:\d[\d,]*\d|\d)?(?:\.\d+|(?<=\d))")
# Tables whose numbers are sizes, settings and names, not measurements: page and heading.
NO_RESULTS = {
    ("docs/guide/data_sets.md", "| name | input | needs |"),
    ("docs/guide/choose_a_rule.md", "| what you want |"),
    ("docs/guide/choose_a_rule.md", "| what you see |"),
    ("docs/guide/weights_in_force.md", "| when | `Sign` | `Bernoulli` |"),
    ("docs/guide/layers.md", "|"),
    ("docs/guide/from_snntorch.md", "| snnTorch | here |"),
    ("docs/guide/from_norse.md", "| Norse | here |"),
    ("docs/guide/from_spikingjelly.md", "| SpikingJelly | here |"),
    ("docs/guide/extend.md", "| in the package | lines |"),
    ("docs/recipes.rst", "| network | ST | Bayes |"),
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md")), ROOT / "docs" / "recipes.rst"]


def read(name):
    with (ROOT / "tutorials" / name).open(encoding="utf8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = read("results.csv")
FIGURES = {(row["table"], row["line"], row["column"]): row for row in read("figures.csv")}


def tables(page):
    """Return the tables of a page: lists of lines, each a list of cells."""
    text = page.read_text(encoding="utf8")
    if page.suffix == ".rst":
        listed = [part.split("\n\n", 2)[1] for part in text.split(".. list-table::")[1:]]
        return [
            [
                [" ".join(cell.split()) for cell in re.split(r"^ {5}- ", line, flags=re.MULTILINE)]
                for line in re.split(r"^ {3}\* - ", part, flags=re.MULTILINE)[1:]
            ]
            for part in listed
        ]
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    split = [[[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines()] for part in found]
    return [[lines[0], *lines[2:]] for lines in split]


def heading(table):
    return "".join(f"| {cell} " if cell else "| " for cell in table[0]) + "|"


def figures(cell):
    """Return the numbers of a cell as printed: of "98.46 ± 0.06" or "66.4 / 28.5" two each."""
    return FIGURE.findall(cell.replace("**", ""))


def says(printed, value):
    """Say whether a printed number is a value, to its last digit."""
    plain = printed.replace(",", "").lstrip("+")
    digits = len(plain.partition(".")[2])
    return abs(float(plain) - value) <= 0.5001 * 10**-digits


def of_seeds(score, where):
    """Return a score for each seed; what a seed has several rows of, as tasks, is their mean."""
    wanted = {**where, **score.where}
    in_spikes = wanted.pop("spiking", "")
    if in_spikes:
        single = wanted["prediction"] == "single"
        wanted["prediction"] = in_spikes if single else f"{in_spikes} {wanted['prediction']}"
    rows = [row for row in ROWS if all(row[key] == value for key, value in wanted.items())]
    assert rows, f"no row has {wanted}"
    seeds = {}
    for row in rows:
        seeds.setdefault(row["seed"], []).append(score.factor * float(row[score.name]))
    return [statistics.mean(values) for values in seeds.values()]


def check(cell, scores, where, figure):
    """Check the numbers of a cell against the rows behind its scores, a number behind ± against their spread."""
    printed = figures(cell)
    if not printed:
        return
    has_spread = [part.count("±") for part in re.split(r" / |, ", cell) if figures(part)]
    assert len(has_spread) == len(scores), cell
    for score, spread in zip(scores, has_spread, strict=True):
        seeds = of_seeds(score, where)
        number = printed.pop(0)
        assert says(number, statistics.mean(seeds)), f"{number} in {cell}: {score.name} is {statistics.mean(seeds)}"
        if spread:
            number = printed.pop(0)
            value = statistics.stdev(seeds) if len(seeds) > 1 else float(FIGURES[figure]["values"])
            assert says(number, value), f"± {number} in {cell}: the spread of {score.name} is {value}"
    assert printed == []


FOUND = [(page, table) for page in PAGES for table in tables(page) if len(table) > 1]
SPECIFIED = {(table.page, table.heading): table for table in TABLES}


def specified(page, table):
    name, head = str(page.relative_to(ROOT)), heading(table)
    return [spec for (of, part), spec in SPECIFIED.items() if of == name and part in head]


@pytest.mark.parametrize(("page", "table"), FOUND, ids=[f"{page.stem}: {table[0][0][:40]}" for page, table in FOUND])
def test_every_figure_of_a_table_has_a_row_that_says_it(page, table):
    if any(str(page.relative_to(ROOT)) == of and heading(table).startswith(part) for of, part in NO_RESULTS):
        return
    specs = specified(page, table)
    assert len(specs) == 1, "a table with results says in tests/result_tables.py which rows stand behind it"
    spec = specs[0]
    if page.name == "README.md":
        return  # see below
    columns, lines = table[0][1:], table[1:]
    assert len(columns) == len(spec.columns)
    wanted = spec.lines or ({},) * len(lines)
    for line, where in zip(lines, wanted, strict=True):
        for cell, column, scores in zip(line[1:], columns, spec.columns, strict=True):
            figure = (spec.name, line[0], column)
            if scores is None:
                stood = FIGURES[figure]["values"] if figures(cell) else ""
                assert " ".join(figures(cell)) == stood, f"{figure}: {cell}"
            elif scores:
                check(cell, scores, {**spec.where, **where}, figure)


def test_the_readme_says_what_the_rows_say():
    (table,) = [table for page, table in FOUND if page.name == "README.md"]
    for line, cells in zip(table[1:], README_CELLS, strict=True):
        for cell, wanted in zip(line[1:], cells, strict=True):
            printed = re.findall(r"\d*\.\d+|\d+(?= times)", cell)
            assert len(printed) == len(wanted), cell
            for number, score in zip(printed, wanted, strict=True):
                if isinstance(score, Score):
                    assert says(number, statistics.mean(of_seeds(score, {}))), f"{number} in {cell}"
                else:
                    last = FIGURES["fast and small", score, "ratio"]["values"].split()[-1]
                    assert says(number, float(last)), f"{number} in {cell}"


def test_every_table_that_rows_stand_behind_is_there():
    there = {spec.heading for page, table in FOUND for spec in specified(page, table)}
    assert there == {spec.heading for spec in TABLES}


def test_figures_say_where_they_are_from():
    for row in FIGURES.values():
        assert row["command"], row
        assert re.fullmatch(r"[0-9a-f]{7}", row["commit"]), row


@pytest.mark.parametrize(
    ("printed", "value", "same"),
    [("98.46", 98.4567, True), ("98.46", 98.4667, False), (".22", 0.2161, True), ("18,514", 18514.4, True)],
)
def test_a_number_is_compared_to_its_last_digit(printed, value, same):
    assert says(printed, value) is same
