"""`etui compare` and `etui gate` as a shell sees them: words, tables, files and exit statuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from etui.analysis import gates
from etui.cli import comparison_output, table
from etui.results import RunDocument
from tests.analysis.comparisons import LATER, measured
from tests.cli.conftest import Etui
from tests.facts import lacking

Stored = Callable[..., None]
Written = Callable[..., Path]


@pytest.fixture
def three(stored: Stored) -> tuple[RunDocument, RunDocument, RunDocument]:
    runs = (
        measured("aaaaaaaaaaa1", seed=1, drift_sd=0),
        measured("bbbbbbbbbbb2", seed=2, median=8.0, precision="int8", drift_sd=0),
        measured("ccccccccccc3", seed=3, median=17.6, drift_sd=0, session_id=LATER),
    )
    runs[2].created_at = "2026-11-21T10:00:00.000Z"
    stored(*runs)
    return runs


@pytest.mark.slow
def test_verdicts_come_first_then_words_then_the_metrics(etui: Etui, three: tuple[RunDocument, ...]) -> None:
    done = etui("compare", "a", "b", "c")
    assert (done.returncode, done.stderr) == (0, "")
    verdicts, words, table = done.stdout.split("\n\n")
    base, int8, later = verdicts.splitlines()[1:]
    assert not lacking(base, "fp32/xnnpack aaaaaa", "16.0", "baseline")
    assert not lacking(int8, "int8/xnnpack", "1.99x", "faster") and not lacking(later, "0.905x", "slower")
    first, second = words.splitlines()
    assert first.startswith("int8/xnnpack ") and "fp32/xnnpack aaaaaa" in first
    assert "different sessions" in second
    assert "(base)" in table and "median ms" in table and "%" in table and "*" in table
    assert "threads" not in table
    assert "threads" in etui("compare", "a", "b", "--all").stdout


def test_a_narrow_terminal_shows_changes_without_intervals(
    three: tuple[RunDocument, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = gates.Limits()
    compared = comparison_output.Compared.of(three[0], three[1:], margin=0.02, force=False, limits=limits)
    drawn = {}
    for columns in (None, 80):
        for module in (comparison_output, table):
            monkeypatch.setattr(module, "terminal_width", lambda columns=columns: columns)
        drawn[columns] = comparison_output.as_text([compared], everything=False).split("\n\n")[-1].splitlines()
    median = {columns: next(line for line in lines if "median ms" in line) for columns, lines in drawn.items()}
    assert "-49.7 % (-49" in median[None] and "-49.7 %" in median[80] and "(" not in median[80]
    assert (
        max(map(len, drawn[80])) <= 80 and "aaaaaa" in drawn[80][0] and "against fp32/xnnpack aaaaaa" in drawn[80][-1]
    )


def test_json_holds_figures_words_and_rows(etui: Etui, three: tuple[RunDocument, ...]) -> None:
    found = json.loads(etui("compare", "a", "b", "--json").stdout)
    assert (found["schema"], found["base"], found["others"]) == ("etui.compare/1", "aaaaaaaaaaa1", ["bbbbbbbbbbb2"])
    (comparison,) = found["comparisons"]
    assert comparison["verdict"] == "faster" and comparison["kind"] == "paired" and len(comparison["ci95"]) == 2
    assert comparison["words"][0].startswith("int8/xnnpack ")
    assert {row["name"] for row in found["rows"]} >= {"median ms", "size MB", "threads"}


def test_one_run_alone_makes_an_empty_junit_file(etui: Etui, three: tuple[RunDocument, ...], tmp_path: Path) -> None:
    file = tmp_path / "alone.xml"
    done = etui("compare", "a", "--junit", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    suite = ElementTree.fromstring(file.read_text())
    assert (suite.get("tests"), suite.get("failures"), len(suite)) == ("0", "0", 0)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["a", "b", "--fail-if-slower", "5"], 0),
        (["b", "a", "--fail-if-slower", "5"], 1),
        (["a", "b", "--fail-if-mae-above", "1e-3"], 1),
        (["a", "b", "--fail-if-mae-above", "1"], 0),
        (["a", "b", "--fail-if-inconclusive"], 0),
        (["a", "a", "--fail-if-slower", "5"], 2),
        (["a", "a", "--fail-if-slower", "5", "--fail-if-inconclusive"], 1),
        (["a", "--fail-if-slower", "5"], 2),
        (["a"], 0),
        (["a", "zzz"], 2),
        (["a", "b", "--fail-if-slower", "-1"], 2),
    ],
)
def test_statuses(etui: Etui, three: tuple[RunDocument, ...], words: list[str], status: int) -> None:
    assert etui("compare", *words).returncode == status


@pytest.mark.slow
def test_a_refusal_names_its_reason_unless_forced(etui: Etui, stored: Stored) -> None:
    base, other = measured("aaaaaaaaaaa1"), measured("bbbbbbbbbbb2", seed=1, session_id=LATER, median=8.0)
    other.threads = 1
    stored(base, other)
    done = etui("compare", "a", "b")
    assert done.returncode == 0 and not lacking(done.stdout, "threads", "2 and 1", "--force")
    done = etui("compare", "a", "b", "--force")
    assert not lacking(done.stdout, "times as fast", "threads", "2 and 1")
    done = etui("compare", "a", "b", "--fail-if-slower", "5")
    assert done.returncode == 2 and "threads" in done.stderr


@pytest.mark.slow
def test_a_limit_that_cannot_be_judged_is_not_hidden_by_one_that_holds(
    etui: Etui, three: tuple[RunDocument, ...], stored: Stored
) -> None:
    unknown = msgspec.structs.replace(three[1], id="ddddddddddd4", accuracy=None)
    stored(unknown)
    done = etui("compare", "a", "d", "--fail-if-slower", "5", "--fail-if-mae-above", "1")
    assert done.returncode == 2 and "held" in done.stdout and "accuracy" in done.stderr
    assert etui("compare", "a", "d", "--fail-if-slower", "5").returncode == 0


@pytest.mark.slow
def test_the_files_hold_the_checks_and_nothing_unescaped(etui: Etui, stored: Stored, tmp_path: Path) -> None:
    base, other = measured("aaaaaaaaaaa1"), measured("bbbbbbbbbbb2", median=20.0, precision="int8")
    name = msgspec.structs.replace(base.model, name="ev<i>l|\x1b[31m&*")
    base.model = other.model = name
    stored(base, other)
    words = ["--fail-if-slower", "5", "--junit", "out/gate.xml", "--markdown", "page.md"]
    assert etui("compare", "a", "b", *words).returncode == 1
    suite = ElementTree.parse(tmp_path / "out" / "gate.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert suite[0].get("classname") == "etui.ev<i>l|&* int8/xnnpack"
    assert suite[0][0].tag == "failure" and "+2" in str(suite[0][0].get("message"))
    page = (tmp_path / "page.md").read_text()
    assert "<i>" not in page and "\x1b" not in page and "| -----" in page and "ev&lt;i>l\\|&amp;\\*" in page
    assert etui("compare", "a", "b", *words).returncode == 1


@pytest.mark.slow
def test_the_gate_meets_the_newest_run_of_the_same_choice(
    etui: Etui, three: tuple[RunDocument, ...], written: Written
) -> None:
    kept = written("baseline.json", three[0])
    done = etui("gate", "--baseline", kept)
    assert done.returncode == 1 and not lacking(done.stdout, "crossed", "5 %")
    assert etui("gate", "--baseline", kept, "--fail-if-slower", "50").returncode == 0
    assert etui("gate", "--baseline", kept, "b").returncode == 0
    assert len(json.loads(etui("gate", "--baseline", kept, "--json").stdout)) == 1


def test_the_gate_passes_on_the_same_program_measured_again(etui: Etui, stored: Stored, written: Written) -> None:
    kept = written("baseline.json", measured("aaaaaaaaaaa1", seed=1, drift_sd=0))
    stored(measured("bbbbbbbbbbb2", seed=2, drift_sd=0, session_id=LATER))
    done = etui("gate", "--baseline", kept, "--fail-if-inconclusive")
    assert done.returncode == 0, done.stdout


def test_a_newest_run_that_failed_fails_the_gate(etui: Etui, stored: Stored, written: Written) -> None:
    kept = written("baseline.json", measured("aaaaaaaaaaa1", seed=1, drift_sd=0))
    failed = measured("ccccccccccc3", drift_sd=0, session_id="5e5510000003")
    failed.status, failed.error, failed.blocks, failed.latency_ms = "failed", "no kernel", [], None
    failed.created_at = "2026-11-22T10:00:00.000Z"
    stored(measured("bbbbbbbbbbb2", seed=2, drift_sd=0, session_id=LATER), failed)
    done = etui("gate", "--baseline", kept)
    assert done.returncode == 1 and "crossed" in done.stdout and "no kernel" in done.stdout
    assert etui("gate", "--baseline", kept, "b").returncode == 0


def test_the_gate_passes_over_a_newer_run_with_modules_kept_in_fp32(
    etui: Etui, stored: Stored, written: Written
) -> None:
    kept = written("baseline.json", measured("aaaaaaaaaaa1", seed=1, drift_sd=0, precision="int8"))
    partial = measured("ccccccccccc3", median=32.0, drift_sd=0, precision="int8", session_id="5e5510000003")
    partial.created_at = "2026-11-22T10:00:00.000Z"
    partial.session = msgspec.structs.replace(partial.session, spec=partial.session.spec | {"keep_fp32": ["layer4"]})
    stored(measured("bbbbbbbbbbb2", seed=2, drift_sd=0, precision="int8", session_id=LATER), partial)
    done = etui("gate", "--baseline", kept, "--json")
    assert done.returncode == 0
    assert [found["others"] for found in json.loads(done.stdout)] == [["bbbbbbbbbbb2"]]


def test_the_gate_pairs_runs_of_the_same_shape_and_kind_of_program(
    etui: Etui, stored: Stored, written: Written
) -> None:
    def at(run_id: str, size: int, session: str, seed: int = 1, dynamic: bool = False) -> RunDocument:
        run = measured(run_id, drift_sd=0, session_id=session, seed=seed, median=64.0 if dynamic else 16.0)
        run.input_size, run.dynamic = (size, size), dynamic
        run.variant = f"fp32/xnnpack {size}x{size}{' dynamic' if dynamic else ''}"
        return run

    first, later = "5e5510000001", "5e5510000003"
    kept = written("baseline.json", at("aaaaaaaaaaa1", 128, first), at("aaaaaaaaaaa2", 224, first, seed=2))
    stored(
        at("bbbbbbbbbbb1", 128, later, seed=3),
        at("bbbbbbbbbbb2", 224, later, seed=4),
        at("bbbbbbbbbbb3", 224, later, dynamic=True, seed=5),
    )
    done = etui("gate", "--baseline", kept, "--json")
    pairs = [(found["base"], *found["others"]) for found in json.loads(done.stdout)]
    assert pairs == [("aaaaaaaaaaa1", "bbbbbbbbbbb1"), ("aaaaaaaaaaa2", "bbbbbbbbbbb2")]
    named = etui("gate", "--baseline", kept, "bbbbbbbbbbb3")
    assert named.returncode == 2 and "dynamic" in named.stderr


def test_the_gate_pairs_runs_of_the_same_threads_and_names_newer_ones_of_others(
    etui: Etui, stored: Stored, written: Written
) -> None:
    def threaded(run_id: str, threads: int, session: str, *, varied: bool = False, day: int = 20) -> RunDocument:
        run = measured(run_id, drift_sd=0, session_id=session, seed=threads, median=32.0 / threads)
        run.threads, run.created_at = threads, f"2026-11-{day}T10:00:00.000Z"
        run.variant = f"fp32/xnnpack threads {threads}" if varied else None
        return run

    kept = written("baseline.json", threaded("aaaaaaaaaaa1", 1, "5e5510000001"))
    later, last = "5e5510000003", "5e5510000004"
    stored(
        threaded("bbbbbbbbbbb1", 1, later, varied=True, day=21),
        threaded("bbbbbbbbbbb2", 2, later, varied=True, day=21),
    )
    done = etui("gate", "--baseline", kept, "--json")
    assert [found["others"] for found in json.loads(done.stdout)] == [["bbbbbbbbbbb1"]], done.stderr
    assert done.returncode == 0 and "caution" not in done.stderr
    stored(threaded("ccccccccccc2", 2, last, day=22))
    again = etui("gate", "--baseline", kept, "--json")
    assert [found["others"] for found in json.loads(again.stdout)] == [["bbbbbbbbbbb1"]]
    assert not lacking(again.stderr, "caution", "2 threads", "ccccccccccc2") and again.stderr.count("\n") == 1
    only = etui("gate", "--baseline", written("four.json", threaded("ddddddddddd4", 4, "5e5510000001")))
    assert only.returncode == 2 and not lacking(only.stderr, "4 threads", "2 threads")


@pytest.mark.slow
def test_a_loaded_machine_neither_holds_nor_crosses_a_gate(etui: Etui, stored: Stored, written: Written) -> None:
    kept = written("baseline.json", measured("aaaaaaaaaaa1", seed=1, drift_sd=0))
    loaded = measured("bbbbbbbbbbb2", median=32.0, drift_sd=0, session_id=LATER)
    loaded.blocks = [msgspec.structs.replace(block, foreign_cpu_cores=1.0) for block in loaded.blocks]
    stored(loaded)
    done = etui("gate", "--baseline", kept)
    assert done.returncode == 0 and "open" in done.stderr and "unreliable" in done.stdout
    assert etui("gate", "--baseline", kept, "--fail-if-inconclusive").returncode == 1
    assert json.loads(etui("gate", "--baseline", kept, "--json").stdout)[0]["comparisons"][0]["verdict"] == "unreliable"


def test_the_gate_cautions_against_another_configuration(
    etui: Etui, three: tuple[RunDocument, ...], written: Written
) -> None:
    kept = written("baseline.json", three[0])
    other = etui("gate", "--baseline", kept, "b")
    assert not lacking(other.stderr, "caution", "resnet18 int8 xnnpack", "resnet18 fp32 xnnpack")
    assert "caution" not in etui("gate", "--baseline", kept, "c").stderr


def test_the_first_run_of_a_job_may_have_no_baseline(etui: Etui, three: tuple[RunDocument, ...]) -> None:
    missing = etui("gate", "--baseline", "none.json")
    assert missing.returncode == 2 and not lacking(missing.stderr, "does not exist", "etui export")
    allowed = etui("gate", "--baseline", "none.json", "--allow-no-baseline")
    assert (allowed.returncode, allowed.stdout) == (0, "") and "nothing to compare" in allowed.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("option", "beginning"), [("--markdown", "## resnet18"), ("--junit", "<?xml")])
def test_a_dash_is_standard_output(
    etui: Etui, three: tuple[RunDocument, ...], tmp_path: Path, option: str, beginning: str
) -> None:
    done = etui("compare", "a", "b", option, "-")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(beginning)
    assert done.stdout.count("int8/xnnpack is ") == 1
    assert not (tmp_path / "-").exists()
    assert etui("compare", "a", "b", option, "-", "--json").returncode == 2


def test_a_gate_with_nothing_to_compare_ends_with_2(
    etui: Etui, three: tuple[RunDocument, ...], written: Written
) -> None:
    done = etui("gate", "--baseline", written("other.json", measured("ddddddddddd4", precision="fp16")))
    assert done.returncode == 2 and not lacking(done.stderr, "resnet18 fp16 xnnpack")
    assert done.stderr.splitlines()[-1].startswith("etui: ")
    assert etui("gate", "--baseline", "none.json").returncode == 2
    both = written("both.json", measured("ddddddddddd4", precision="fp16"), three[0])
    assert etui("gate", "--baseline", both, "b").returncode == 2
