"""With Ray: a population that is killed and goes on is the one that plain Python trains, and Ray leaves nothing."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import commands
import psutil
import pytest
import yaml

pytest.importorskip("ray.tune", reason="Ray is not installed")


from snntorch_binary.experiments.tune.config import read_tuning
from snntorch_binary.tune.interval import train_interval
from snntorch_binary.tune.lineage import line_of, read_reports, schedule_of, winner
from snntorch_binary.tune.scheduler import VALUES, SeededPopulationBasedTraining
from snntorch_binary.tune.space import first_values

CONFIG = {
    "model": {"class_path": "snntorch_binary.tune.Quadratic", "init_args": {"steps": 5}},
    "epochs": 24,
    "population": 3,
    "interval": 4,
    "quantile": 0.34,
    "resample": 0.5,
    "metric": "Q",
    "mode": "max",
    "start": [{"h0": 1.0, "h1": 0.0}, {"h0": 0.0, "h1": 0.9}],
    "space": {"h0": {"low": 0.0, "high": 1.0}, "h1": {"low": 0.0, "high": 1.0}},
    "seeds": [3],
}
KILLED_AT = 8  # in the middle of the third round
SHORTER = {**CONFIG, "epochs": 8}  # a population of six reports
INTERRUPTED_AT = 6 + 2  # the first of three fixed settings has come to its end


def folder_with(config, folder):
    (folder / "toy.yaml").write_text(yaml.safe_dump(config))
    (folder / "home").mkdir()
    (folder / "tmp").mkdir()
    return folder


def run(folder, *stop):
    """Run the command, stopped or to its end, in a process group of its own."""
    environment = {**os.environ, "HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    program = [Path(__file__).with_name("populations.py"), *stop, folder, folder / "toy.yaml"]
    return commands.run(program, env=environment, timeout=280)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run the command until it kills itself, and again to its end; return the folder and what was printed."""
    folder = folder_with(CONFIG, tmp_path_factory.mktemp("ray"))
    killed = run(folder, "kill", KILLED_AT)
    at_kill = read_reports(folder / "out" / "seed3" / "pbt" / "reports.jsonl")
    done = run(folder)
    assert done.returncode == 0, done.stderr
    return folder, killed.returncode, at_kill, done.stdout


def trained_in_plain_python(tuning, folder):
    """Truncation selection without Ray; the reports of the last round."""
    plan, module_factory = tuning.plan, tuning.modules(None)
    scheduler = SeededPopulationBasedTraining(plan, tuning.space)
    values = first_values(tuning.space, list(plan.start), plan.population, plan.seed)
    folders = [None] * plan.population
    for number in range(1, plan.epochs // plan.interval + 1):
        reports = []
        for member in range(plan.population):
            end = folder / f"round{number}-{member}"
            reports.append(train_interval(module_factory, None, plan, member, values[member], folders[member], end))
            folders[member] = end
        ranked = sorted(range(plan.population), key=lambda member: reports[member].scores["Q"])
        # A third at either end is two of three, cut to half of them: one.
        worst, best = ranked[0], ranked[-1]
        random.seed(f"{plan.seed} {number}")
        random.choice([best])
        explored, _ = scheduler._get_new_config(None, type("Trial", (), {"config": {VALUES: values[best]}}))
        if number < plan.epochs // plan.interval:
            folders[worst], values[worst] = folders[best], explored[VALUES]
    return reports


def test_killed_and_resumed_is_what_plain_python_trains(ran, tmp_path):
    folder, code, at_kill, _ = ran
    assert code == -9
    assert len(at_kill) == KILLED_AT
    tuning = read_tuning(folder / "toy.yaml")
    reports = read_reports(folder / "out" / "seed3" / "pbt" / "reports.jsonl")
    last = {report.member: report for report in reports if report.epoch == tuning.plan.epochs}
    for report in trained_in_plain_python(tuning, tmp_path):
        assert last[report.member].scores == report.scores
        assert last[report.member].values == report.values
    line = line_of(winner(reports, tuning.plan), reports)
    written = yaml.safe_load((folder / "out" / "seed3" / "pbt" / "schedule.yaml").read_text())
    assert written["trainer"]["callbacks"][0]["init_args"]["schedule"] == schedule_of(line)
    assert sum(report.parent is None for report in reports) == tuning.plan.population  # nobody began anew


def test_better_than_fixed_settings(ran):
    """Scores of equal budgets from the same first settings; with one coordinate at rest no setting exceeds 0.39."""
    folder, _, _, printed = ran
    tuning = read_tuning(folder / "toy.yaml")
    names = ("pbt", "best-fixed")
    pbt, fixed = (read_reports(folder / "out" / "seed3" / name / "reports.jsonl") for name in names)
    first = first_values(tuning.space, list(tuning.plan.start), tuning.plan.population, tuning.plan.seed)
    for reports in (pbt, fixed):
        assert {of.member: of.values for of in reports if of.begin == 0} == dict(enumerate(first))
    assert len({(of.member, of.epoch) for of in pbt}) == len(fixed)
    assert all(of.values == first[of.member] for of in fixed)
    assert max(of.scores["Q"] for of in fixed if 0.0 in of.values.values()) <= 0.39
    best, best_fixed = (winner(reports, tuning.plan).scores["Q"] for reports in (pbt, fixed))
    assert best_fixed + 0.3 < best <= 1.2
    rows = [[cell.strip() for cell in line.split("│")] for line in printed.splitlines() if line.count("│") == 5]
    assert [row[:3] for row in rows] == [["PBT", "3", f"{best:.4g}"], ["best fixed", "3", f"{best_fixed:.4g}"]]
    assert "schedule.yaml" in printed


def test_what_is_left(ran):
    folder, *_ = ran
    results = folder / "out" / "seed3" / "pbt"
    assert {path.name for path in results.iterdir()} == {
        "plan.json", "population.png", "record.json", "reports.jsonl", "schedule.yaml", "winner.ckpt",
    }  # fmt: skip
    home = folder / "home"
    assert not (home / ".ray").exists()
    assert not (home / "ray_results").exists()
    assert json.loads((folder / "left.json").read_text()) == []


def of_ray(pids):
    """Return the names of those processes of Ray that are alive."""
    names = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                names.append(process.name())
        except psutil.NoSuchProcess:
            continue
    return [name for name in names if "ray" in name or "gcs" in name]


def test_nobody_else_can_reach_it_and_a_kill_takes_all_of_it(ran):
    noted = json.loads((ran[0] / "noted.json").read_text())
    assert noted["listening"] == ["127.0.0.1"]
    until = time.monotonic() + 60  # Ray's agents look for their parent now and then
    while of_ray(noted["processes"]) and time.monotonic() < until:
        time.sleep(0.5)
    assert of_ray(noted["processes"]) == []


@pytest.mark.repeated
def test_interrupted_and_resumed_is_what_was_not_interrupted(ran, tmp_path):
    folder = folder_with(SHORTER, tmp_path)
    fixed = folder / "out" / "seed3" / "best-fixed"
    interrupted = run(folder, "interrupt", INTERRUPTED_AT)
    assert interrupted.returncode == 130
    assert interrupted.stderr == "snntorch-binary: interrupted; to continue, give the same command.\n"
    assert "Written" not in interrupted.stdout
    assert json.loads((folder / "left.json").read_text()) == []
    assert not (fixed / "winner.ckpt").exists()
    assert len(read_reports(fixed / "reports.jsonl")) == INTERRUPTED_AT - 6
    done = run(folder)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("pbt", "best-fixed"):
        once, other = (read_reports(of / "out" / "seed3" / name / "reports.jsonl") for of in (folder, ran[0]))
        found = {(of.member, of.epoch): (of.values, of.scores) for of in once}
        assert found == {(of.member, of.epoch): (of.values, of.scores) for of in other if of.epoch <= 8}
        assert len(once) <= len(found) + 1  # the last report, whose checkpoint Ray may not have had
    assert json.loads((folder / "left.json").read_text()) == []


@pytest.mark.network
def test_a_cluster_by_address_trains_the_same(ran, tmp_path):
    """The results of the cluster are those of this machine, and Ray's own tables stay off the terminal."""
    folder, *_ = ran
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    bin_folder = Path(sys.executable).parent
    head = [str(bin_folder / "ray"), "start", "--head", "--block", "--node-ip-address=127.0.0.1", "--num-cpus=1"]
    options = [f"--port={address.rpartition(':')[2]}", "--include-dashboard=false", "--disable-usage-stats"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120", "RAY_AUTH_MODE": "disabled"}
    ray_files = Path(tempfile.mkdtemp(prefix="sb-"))  # names of sockets may have 107 characters
    cluster = subprocess.Popen(
        [*head, *options, f"--temp-dir={ray_files}"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0:
                    break
            assert time.monotonic() < until
            time.sleep(0.5)
        command = [str(bin_folder / "snntorch-binary"), "tune", str(folder / "toy.yaml"), "--address", address]
        done = subprocess.run(
            [*command, "--out", str(tmp_path)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    finally:
        below = psutil.Process(cluster.pid).children(recursive=True)
        cluster.terminate()
        cluster.wait(timeout=30)
        psutil.wait_procs(below, timeout=30)
        shutil.rmtree(ray_files, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    assert "Ray" not in done.stdout
    assert "TensorBoard" not in done.stdout + done.stderr
    last = {}
    for where in (folder / "out", tmp_path):
        reports = read_reports(where / "seed3" / "pbt" / "reports.jsonl")
        last[where] = {report.member: (report.scores, report.values) for report in reports}
    assert last[folder / "out"] == last[tmp_path]
    assert of_ray(process.pid for process in below) == []
