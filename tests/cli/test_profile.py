"""``etui profile`` with real runs: the table, the files, what is refused, and how a pass ends."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from etui.paths import requester_lock_path, requester_lock_paths
from etui.runner import requesters
from etui.services.submit import submit_analysis
from etui.store import Store
from tests.documents import make_document
from tests.facts import lacking
from tests.machines import Machine, ended, until

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
MODEL = f"{TINY}:convolutional"
SHORT = ("--repeat", "20", "--warmup", "2", "--threads", "1")
ENDLESS = ("--again", "--inferences", "100000")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def profiled(warm_machine: Machine) -> str:
    """A run with a profile."""
    (run_id,) = warm_machine.detach(MODEL, "--delegate", "xnnpack", *SHORT)
    assert warm_machine.wait_for_status(run_id, "done", "failed") == "done"
    warm_machine.etui("profile", run_id, "--inferences", "12")
    return run_id


def under_way(machine: Machine, run_id: str) -> None:
    """Wait until a pass on the run is running."""

    def running() -> bool:
        with Store.open(machine.database, create=False) as store:
            return any(one.status == "running" for one in store.live_analyses(run_id))

    until(running)


def test_the_table_shows_both_sides_by_module_and_says_whether_it_holds(warm_machine: Machine, profiled: str) -> None:
    shown = warm_machine.etui("profile", profiled)
    head, *lines = shown.stdout.splitlines()
    assert "12 inferences" in head and profiled[:6] in head
    assert any(line.startswith("program: ") for line in lines)
    assert any(line.startswith("eager: ") for line in lines)
    assert {"convolution", "norm", "head"} <= {line.split()[0] for line in lines if line}
    assert shown.stderr == ""  # a stored profile is shown at once, nothing is made
    inside = warm_machine.etui("profile", profiled, "--module", "head", "--by", "operator").stdout
    assert "Fully Connected" in inside and "Convolution" not in inside
    ran = warm_machine.etui("profile", profiled, "--by", "each", "--sort", "order", "--limit", "1").stdout
    assert "--limit 0" in ran


def test_the_json_counts_every_operator_once(warm_machine: Machine, profiled: str) -> None:
    found: dict[str, Any] = json.loads(warm_machine.etui("profile", profiled, "--json").stdout)
    assert found["run"] == profiled
    for side in (found["profile"]["program"], found["profile"]["eager"]):
        assert side["inferences"] == 12
        assert sum(one["share"] for one in side["operators"]) == pytest.approx(1.0)
        assert sum(one["median_ms"] for one in side["operators"]) == pytest.approx(side["operators_ms"])
        assert all(one["p90_ms"] >= one["median_ms"] for one in side["operators"])
        # Medians do not add up; an operator that counted twice would.
        assert side["operators_ms"] <= 1.5 * side["inference_ms"]
        assert side["untraced_ms"] > 0
    by_name = {one["name"].partition(" (")[0]: one for one in found["profile"]["program"]["operators"]}
    assert by_name["Convolution"]["origin"]["module"] == "convolution"
    eager = {one["name"]: one["origin"].get("module") for one in found["profile"]["eager"]["operators"]}
    assert (eager["conv2d"], eager["linear"], eager["batch_norm"]) == ("convolution", "head", "norm")


def test_the_trace_is_one_that_perfetto_reads_and_files_are_kept_whole(
    warm_machine: Machine, profiled: str, tmp_path: Path
) -> None:
    trace, kept, table = tmp_path / "trace.json", tmp_path / "kept", tmp_path / "table.csv"
    warm_machine.etui("profile", profiled, "--trace", trace, "--keep", kept, "--csv", table, "--inferences", "5")
    names = sorted(path.name for path in kept.iterdir())
    stem = names[0].removesuffix(".etdp")
    assert names == [f"{stem}.etdp", f"{stem}.operators.csv", f"{stem}.trace.json"]
    assert (kept / f"{stem}.trace.json").read_bytes() == trace.read_bytes()
    assert (kept / f"{stem}.operators.csv").read_bytes() == table.read_bytes()
    check_trace(json.loads(trace.read_text()))
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert {row["side"] for row in rows} == {"program", "eager"}
    assert {row["module"] for row in rows} >= {"convolution", "head"}
    assert "'" not in {cell for row in rows for cell in row.values()}
    refused = warm_machine.etui("profile", profiled, "--keep", kept, status=3)
    assert stem in refused.stderr
    assert trace.name in warm_machine.etui("profile", profiled, "--trace", trace, status=2).stderr
    warm_machine.etui("profile", profiled, "--keep", kept, "--force", "--etrecord", "--inferences", "12")
    assert (kept / f"{stem}.etrecord").stat().st_size > 0
    assert not list(kept.glob(".*"))


def test_files_that_cannot_be_written_do_not_cost_the_profile(
    warm_machine: Machine, profiled: str, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    name = f"{TINY.stem}-convolutional_fp32_xnnpack.trace.json"
    (kept / name).mkdir(parents=True)
    refused = warm_machine.etui("profile", profiled, "--keep", kept, "--force", "--inferences", "7", status=3)
    assert "profile" in refused.stderr and "Traceback" not in refused.stderr
    assert [path.name for path in kept.iterdir() if path.name.startswith(".")] == []
    assert json.loads(warm_machine.etui("profile", profiled, "--json").stdout)["profile"]["program"]["inferences"] == 7
    (tmp_path / "file").write_text("")
    refused = warm_machine.etui("profile", profiled, "--keep", tmp_path / "file", "--force", status=None)
    assert refused.returncode in {2, 3} and "Traceback" not in refused.stderr


def check_trace(trace: dict[str, Any]) -> None:
    """What the Trace Event Format asks of complete events, and that those of a track lie within each other or apart."""
    assert set(trace) >= {"traceEvents"}
    tracks: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for event in trace["traceEvents"]:
        assert isinstance(event["name"], str) and isinstance(event["pid"], int) and isinstance(event["tid"], int)
        assert event["ph"] in {"X", "M"}
        if event["ph"] == "X":
            assert event["ts"] >= 0 and event["dur"] >= 0 and isinstance(event["cat"], str)
            tracks.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
    assert len(tracks) == 2
    for spans in tracks.values():
        open_until: list[float] = []
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            while open_until and open_until[-1] <= start + 1e-3:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + 1e-3
            open_until.append(end)


def test_a_program_prepared_without_a_map_gets_one(warm_machine: Machine, profiled: str) -> None:
    (made,) = (warm_machine.cache / "programs").glob("*/sources.json")
    made.unlink()
    # Versions that made none recorded no hashes either.
    made.with_name("files.json").unlink()
    shown = warm_machine.etui("profile", profiled, "--again", "--inferences", "12", "--no-eager")
    assert "lowering again" in shown.stderr
    assert "convolution" in shown.stdout and "eager:" not in shown.stdout
    assert made.exists()
    # A profile without eager is made again once that is wanted.
    assert "eager:" in warm_machine.etui("profile", profiled, "--inferences", "12").stdout


def test_what_cannot_be_profiled_says_so_in_a_line(warm_machine: Machine, profiled: str) -> None:
    failed, summary = make_document("fffffffffff1", session_id="5e5510000008"), make_document("fffffffffff2")
    failed.status, failed.error, failed.artifact = "failed", "lowering failed", None
    summary.summary_only, summary.artifact = True, None
    with Store.open(warm_machine.database) as store:
        store.import_documents([failed, summary])
    for words, printed in (
        (("fffffffffff1",), "failed"),
        (("fffffffffff2",), "summary"),
        (("0000",), "0000"),
        ((profiled, "--module", "nowhere"), "nowhere"),
        ((profiled, "--etrecord"), "--keep"),
    ):
        done = warm_machine.etui("profile", *words, status=2)
        assert printed in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_program_without_operators_says_so(warm_machine: Machine) -> None:
    (run_id,) = warm_machine.detach(f"{TINY}:untouched", "--delegate", "portable", *SHORT)
    if warm_machine.wait_for_status(run_id, "done", "failed") == "failed":
        assert "program" in warm_machine.etui("profile", run_id, status=2).stderr
        return
    done = warm_machine.etui("profile", run_id, status=3)
    assert "no operator" in done.stderr


def test_a_finished_program_has_one_side_and_no_map(warm_machine: Machine, profiled: str, tmp_path: Path) -> None:
    with Store.open(warm_machine.database, create=False) as store:
        artifact = store.document(profiled).artifact
    assert artifact is not None
    shutil.copyfile(warm_machine.cache / "programs" / artifact.key / "program.pte", tmp_path / "mine.pte")
    (run_id,) = warm_machine.detach(tmp_path / "mine.pte", *SHORT)
    assert warm_machine.wait_for_status(run_id, "done", "failed") == "done"
    shown = warm_machine.etui("profile", run_id, "--inferences", "12").stdout
    assert not lacking(shown, "finished program", "source map") and "eager:" not in shown
    # Without modules the operators are what there is to see, and the program's file names their backend.
    assert "Convolution" in shown and "delegate does" not in shown
    found = json.loads(warm_machine.etui("profile", run_id, "--json").stdout)["profile"]["program"]["operators"]
    assert {one["delegate"] for one in found if one.get("delegate")} == {"XnnpackBackend"}


def test_control_c_and_cancel_end_the_analysis_and_leave_the_run(warm_machine: Machine, profiled: str) -> None:
    front = warm_machine.start("profile", profiled, *ENDLESS)
    under_way(warm_machine, profiled)
    until(lambda: warm_machine.jobs())
    front.send_signal(signal.SIGINT)
    assert ended(front) == 130
    other = warm_machine.start("profile", profiled, *ENDLESS)
    under_way(warm_machine, profiled)
    warm_machine.etui("cancel", profiled)
    _, printed = other.communicate()
    assert (other.returncode, "cancelled" in printed) == (130, True)
    until(lambda: not warm_machine.jobs())
    assert warm_machine.status(profiled) == "done"
    assert warm_machine.document(profiled).profile is not None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_an_analysis_whose_command_is_gone_is_cancelled(
    warm_machine: Machine, profiled: str, number: signal.Signals
) -> None:
    front = warm_machine.start("profile", profiled, *ENDLESS)
    under_way(warm_machine, profiled)
    front.send_signal(number)
    assert ended(front) == -number
    with Store.open(warm_machine.database, create=False) as store:
        last = until(lambda: one if (one := store.last_analysis(profiled, "profile")) and not one.live else None)
    assert last is not None and (last.status, last.error) == ("cancelled", requesters.GONE)
    until(lambda: not warm_machine.jobs())
    assert requester_lock_paths(warm_machine.database) == []
    assert warm_machine.status(profiled) == "done" and warm_machine.document(profiled).profile is not None


def test_a_detached_analysis_goes_on_without_its_command(warm_machine: Machine, profiled: str) -> None:
    assert warm_machine.etui("profile", profiled, *ENDLESS, "--detach").stdout.split() == [profiled]
    under_way(warm_machine, profiled)
    assert requester_lock_paths(warm_machine.database) == []
    warm_machine.etui("cancel", profiled)
    assert warm_machine.etui("profile", profiled, "--detach").stdout.split() == [profiled]
    for option in ("--json", "--csv=x.csv", "--trace=x.json"):
        assert "--detach" in warm_machine.etui("profile", profiled, "--detach", option, status=2).stderr
    until(lambda: not warm_machine.jobs())


def test_an_analysis_goes_on_while_one_of_its_commands_waits_and_after_the_screen_requested_it(
    warm_machine: Machine, profiled: str
) -> None:
    first, second = (warm_machine.start("profile", profiled, *ENDLESS) for _ in range(2))
    under_way(warm_machine, profiled)
    with Store.open(warm_machine.database, create=False) as store:
        (queued,) = until(lambda: store.live_analyses(profiled))
        until(lambda: waiting_commands(warm_machine.database, queued.id) == 2)
        first.kill()
        ended(first)
        assert not requesters.is_deserted(warm_machine.database, queued.id)
        with pytest.MonkeyPatch.context() as patched:
            for name, value in warm_machine.environment.items():
                patched.setenv(name, value)
            assert submit_analysis(store, profiled, queued.options).id == queued.id
        second.kill()
        ended(second)
        assert not requesters.is_deserted(warm_machine.database, queued.id)
        assert store.get_analysis(queued.id).live
    warm_machine.etui("cancel", profiled)
    until(lambda: not warm_machine.jobs())


def waiting_commands(database: Path, analysis_id: str) -> int:
    """The number of commands that hold the lock of those that wait for an analysis."""
    inode = requester_lock_path(database, analysis_id).stat().st_ino
    return sum(f":{inode} " in line and "FLOCK" in line for line in Path("/proc/locks").read_text().splitlines())


def test_a_time_limit_and_a_killed_runner_end_the_analysis_and_the_next_one_works(
    warm_machine: Machine, profiled: str
) -> None:
    late = warm_machine.etui("profile", profiled, *ENDLESS, "--timeout", "0.5", status=4)
    assert "time limit" in late.stderr
    front = warm_machine.start("profile", profiled, *ENDLESS)
    under_way(warm_machine, profiled)
    warm_machine.runner().kill()
    _, printed = front.communicate()
    assert front.returncode == 3
    assert "interrupted" in printed
    with Store.open(warm_machine.database, create=False) as store:
        logged = [event.message for event in store.events_after(warm_machine.document(profiled).session.id)]
    assert logged[-1].startswith("profile: interrupted") and any(one.startswith("profile: timed out") for one in logged)
    # With nobody left to notice, the next command does.
    front = warm_machine.start("profile", profiled, *ENDLESS)
    under_way(warm_machine, profiled)
    runner = warm_machine.runner()
    # Otherwise it would notice that the command is gone.
    runner.suspend()
    front.kill()
    front.communicate()
    runner.kill()
    assert "profile: interrupted" in warm_machine.etui("log", profiled).stdout.splitlines()[-1]
    warm_machine.etui("profile", profiled, "--again", "--inferences", "12")
