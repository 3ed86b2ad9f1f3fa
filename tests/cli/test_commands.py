"""The commands over the store, as a shell sees them: what is on stdout, what on stderr, which status."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from etui.results import CallTiming, LogLine, RunDocument
from etui.store import Condition, Store
from tests.benchmarks.many_runs import fill
from tests.cli.conftest import Etui
from tests.documents import make_document
from tests.facts import lacking
from tests.machines import Machine, ended

Stored = Callable[..., None]
Written = Callable[..., Path]


@pytest.fixture
def two(stored: Stored) -> tuple[RunDocument, RunDocument]:
    first = make_document(created_at="2026-11-20T10:00:00.000Z")
    second = make_document("bbbbbbbbbbb2", precision="int8", median=8.0, created_at="2026-11-21T10:00:00.000Z")
    stored(first, second)
    return first, second


def test_nothing_yet_says_what_to_do_and_makes_nothing(etui: Etui, database: Path) -> None:
    done = etui("runs")
    assert (done.returncode, done.stdout) == (0, "")
    assert "etui run" in done.stderr and done.stderr.count("\n") == 1
    assert json.loads(etui("runs", "--json").stdout) == []
    for command in ("show", "export", "delete"):
        done = etui(command, "abc")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("etui: ") and done.stderr.count("\n") == 1
    assert not database.parent.exists()


def test_runs_are_a_table_newest_first(etui: Etui, two: tuple[RunDocument, RunDocument]) -> None:
    done = etui("runs")
    heading, newest, oldest = done.stdout.splitlines()
    assert heading.split()[:4] == ["run", "when", "status", "model"]
    place = heading.index("top-1 %")
    assert newest[place : place + len("top-1 %")].strip() == "100"
    assert newest.startswith("bbbbbbbbbbb2  2026-11-21 10:00  done") and "2.50x" in newest and "PASS" in newest
    assert oldest.startswith("aaaaaaaaaaa1")
    assert done.stderr == ""


def test_runs_narrow_and_end(etui: Etui, two: tuple[RunDocument, RunDocument]) -> None:
    assert len(etui("runs", "--precision", "int8").stdout.splitlines()) == 2
    assert len(etui("runs", "--precision", "int8,fp32", "--status", "done").stdout.splitlines()) == 3
    done = etui("runs", "--model", "gpt2")
    assert (done.returncode, done.stdout) == (0, "") and done.stderr.count("\n") == 1
    done = etui("runs", "--limit", "1")
    assert len(done.stdout.splitlines()) == 2 and "1 of 2 runs" in done.stderr
    assert etui("runs", "--limit", "-1").returncode == 2
    assert etui("runs", "--status", "finished").returncode == 2


def test_the_columns_of_the_table_can_be_chosen(etui: Etui, two: tuple[RunDocument, RunDocument]) -> None:
    lines = etui("runs", "--columns", "model,id,rss,flag").stdout.splitlines()
    assert lines[0].split() == ["model", "run", "peak", "RSS", "MB", "flags"]
    assert [line.split()[:2] for line in lines[1:]] == [[run.model.name, run.id] for run in reversed(two)]
    for options in (["--columns", "modle"], ["--columns", "model", "--json"]):
        done = etui("runs", *options)
        assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean model" in etui("runs", "--columns", "modle").stderr


def test_runs_as_json_have_the_keys_of_the_design(etui: Etui, two: tuple[RunDocument, RunDocument]) -> None:
    newest, oldest = json.loads(etui("runs", "--json").stdout)
    keys = (
        "id session status created_at model precision delegate weights threads preset latency_ms eager_latency_ms"
        " speedup first_inference_ms load_ms accuracy size_bytes peak_rss_bytes flags"
    )
    assert list(newest)[: len(keys.split())] == keys.split()
    statistics = {"mean", "median", "min", "max", "std", "p90", "p95", "p99", "ci95"}
    assert set(newest["latency_ms"]) == set(newest["eager_latency_ms"]) == statistics
    assert set(newest["speedup"]) == {"value", "ci95", "verdict"}
    outputs, task = (
        {"mae", "max_abs", "rmse", "sqnr_db", "cosine", "top1", "top5"},
        {"map_percent", "task_top1_percent"},
    )
    assert set(newest["accuracy"]) == {*outputs, *task, "verdict"}
    assert (newest["accuracy"]["top1"], newest["accuracy"]["top5"]) == (1.0, 0.96)
    assert newest["latency_ms"]["p99"] is None
    assert oldest["latency_ms"]["median"] == 16.0


def test_show_tells_the_verdict_first(etui: Etui, two: tuple[RunDocument, RunDocument]) -> None:
    lines = etui("show", "b").stdout.splitlines()
    assert lines[0] == "resnet18  int8/xnnpack  done  bbbbbbbbbbb2"
    assert not lacking(lines[1], "int8/xnnpack", "2.50", "eager PyTorch") and lines[1].endswith("[latency]")
    assert any("PASS" in line and line.endswith("[accuracy]") for line in lines[2:6])
    assert any("97 %" in line and line.endswith("[delegation]") for line in lines[2:6])
    text = "\n".join(lines)
    for part in (
        "not finite",
        "68 of 70 nodes",
        "mean x2",
        "synthetic",
        "the spread is 12 %",
        "a note",
    ):
        assert part in text


def test_show_says_where_a_calls_time_goes_if_that_was_measured(etui: Etui, stored: Stored) -> None:
    split, old = make_document("ccccccccccc3"), make_document("ddddddddddd4")
    split.call = CallTiming(inputs_ms=0.02, execute_ms=1.98, outputs_ms=0.01, fixed_ms=0.004)
    stored(split, old)
    shown = etui("show", "c").stdout
    start = shown.index("Time of a call")
    parts = shown[start : shown.index("\n\n", start)]
    assert not lacking(parts, "2.01 ms", "0.0200 ms", "1.98 ms", "0.0100 ms", "0.00400 ms")
    assert "Time of a call" not in etui("show", "d").stdout


def test_show_as_json_is_the_document(etui: Etui, two: tuple[RunDocument, RunDocument]) -> None:
    done = etui("show", "aaa", "--json")
    assert msgspec.json.decode(done.stdout, type=RunDocument) == two[0]


def test_a_run_that_is_not_there_or_not_unique(etui: Etui, stored: Stored) -> None:
    stored(make_document("aaaaaaaaaaa1"), make_document("aaaaaaaaaaa2"))
    done = etui("show", "zzz")
    assert (done.returncode, done.stdout) == (2, "") and not lacking(done.stderr, "zzz", "etui runs")
    done = etui("show", "a")
    assert done.returncode == 2 and "aaaaaaaaaaa1" in done.stderr and "aaaaaaaaaaa2" in done.stderr


@pytest.mark.slow
def test_out_and_in_again_into_another_database_is_the_same(
    etui: Etui, two: tuple[RunDocument, RunDocument], tmp_path: Path
) -> None:
    done = etui("export", "a", "b", "-o", "out")
    assert done.stdout.splitlines() == ["out/resnet18_fp32_xnnpack.json", "out/resnet18_int8_xnnpack.json"]
    files = [tmp_path / line for line in done.stdout.splitlines()]
    for word in ("1 new, 0 known", "0 new, 1 known"):  # counts that scripts read
        done = etui("--db", "other.db", "import", *files)
        assert (done.returncode, done.stdout.count(word)) == (0, 2)
    assert etui("--db", "other.db", "show", "b", "--json").stdout == etui("show", "b", "--json").stdout
    assert etui("--db", "other.db", "runs", "--json").stdout == etui("runs", "--json").stdout


def test_the_log_is_cut_for_the_terminal_and_whole_as_json(etui: Etui, stored: Stored) -> None:
    document = make_document()
    document.log = [LogLine(at="2026-11-20T10:00:00.000Z", level="info", message="m" * 5_000)]
    stored(document)
    (line,) = etui("log", "a").stdout.splitlines()
    assert len(line) < 1_200
    assert msgspec.json.decode(etui("log", "a", "--json").stdout, type=list[LogLine]) == document.log
    assert etui("log", "a", "--json", "-f").returncode == 2


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_export_to_standard_output_by_its_name(
    etui: Etui, two: tuple[RunDocument, RunDocument], tmp_path: Path, name: str
) -> None:
    assert etui("export", "a", "b", "-o", name).stdout == etui("export", "a", "b", "-o", "-").stdout
    # A file that it is redirected to is written to as well, after what it holds.
    with (tmp_path / "all").open("a") as out:
        out.write("before\n")
        out.flush()
        assert etui("export", "a", "-o", name, stdout=out).returncode == 0
    before, _, exported = (tmp_path / "all").read_text().partition("\n")
    assert before == "before" and json.loads(exported)["id"] == "aaaaaaaaaaa1"


def test_export_to_one_file_to_stdout_and_not_over_another(etui: Etui, two: tuple[RunDocument, RunDocument]) -> None:
    assert etui("export", "a", "b", "-o", "both.json").stdout == "both.json\n"
    done = etui("export", "a", "-o", "both.json")
    assert done.returncode == 2 and "--force" in done.stderr
    assert etui("export", "a", "-o", "both.json", "--force").returncode == 0
    assert json.loads(etui("export", "a", "-o", "-").stdout)["id"] == "aaaaaaaaaaa1"
    assert [run["id"] for run in json.loads(etui("export", "a", "b", "-o", "-").stdout)] == [
        "aaaaaaaaaaa1", "bbbbbbbbbbb2"
    ]  # fmt: skip


def test_a_refused_file_does_not_stop_the_others(etui: Etui, written: Written, tmp_path: Path) -> None:
    good = written("good.json", make_document())
    broken = tmp_path / "broken.json"
    broken.write_text(good.read_text().replace('"mean":16.1', '"mean":"fast"'))
    done = etui("import", broken, good, "none.json")
    assert done.returncode == 2
    assert done.stdout == f"{good}: 1 new, 0 known\n"
    refused, missing = done.stderr.splitlines()
    assert "broken.json" in refused and "`$.latency_ms.mean`" in refused
    assert "none.json" in missing


def test_files_that_are_all_refused_make_no_database(etui: Etui, database: Path) -> None:
    assert etui("import", "none.json").returncode == 2
    assert not database.exists()


@pytest.mark.parametrize("options", [[], ["-f"], ["-v"]])
def test_the_log_of_a_run_from_elsewhere_needs_no_specification(
    etui: Etui, stored: Stored, tmp_path: Path, options: list[str]
) -> None:
    document = make_document()
    document.session = msgspec.structs.replace(document.session, spec={"format": "another"})
    document.log.append(LogLine(at="?", level="loud", kind="shout", message="at a level of its own"))
    stored(document)
    done = etui("log", "aaaaaaaaaaa1", *options)
    assert done.returncode == 0
    assert "measuring fp32" in done.stdout
    assert "at a level of its own" in done.stdout
    assert ("done" in done.stderr) == ("-f" in options)
    flat = {"model_name": "m", "precision_short": "FP32", "delegate": "XNNPACK", "latency_ms": {"avg": 1.0}}
    (tmp_path / "flat.json").write_text(json.dumps(flat))
    assert etui("import", "flat.json").returncode == 0
    (imported,) = [run["id"] for run in json.loads(etui("runs", "--json").stdout) if run["model"] == "m"]
    done = etui("log", imported, *options)
    assert done.returncode == 2 and "log" in done.stderr and done.stderr.count("\n") == 1


def test_delete_asks_or_wants_yes(etui: Etui, two: tuple[RunDocument, RunDocument]) -> None:
    done = etui("delete", "a", stdin="y\n")
    assert done.returncode == 2 and "--yes" in done.stderr
    done = etui("delete", "a", "aaaaaaaaaaa1", "--yes")
    assert (done.returncode, done.stdout) == (0, "") and "1 run" in done.stderr
    assert [run["id"] for run in json.loads(etui("runs", "--json").stdout)] == ["bbbbbbbbbbb2"]


def test_escape_codes_from_elsewhere_are_not_printed(etui: Etui, stored: Stored) -> None:
    document = make_document(model=msgspec.structs.replace(make_document().model, name="evil\x1b[31m\x07"))
    document.error = "first\x1b]0;title\x07\nsecond\x9b1m"
    document.note = "\x1b[2J[markup]"
    stored(document)
    for arguments in (["runs"], ["show", "a"]):
        done = etui(*arguments)
        assert done.returncode == 0
        assert "evil" in done.stdout
        assert not any(ord(character) < 32 and character != "\n" for character in done.stdout)
    done = etui("show", "\x1b[31mx")
    assert done.returncode == 2 and "\x1b" not in done.stderr and done.stderr.isascii()


def test_models_and_delegates_are_listed(etui: Etui) -> None:
    assert "mobilenet_v2" in etui("models").stdout
    assert "int8-dynamic" in etui("models").stdout
    assert "resnet18" in [model["name"] for model in json.loads(etui("models", "--json").stdout)["models"]]
    assert "NNAPI" in etui("delegates").stdout
    assert json.loads(etui("delegates", "--json").stdout)[0]["name"] == "xnnpack"


def test_doctor_says_what_it_sees(etui: Etui, two: tuple[RunDocument, RunDocument]) -> None:
    findings = {finding["name"]: finding for finding in json.loads(etui("doctor", "--json").stdout)}
    assert findings["database"]["status"] == "ok" and "2 runs" in findings["database"]["seen"]
    assert findings["machine lock"]["status"] == "ok"
    assert "frequency governor" in etui("doctor").stdout


def test_doctor_ends_with_one_where_nothing_can_be_measured(etui: Etui, database: Path) -> None:
    database.parent.mkdir(parents=True)
    database.write_text("no database " * 100)
    done = etui("doctor")
    assert done.returncode == 1
    assert any("BAD" in line and "database" in line for line in done.stdout.splitlines())


@pytest.mark.slow
def test_doctor_watches_until_it_is_told_to_stop(etui: Etui, tmp_path: Path) -> None:
    (line,) = etui("doctor", "--for", "1", "--json").stdout.splitlines()
    assert {"busy_cores", "steal_share", "cpu_pressure", "governor"} <= json.loads(line).keys()
    watching = Machine(tmp_path).start("doctor", "--watch")
    assert watching.stdout is not None
    assert "busy cores" in watching.stdout.readline()
    assert watching.stdout.readline().count(":") >= 2
    watching.send_signal(signal.SIGINT)
    assert ended(watching) == 0


@pytest.mark.slow
def test_a_list_of_all_runs_is_written_in_parts(etui: Etui, database: Path) -> None:
    fill(database, 2_300)
    with Store.open(database) as store:
        newest = [run.id for run in store.summaries()]
        failed = [run.id for run in store.summaries([Condition("status", "=", "failed")])]
    lines = etui("runs", "--limit", "0").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == newest
    assert [run["id"] for run in json.loads(etui("runs", "--json").stdout)] == newest
    assert [run["id"] for run in json.loads(etui("runs", "--json", "--status", "failed").stdout)] == failed
    some = etui("runs", "--limit", "1200")
    assert [line.split()[0] for line in some.stdout.splitlines()[1:]] == newest[:1200]
    assert "1200 of 2300 runs" in some.stderr
    some = etui("runs", "--limit", "7", "--status", "failed", "--precision", "int8")
    assert len(some.stdout.splitlines()) == 8 and "7 runs" in some.stderr and "--limit 0" in some.stderr


@pytest.mark.slow
def test_an_import_or_delete_that_fails_on_the_way_says_how_far_it_came(
    etui: Etui, database: Path, written: Callable[..., Path]
) -> None:
    made = [make_document(f"{number:012x}", session_id=f"{number:012x}") for number in range(800)]
    with Store.open(database):
        pass
    # As from a full disk, but at a known place.
    with closing(sqlite3.connect(database)) as connection:
        for event in ("INSERT", "DELETE"):
            row = "NEW" if event == "INSERT" else "OLD"
            connection.execute(
                f"CREATE TRIGGER stop_{event} BEFORE {event} ON runs WHEN {row}.id = '{made[-1].id}'"
                " BEGIN SELECT RAISE(ABORT, 'no more'); END"
            )
    done = etui("import", written("many.json", *made))
    with Store.open(database) as store:
        stored = store.count()
    assert (done.returncode, done.stdout) == (3, "") and 0 < stored < 800
    assert not lacking(done.stderr, f"{stored} new", "0 known", "800 runs", "no more")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DROP TRIGGER stop_INSERT")
    assert f"{800 - stored} new, {stored} known" in etui("import", "many.json").stdout
    done = etui("delete", "--yes", *(one.id for one in made))
    with Store.open(database) as store:
        left = store.count()
    assert done.returncode == 3 and 0 < left < 800
    assert f"{800 - left} of 800 runs" in done.stderr
