"""``etui who``: the holder of the machine, who waits for it, and this database's runner and queue, with real locks."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from etui.host.user import user_name
from etui.results import ModelInfo
from etui.runner.machine_lock import hold
from etui.spec import SessionSpec, Variant
from etui.store import Store
from tests.cli.conftest import Etui
from tests.machines import Machine, machine_in, until

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
MODEL = f"{TINY}:convolutional"
LONG = ("--preset", "rigorous", "--repeat", "2000000000", "--timeout", "600", "--threads", "1")


def _hold(path: Path, doing: str, parent: Connection) -> None:
    async def main() -> None:
        async with hold(doing, parent.send):
            parent.send("held")
            await asyncio.to_thread(parent.recv)

    os.environ["ETUI_BOX_LOCK"] = str(path)
    asyncio.run(main())


@contextmanager
def another(path: Path, doing: str) -> Iterator[int]:
    """A process that holds the machine, or waits for it, as a runner does; yields its id."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_hold, args=(path, doing, theirs))
    process.start()
    assert ours.recv()
    assert process.pid is not None
    try:
        yield process.pid
    finally:
        process.kill()
        process.join()


def asked(etui: Etui | Machine, *arguments: str | Path) -> dict[str, Any]:
    done = etui.etui(*arguments, "who", "--json") if isinstance(etui, Machine) else etui(*arguments, "who", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_free_machine(etui: Etui, database: Path) -> None:
    answer = asked(etui)
    assert (answer["holder"], answer["waiting"]) == (None, [])
    assert (answer["database"]["path"], answer["database"]["exists"]) == (str(database), False)
    done = etui("who")
    assert done.returncode == 0 and done.stdout.startswith("machine ") and str(database) in done.stdout
    assert not database.parent.exists()


def test_the_holder_and_who_is_next(etui: Etui, tmp_path: Path) -> None:
    lock = tmp_path / "box.lock"
    with another(lock, "measuring resnet18") as holder, another(lock, "measuring gpt2") as next_in_turn:
        # On a busy machine the holder may answer too late.
        def answered() -> dict[str, Any]:
            answer = asked(etui)
            return answer if answer["holder"]["doing"] else {}

        answer = until(answered)
        assert answer["holder"]["pid"] == holder and answer["holder"]["user"] == user_name()
        assert answer["holder"]["doing"] == "measuring resnet18" and answer["holder"]["since"]
        assert [user["pid"] for user in answer["waiting"]] == [next_in_turn]
        assert answer["holder"]["database"] is None and str(holder) in answer["holder"]["advice"]
        text = etui("who").stdout
        assert all(part in text for part in (str(holder), str(next_in_turn), user_name()))
    assert asked(etui)["holder"] is None


def test_a_queue_without_a_runner_is_shown_and_none_is_started(etui: Etui, database: Path) -> None:
    spec = SessionSpec(model="resnet18", variants=(Variant("fp32", "xnnpack"), Variant("int8", "xnnpack")))
    model = ModelInfo(name="resnet18", family="cnn", source="s", identity="i")
    with Store.open(database) as store:
        queued = store.add_session(spec, model=model, box="another-host")
    state = asked(etui)["database"]
    assert (state["exists"], state["runner"], state["pid"], state["other_runners"]) == (True, "missing", None, [])
    (work,) = state["work"]
    assert (work["kind"], work["pid"]) == ("session", None)
    assert [(run["id"], run["precision"]) for run in work["runs"]] == [
        (run_id, variant.precision) for run_id, variant in queued.runs
    ]
    assert queued.runs[0][0][:6] in etui("who").stdout


def test_a_database_that_cannot_be_read_is_not_an_error(etui: Etui, database: Path) -> None:
    database.parent.mkdir()
    database.write_bytes(b"not a database")
    assert asked(etui)["database"]["work"] == []
    database.unlink()
    os.mkfifo(database)
    assert asked(etui)["database"]["work"] == []


@pytest.mark.slow
def test_the_runs_that_are_measured_and_the_command_that_stops_them(tmp_path: Path) -> None:
    with (
        machine_in(tmp_path / "one") as one,
        # With the cache of the first, which has the program when they look for it.
        machine_in(tmp_path / "two", one.cache) as two,
        machine_in(tmp_path / "three", one.cache) as three,
    ):
        for machine in (one, two, three):
            machine.folder.mkdir()
            machine.environment["ETUI_BOX_LOCK"] = str(tmp_path / "box.lock")
        (run_id,) = one.detach(MODEL, *LONG)
        one.wait_for_status(run_id, "measuring")
        waiting_ids = {}
        for machine in (two, three):
            (waiting_ids[machine],) = machine.detach(MODEL, *LONG)
            machine.wait_for_event(waiting_ids[machine], "waiting for the machine")
        here, there = asked(one), asked(two)
        for answer in (here, there):
            assert answer["holder"]["pid"] == one.runner().pid
            assert answer["holder"]["database"] == str(one.database)
            assert [run["id"] for work in answer["holder"]["work"] for run in work["runs"]] == [run_id]
            assert [(user["pid"], user["database"]) for user in answer["waiting"]] == [
                (machine.runner().pid, str(machine.database)) for machine in (two, three)
            ]
        assert (there["database"]["runner"], there["database"]["pid"]) == ("held", two.runner().pid)
        # The printed commands stop them, from anywhere.
        for user in (*there["waiting"], there["holder"]):
            words = shlex.split(user["advice"].partition(": ")[2])
            two.etui(*words[1:])
        assert one.wait_for_status(run_id, "cancelled")
        assert all(machine.wait_for_status(waiting_id, "cancelled") for machine, waiting_id in waiting_ids.items())
        until(lambda: asked(one)["holder"] is None)
        listed = json.loads(one.etui("cache", "--json").stdout)["entries"]
        (program,) = (entry for entry in listed if entry["kind"] == "program")
        assert (program["model"], program["precision"], program["delegate"]) == (
            "tiny-convolutional", "fp32", "xnnpack",
        )  # fmt: skip
        assert program["runs"] == [run_id]
