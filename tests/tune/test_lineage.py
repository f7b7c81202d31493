import pytest

pytest.importorskip("ray.tune", reason="Ray is not installed")

from snntorch_binary.tune.lineage import Report, complete, line_of, read_reports, schedule_of, winner, write_report
from snntorch_binary.tune.plan import Plan

PLAN = Plan("Q", "max", epochs=6, interval=2, population=2)


def report(name, parent, member, begin, lr, score, rho=0.0):
    scores = {} if score is None else {"Q": score, "other": 0.0}
    return Report(name, parent, member, begin, begin + 2, {"lr": lr, "rho": rho}, scores, 1.0)


REPORTS = [
    report("a0", None, 0, 0, 0.5, 1.0),
    report("b0", None, 1, 0, 0.1, 2.0),
    report("a1", "b0", 0, 2, 0.2, 3.0),  # member 0 has copied member 1
    report("b1", "b0", 1, 2, 0.1, 2.5),
    report("lost", "a1", 0, 4, 0.2, 9.0),  # done, and done again after a kill
    report("a2", "a1", 0, 4, 0.2, 5.0, rho=0.5),
    report("b2", "a1", 1, 4, 0.3, 4.0),
]


def test_the_winner_is_the_best_of_the_last_reports_of_each_member():
    assert winner(REPORTS, PLAN).id == "a2"
    assert winner(REPORTS, Plan("Q", "min", 6, 2, 2)).id == "b2"


def test_a_member_that_failed_does_not_win():
    failed = [*REPORTS, report("a2'", "a1", 0, 4, 0.2, None)]
    assert winner(failed, PLAN).id == "a2"
    with pytest.raises(RuntimeError, match="No member"):
        winner([report("x", None, 0, 4, 0.2, None)], PLAN)


def test_a_population_is_complete_with_the_last_report_of_every_member():
    assert complete(REPORTS, PLAN)
    assert not complete(REPORTS[:-1], PLAN)
    assert complete([*REPORTS[:-1], report("b2'", "a1", 1, 4, 0.3, None)], PLAN)  # has failed, and come to its end


def test_the_line_goes_through_copies():
    assert [of.id for of in line_of(REPORTS[5], REPORTS)] == ["b0", "a1", "a2"]


def test_the_schedule_says_what_changes_and_when():
    line = line_of(REPORTS[5], REPORTS)
    assert schedule_of(line) == {0: {"lr": 0.1, "rho": 0.0}, 2: {"lr": 0.2}, 4: {"rho": 0.5}}


def test_reports_come_back_from_a_file_whose_end_was_cut_off(tmp_path):
    path = tmp_path / "reports.jsonl"
    assert read_reports(path) == []
    for of in REPORTS:
        write_report(path, of)
    assert read_reports(path) == REPORTS
    path.write_text(path.read_text()[:-20])
    assert read_reports(path) == REPORTS[:-1]
