"""``etui cache``: what it lists, and what it removes and never removes, over a real cache folder."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from etui.files.cache_entries import hold, making
from etui.jobs import BundleResult, LowerResult
from etui.results import Artifact, InputsInfo, ModelInfo, Stage, WeightsInfo
from tests.cli.conftest import Etui
from tests.documents import make_document
from tests.machines import ETUI, PATIENCE_S, Machine

ONE, TWO, THREE, FOUR = "1" * 32, "2" * 32, "3" * 32, "4" * 32
DAY_S = 86_400


def add_program(root: Path, key: str, *, model: str = "", precision: str = "", size: int = 1_000) -> Path:
    lowered = LowerResult(
        path="p", artifact=Artifact(kind="pte", size_bytes=size, sha256="0", key=key), stages=[],
        model=model, precision=precision, delegate="xnnpack" if precision else "",
    )  # fmt: skip
    with making(root / "programs" / key) as made:
        (made / "program.pte").write_bytes(b"0" * size)
        (made / "lowered.json").write_bytes(msgspec.json.encode(lowered))
    return root / "programs" / key


def add_bundle(root: Path, key: str, model: str) -> Path:
    bundle = BundleResult(
        path="p", key=key, model=ModelInfo(name=model, family="cnn", source="s", identity="i"),
        weights=WeightsInfo(kind="synthetic", detail="d"),
        inputs=InputsInfo(
            kind="photos", detail="d", accuracy_count=1, calibration_count=1, sha256="0", shapes=[], dtypes=[]
        ),
        stages=[Stage(name="load", seconds=1.0)], cached=False,
    )  # fmt: skip
    with making(root / "models" / key) as made:
        (made / "weights.safetensors").write_bytes(b"0" * 5_000)
        (made / "bundle.json").write_bytes(msgspec.json.encode(bundle))
    return root / "models" / key


def use_days_ago(entry: Path, days: float) -> None:
    at_s = entry.stat().st_mtime - days * DAY_S
    os.utime(entry, (at_s, at_s))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache with two programs and a bundle of two models, used 40, 2 and 0 days ago."""
    root = tmp_path / "cache"
    use_days_ago(add_program(root, ONE, model="resnet18", precision="int8"), 40)
    use_days_ago(add_program(root, TWO, model="minilm", precision="fp32"), 2)
    add_bundle(root, THREE, "resnet18")
    return root


def entries(root: Path) -> set[str]:
    return {entry.name for folder in ("programs", "models") for entry in (root / folder).glob("*")}


def test_the_list_has_every_entry_most_recently_used_first(etui: Etui, root: Path) -> None:
    listed = json.loads(etui("cache", "list", "--json").stdout)
    assert [(entry["kind"], entry["key"], entry["model"]) for entry in listed["entries"]] == [
        ("bundle", THREE, "resnet18"), ("program", TWO, "minilm"), ("program", ONE, "resnet18"),
    ]  # fmt: skip
    assert [entry["in_use"] for entry in listed["entries"]] == [False] * 3
    bundle, _, program = listed["entries"]
    assert (bundle["weights"], bundle["inputs"]) == ("synthetic", "photos") and bundle["size_bytes"] > 5_000
    assert (program["precision"], program["delegate"]) == ("int8", "xnnpack")
    assert listed["size_bytes"] == sum(entry["size_bytes"] for entry in listed["entries"])
    assert (listed["folder"], listed["cap_bytes"]) == (str(root), 20_000_000_000)
    assert json.loads(etui("cache", "--json", ETUI_CACHE_GB="2").stdout)["cap_bytes"] == 2_000_000_000
    done = etui("cache")
    assert done.stdout == etui("cache", "list").stdout and done.stderr == ""
    assert all(part in done.stdout for part in ("resnet18", "int8/xnnpack", ONE[:12], "20.0 GB"))


def test_runs_name_the_programs_of_earlier_versions(etui: Etui, root: Path, stored: Callable[..., None]) -> None:
    add_program(root, FOUR)
    run = make_document("aaaaaaaaaaa1", precision="int8")
    assert run.artifact is not None
    run.artifact = msgspec.structs.replace(run.artifact, key=FOUR)
    stored(run)
    (found,) = (one for one in json.loads(etui("cache", "--json").stdout)["entries"] if one["key"] == FOUR)
    assert (found["model"], found["precision"], found["runs"]) == ("resnet18", "int8", ["aaaaaaaaaaa1"])
    assert etui("cache", "clean", "resnet18", "--yes").returncode == 0
    assert entries(root) == {TWO}


def test_no_cache_and_no_database_are_created(etui: Etui, tmp_path: Path, database: Path) -> None:
    listed = json.loads(etui("cache", "--json").stdout)
    assert (listed["entries"], listed["size_bytes"]) == ([], 0)
    assert etui("cache").returncode == 0
    assert etui("cache", "clean", "--all", "--yes").returncode == 0
    assert not (tmp_path / "cache").exists() and not database.exists()


@pytest.mark.parametrize(
    ("selection", "left"),
    [(["--all"], set()), (["--older-than", "30d"], {TWO, THREE}), (["--older-than", "1d"], {THREE}),
     (["resnet18"], {TWO}), (["minilm", "33"], {ONE}), (["resnet18", "--older-than", "4w"], {TWO, THREE}),
     (["--older-than", "52w"], {ONE, TWO, THREE})],
)  # fmt: skip
def test_what_is_selected_is_removed(etui: Etui, root: Path, selection: list[str], left: set[str]) -> None:
    before = {entry["key"]: entry for entry in json.loads(etui("cache", "--json").stdout)["entries"]}
    done = etui("cache", "clean", *selection, "--yes", "--json")
    assert done.returncode == 0 and entries(root) == left
    answer = json.loads(done.stdout)
    assert {entry["key"] for entry in answer["removed"]} == set(before) - left and answer["kept"] == []
    assert answer["freed_bytes"] == sum(before[key]["size_bytes"] for key in set(before) - left)
    assert not list((root / "locks").iterdir()) or left


def test_an_entry_in_use_is_listed_so_and_never_removed(etui: Etui, root: Path) -> None:
    held = hold(root / "programs" / ONE)
    assert held is not None
    try:
        in_use = {one["key"]: one["in_use"] for one in json.loads(etui("cache", "--json").stdout)["entries"]}
        assert in_use == {ONE: True, TWO: False, THREE: False}
        done = etui("cache", "clean", "--all", "--yes", "--json")
        assert entries(root) == {ONE} and [entry["key"] for entry in json.loads(done.stdout)["kept"]] == [ONE]
        assert ONE[:12] in done.stderr
    finally:
        held.release()
    assert etui("cache", "clean", ONE, "--yes").returncode == 0
    assert entries(root) == set()


@pytest.mark.parametrize(
    "arguments",
    [[], ["--all"], ["absent", "--yes"], ["--older-than", "soon", "--yes"], ["--all", "resnet18", "--yes"], [""]],
)
def test_a_wrong_request_removes_nothing(etui: Etui, root: Path, arguments: list[str]) -> None:
    done = etui("cache", "clean", *arguments)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert entries(root) == {ONE, TWO, THREE}


@pytest.mark.parametrize(("answer", "left"), [(b"n\n", {ONE}), (b"y\n", set())])
def test_on_a_terminal_it_asks_first(machine: Machine, answer: bytes, left: set[str]) -> None:
    add_program(machine.cache, ONE, model="resnet18", precision="int8")
    ours, theirs = os.openpty()
    try:
        os.write(ours, answer)
        done = subprocess.run(
            [ETUI, "cache", "clean", "--all"], stdin=theirs, capture_output=True, text=True, check=True,
            env=machine.environment, timeout=PATIENCE_S,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert entries(machine.cache) == left and ONE[:12] in done.stderr and done.stdout == ""


def test_leftovers_of_killed_processes_are_listed_and_removed(etui: Etui, root: Path) -> None:
    leftover = root / "programs" / f".{FOUR}-abcdefgh"
    leftover.mkdir()
    (leftover / "program.pte").write_bytes(b"0" * 700)
    (root / "locks" / f"programs-{FOUR}").touch()
    assert json.loads(etui("cache", "--json").stdout)["temporary_bytes"] == 700
    assert etui("cache", "clean", "--older-than", "52w", "--yes").returncode == 0
    assert entries(root) == {ONE, TWO, THREE}


def test_damaged_descriptions_are_listed_and_can_be_removed(etui: Etui, root: Path) -> None:
    (root / "programs" / ONE / "lowered.json").write_bytes(b"{")
    (root / "models" / THREE / "bundle.json").unlink()
    listed = json.loads(etui("cache", "--json").stdout)["entries"]
    assert {(entry["key"], entry["model"]) for entry in listed} == {(ONE, ""), (TWO, "minilm"), (THREE, "")}
    assert etui("cache", "clean", ONE, THREE, "--yes").returncode == 0
    assert entries(root) == {TWO}


def test_models_and_keys_are_completed(etui: Etui, root: Path) -> None:
    def complete(word: str) -> list[str]:
        done = etui(_ETUI_COMPLETE="bash_complete", COMP_WORDS=f"etui cache clean {word}", COMP_CWORD="3")
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line]

    assert complete("") == ["resnet18"] and complete("22") == [TWO]
