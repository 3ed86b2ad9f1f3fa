"""Targets that read a text or bytes: the filter language, the config file, programs, and the lines of workers."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from etui.config import Config, load
from etui.config_text import as_toml
from etui.errors import EtuiError
from etui.events import Event
from etui.jobs import Done, JobError, LogMessage, MemoryJob
from etui.programs.flatbuffer import DamagedFile
from etui.programs.program import read_program
from etui.programs.sections import sections
from etui.results import RunDocument
from etui.runner.worker import Worker, WorkerFailed
from etui.store import Store
from etui.store.filter_keys import KEYS
from etui.store.filter_language import FilterMistake, completions, parse, read
from tests.documents import make_document
from tests.fuzz import mutate
from tests.fuzz.harness import Deviation, Outcome


class Filters:
    """Filters of the runs table: a mistake with its position, or conditions that SQLite can execute."""

    name = "filter"
    share = 30.0

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Callable[[random.Random], Outcome]]:
        """Open a database with a few runs for the filters."""
        with Store.open(folder / "etui.db") as store:
            store.import_documents(
                [
                    make_document(f"{number:012x}", session_id=f"5{number:011x}", median=1.0 + number)
                    for number in range(30)
                ]
            )
            yield partial(_filtered, store)


_OPERATORS = (":", "=", "!=", "<", "<=", ">", ">=", "~", "::", "=<", "")
_FILTER_VALUES = (
    "resnet18", "res*", "*", "*a*b*c", "int8,fp32", ",", "10", "10ms", "1e3", "1e999", "-1e-999", ".5", "5.",
    "10kb", "3x", "today",
    "yesterday", "2026-11-20", "9999-12-31", "0001-01-01", "2026-11-20T10:00", "0001-01-01T00:00+14:00",
    "9999-12-31T23:59-14:00",
    "2..10", "..", "1..", "..1ms", "5..1", "today..", "1d..7d", "last",
    "12h", "7d", "999999999w", "1e5d", "99999999999999999999m", "0.5h", "done", "timed-out", "failed,done",
    '"two words"', '"', "[", "?",
    "%", "_", "\\", "mae", "nokey",
)  # fmt: skip


def _filtered(store: Store, rng: random.Random) -> Outcome:
    text = _filter_text(rng)
    cursor = rng.randint(0, len(text))
    for one in completions(text, cursor, {"model": ["resnet18", mutate.a_text(rng)]}):
        if not isinstance(one, str):
            raise Deviation(f"a completion is {one!r}")
    store.count(read(text)[0])
    try:
        conditions = parse(text)
    except FilterMistake as mistake:
        if not 0 <= mistake.start <= mistake.end <= len(text):
            raise Deviation(f"the mistake is at {mistake.start} to {mistake.end} of {len(text)}") from mistake
        return "refused"
    store.count(conditions)
    store.summaries(conditions, limit=3)
    return "accepted"


def _filter_text(rng: random.Random) -> str:
    terms = []
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        key = rng.choice((*KEYS, "has", mutate.a_text(rng)))
        value = rng.choice((*_FILTER_VALUES, mutate.a_text(rng), str(mutate.a_float(rng)), str(mutate.an_integer(rng))))
        term = rng.choice((f"{key}{rng.choice(_OPERATORS)}{value}", value, f"-{key}:{value}", f"has:{key}"))
        terms.append(term if rng.random() < 0.8 else term.upper())
        if rng.random() < 0.2:
            terms[-1] = rng.choice(("({}", "-({})", "not {}", "{})", "({})")).replace("{}", terms[-1])
    text = rng.choice((" ", " ", "  ", "\t", " or ", " and ", " OR ", ") or (")).join(terms)
    if rng.random() < 0.2 and text:
        place = rng.randrange(len(text))
        text = text[:place] + rng.choice('"-:<>=~*, \x00é()@.') + text[place + rng.randint(0, 2) :]
    return text * rng.choice((1,) * 30 + (50, 2000)) if len(text) < 200 else text


class Configs:
    """Config files: ``load`` never fails, reports each ignored setting in a line, and its result can be written
    back."""

    name = "config"
    share = 12.0

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Callable[[random.Random], Outcome]]:
        """One file that every input overwrites."""
        yield partial(_configured, folder / "config.toml")


def _configured(path: Path, rng: random.Random) -> Outcome:
    path.write_bytes(_config_bytes(rng))
    loaded = load(path, frozenset({"bench.run", "table.down"}))
    for notice in loaded.notices:
        if "\n" in notice or "\x1b" in notice or len(notice) > 1_000:
            raise Deviation(f"a notice is not one short line: {notice[:300]!r}")
    path.write_text(as_toml(loaded.config, [("bench.run", "r", "Start"), ("table.down", "j,down", "Down")]))
    reloaded = load(path, frozenset({"bench.run", "table.down"}))
    if reloaded.config != msgspec.structs.replace(loaded.config, keys=_not_empty(loaded.config)) or reloaded.notices:
        raise Deviation(f"the loaded configuration is not the written one: {loaded.config} and {reloaded}")
    return "refused" if loaded.notices else "accepted"


def _not_empty(config: Config) -> dict[str, str]:
    """Return the keys that are not empty; an empty one means the default."""
    return {name: keys for name, keys in config.keys.items() if keys}


def _config_bytes(rng: random.Random) -> bytes:
    values = (
        '"etui-light"', '"etui-dark"', "3", "true", "false", "1e999", "nan", "[]", "{}", '["when", "p50"]',
        '["when", "when"]', "[1]",
        '"r"', '"j,down"', '""', '","', '"\\u0000"', '"a\\nb"', '"\\u001b[31m"', "1979-05-27T07:32:00Z",
        "9999-99-99", "0x" + "f" * 300,
        "9" * 5000, "[" * rng.choice((5, 200, 2000)), "[" * 300 + "]" * 300, "{a=" * 400 + "1" + "}" * 400,
        '"""', "'", '"\\ud800"',
    )  # fmt: skip
    names = (
        "theme",
        "ascii",
        "columns",
        "keys",
        '"bench.run"',
        "bench.run",
        "colour",
        '""',
        "a." * 400 + "b",
        '"\\u001b"',
    )
    heads = ("[keys]", "[keys.x]", "[[keys]]", "[theme]", "#", "", "[" * 500)
    lines = [
        rng.choice(heads) if rng.random() < 0.3 else f"{rng.choice(names)} = {rng.choice(values)}"
        for _ in range(rng.randint(0, 5))
    ]
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    if rng.random() < 0.3:
        data = mutate.change_bytes(rng, data)
    if rng.random() < 0.01:
        data = data + b"#" * 1_100_000
    return data


class Programs:
    """Bytes of ``.pte`` files: read, or refused as damaged."""

    name = "program"
    share = 25.0

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Callable[[random.Random], Outcome]]:
        """This target stores nothing."""
        yield _program_read


def _program_read(rng: random.Random) -> Outcome:
    data = pte(rng)
    if rng.random() < 0.9:
        data = mutate.change_bytes(rng, data)
    buffer = memoryview(data)
    try:
        program = read_program(buffer)
        program_sections = sections(program, buffer)
    except DamagedFile as error:
        if "\n" in str(error):
            raise Deviation(f"the refusal is not one line: {error}") from error
        return "refused"
    msgspec.json.encode([program, program_sections])
    return "accepted"


def pte(rng: random.Random) -> bytes:
    """Return a small program in ExecuTorch's layout, partly random."""
    shape = [rng.choice((1, 3, 24, 2**31 - 1)) for _ in range(rng.randint(0, 4))]
    tensor = {0: ("b", rng.choice((6, 1, 15, 99))), 2: ("I[]", shape), 5: ("I", rng.randint(0, 2))}
    value = {0: ("B", rng.choice((5, 5, 5, 2, 77))), 1: tensor}
    call = {0: ("B", rng.choice((1, 2, 9))), 1: {0: ("i", rng.choice((0,) * 40 + (1, -1)))}}
    method = {
        0: rng.choice(("forward", "encode", "", "\x1b[31m")),
        2: [value, value],
        3: ("i[]", [0]),
        4: ("i[]", [rng.choice((1,) * 20 + (7,))]),
        5: [{2: [call, call]}],
        6: [{0: "aten::add", 1: "out"}],
        7: [{0: "XnnpackBackend", 1: {0: ("b", rng.randint(0, 1)), 1: ("I", rng.randint(0, 1))}}],
        8: ("q[]", [0, rng.choice((4096,) * 20 + (-1,))]),
    }
    root = {
        0: ("I", 0),
        1: [method] * rng.choice((1, 1, 2)),
        2: [{0: ("B[]", [0] * 8)}],
        3: [{0: ("B[]", [1, 2, 3])}],
        4: [{0: ("Q", 0), 1: ("Q", 16)}, {0: ("Q", 16), 1: ("Q", 16)}],
        5: {0: ("I", 0), 1: ("Q[]", [0, 8])},
        7: [{0: "weight", 1: ("I", 1)}],
    }
    body = flatbuffer(root)
    # The header is between the offset of the root table, which it shifts, and the rest.
    (first,) = struct.unpack_from("<I", body, 0)
    size = len(body) + 4 + 4 + 32
    head = b"ET12" + b"eh00" + struct.pack("<IQQQ", 32, size, size, 32) + bytes(4)
    return struct.pack("<I", first + len(head)) + head + body[4:] + bytes(32)


def flatbuffer(root: dict[int, Any]) -> bytes:
    """Return a FlatBuffer of tables: fields are texts, tables (dicts), lists of tables, numbers (form, value), or lists
    of numbers (form with ``[]``, values)."""
    made = bytearray(4)
    struct.pack_into("<I", made, 0, _table(made, root))
    return bytes(made)


def _table(made: bytearray, fields: dict[int, Any]) -> int:
    count = max(fields, default=-1) + 1
    places: dict[int, int] = {}
    inside = 4
    for number, value in fields.items():
        places[number] = inside
        inside += struct.calcsize(f"<{value[0]}") if _is_number(value) else 4
    vtable = len(made)
    made += struct.pack(f"<HH{count}H", 4 + 2 * count, inside, *(places.get(number, 0) for number in range(count)))
    table = len(made)
    made += struct.pack("<i", table - vtable) + bytes(inside - 4)
    for number, value in fields.items():
        place = table + places[number]
        if _is_number(value):
            struct.pack_into(f"<{value[0]}", made, place, value[1])
        else:
            struct.pack_into("<I", made, place, _object(made, value) - place)
    return table


def _object(made: bytearray, value: Any) -> int:
    if isinstance(value, dict):
        return _table(made, value)
    start = len(made)
    if isinstance(value, str):
        data = value.encode()
        made += struct.pack("<I", len(data)) + data + b"\0"
    elif isinstance(value, tuple):
        form, numbers = value[0].removesuffix("[]"), value[1]
        made += struct.pack(f"<I{len(numbers)}{form}", len(numbers), *numbers)
    else:
        made += struct.pack("<I", len(value)) + bytes(4 * len(value))
        for index, one in enumerate(value):
            place = start + 4 + 4 * index
            struct.pack_into("<I", made, place, _table(made, one) - place)
    return start


def _is_number(value: Any) -> bool:
    return isinstance(value, tuple) and not value[0].endswith("[]")


class Lines:
    """The lines that a worker writes to its pipes: events that can be stored and shown, an answer, or nothing."""

    name = "events"
    share = 15.0

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Callable[[random.Random], Outcome]]:
        """Open a database with a session for the events."""
        with Store.open(folder / "etui.db") as store:
            document = make_document()
            store.import_documents([document])
            yield partial(_received, store, document)


def _received(store: Store, document: RunDocument, rng: random.Random) -> Outcome:
    session, run_id = document.session.id, document.id
    events: list[Event] = []

    async def receive() -> bool:
        worker = Worker(
            1,
            MemoryJob(bundle="b", model="m", program="p", delegate="xnnpack", run_id=run_id, threads=1),
            events.append,
        )
        try:
            for _ in range(rng.randint(1, 6)):
                worker._report_line(_report(rng, run_id))
                worker._log_line(_noise(rng))
            worker.exited(rng.choice((0, 1, -9, -11, -6, 255)))
            await worker.answered()
        except WorkerFailed as error:
            if not error.message.strip():
                raise Deviation("a job failed without a message") from error
            return False
        finally:
            worker.close()
        return True

    answered = asyncio.run(receive())
    for event in events:
        try:
            store.add_event(session, event)
        except EtuiError:
            # The event of a run that does not exist; the runner then ends the job.
            if event.run_id in (None, run_id):
                raise
    store.events_after(session, 0, newest=20)
    return "accepted" if answered or events else "refused"


def _report(rng: random.Random, run_id: str) -> bytes:
    event = Event(kind="log", message=mutate.a_text(rng).encode("utf-8", "replace").decode())
    answer = rng.choice((LogMessage(event=event), Done(result=msgspec.Raw(b"{}")), JobError(message="it broke")))
    tree: Any = msgspec.json.decode(msgspec.json.encode(answer))
    if rng.random() < 0.7:
        tree["event"] = {
            "kind": rng.choice(("log", "stage", "progress", "block", "warning", "finished", "x")),
            "message": mutate.a_value(rng) if rng.random() < 0.2 else "text",
            "done": mutate.a_value(rng) if rng.random() < 0.3 else 1.0,
            "total": mutate.a_float(rng),
            "left_s": mutate.a_float(rng),
            "id": mutate.a_value(rng) if rng.random() < 0.3 else None,
            "run_id": rng.choice((None, run_id, run_id, mutate.a_text(rng))),
            "stage": mutate.a_text(rng),
            "at": mutate.a_text(rng),
            "level": rng.choice(("info", "debug", "loud")),
        }
        mutate.change_tree(rng, tree)
    import json

    data = json.dumps(tree).encode()
    return mutate.change_bytes(rng, data) if rng.random() < 0.3 else data


def _noise(rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return rng.randbytes(rng.randint(0, 200))
    return mutate.a_text(rng).encode("utf-8", "surrogatepass")
