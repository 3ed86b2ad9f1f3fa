"""A million runs compared with a thousand: each command and each key of the screen may take twice as long.

``ETUI_BENCH_RUNS`` sets another number than a million, and ``ETUI_BENCH_KEEP`` names a folder in which the
databases are kept, since a million runs take minutes to make.
``python -m tests.benchmarks.bench_load DATABASE`` prints the time of the screen's queries alone.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from etui.errors import UsageError
from etui.store import Condition, Store
from etui.store.filter_language import parse
from etui.store.run_pages import Sorting, Window
from etui.store.transfer import encode_document
from tests.benchmarks.bench_tui import terminal
from tests.benchmarks.figures import Figure, ratio, timed
from tests.benchmarks.many_runs import RARE_MODEL, fill, run_id
from tests.documents import make_document
from tests.machines import ETUI, Machine

FEW = 1_000
LIMIT = 2.0
ROUNDS = 7
KEYS = 3
FILTERS = (
    "resnet18", "model:gpt2", "model:gpt*", f"model:{RARE_MODEL}", "status:failed", "-status:done", "p50<10", "p50<1.5",
    "p99>40", "mae<1e-3", "size<5", "top1>0.99", "threads=8", "speed:slower", "tag:nightly", "-tag:nightly",
    "flag:drift", "has:error", "-has:mae", "note:release", "note:nowhere", "error:memory", "error:nowhere",
    "when>2023-11-15", "when>2023-11-15 model:gpt2", "age<70w", "age>900w", "nowhere", "zq", "3f2a", "id:3f2",
    "session:3f", "-resnet", "-status:failed resnet", "gpt2 int8 xnnpack", "p50<3 -status:failed", "model:gpt2 p50<1.1",
    "box:laptop status:failed", "mae<1e-3 delegate:xnnpack", "note:kernel error:memory", '"resnet18 int8"',
    "model=gpt2", "p50:2..3", "model:my_model or p50<1.5", "status:failed or note:kernel",
    "(model:gpt2 p50<1.5) or tag:nightly", "since:70w", "session:last", "-(status:failed or resnet)",
)  # fmt: skip
"""Filters of every kind of the filter language: with common, rare and no matches."""
OTHER_KEYS = ("moving", "sorting", "opening a filter", "sorting what is filtered")


def figures(folder: Path) -> list[Figure]:
    """Measure commands and keys, each with both databases."""
    many = int(os.environ.get("ETUI_BENCH_RUNS", "1000000"))
    kept = os.environ.get("ETUI_BENCH_KEEP")
    small, large = (_filled(Path(kept) if kept else folder, count) for count in (FEW, many))
    return [*_commands(small, large), *_lists(large), *_screens(small, large, many)]


def _filled(folder: Path, count: int) -> Machine:
    """Return the folder of a database with this number of runs, which is created if it does not exist."""
    machine = Machine(folder / str(count))
    if not machine.database.exists():
        machine.folder.mkdir(parents=True, exist_ok=True)
        begun = time.perf_counter()
        fill(machine.database, count)
        made_s, megabytes = time.perf_counter() - begun, machine.database.stat().st_size / 1e6
        print(f"  {count:,} runs, {megabytes:,.0f} MB, made in {made_s:.0f} s", file=sys.stderr, flush=True)
    return machine


def _commands(small: Machine, large: Machine) -> list[Figure]:
    """Measure whole commands, with both databases in turn."""
    chance = random.Random(1)
    document = small.folder / "new.json"
    commands: dict[str, Callable[[str], list[str]]] = {
        "runs": lambda _: ["runs"],
        "runs --model": lambda _: ["runs", "--model", "resnet18"],
        "runs --model, a rare one": lambda _: ["runs", "--model", RARE_MODEL],
        "runs --status --precision --delegate": lambda _: [
            "runs", "--status", "failed", "--precision", "int8", "--delegate", "coreml",
        ],
        "runs --json --limit 100": lambda _: ["runs", "--json", "--limit", "100"],
        "show": lambda run: ["show", run],
        "export": lambda run: ["export", run, "-o", "-"],
        "log": lambda run: ["log", run],
        "import of one": lambda _: ["import", str(document)],
        "delete of one": lambda run: ["delete", "--yes", run],
    }  # fmt: skip
    figures = []
    for name, command in commands.items():
        took: dict[str, list[float]] = {"small": [], "large": []}
        for number in range(ROUNDS + 1):
            for side, machine in (("small", small), ("large", large)):
                new = f"{chance.randrange(1 << 48):012x}"
                document.write_bytes(encode_document(make_document(new, session_id=new[::-1])))
                seconds = timed([str(ETUI), *command(_any_run(machine, chance))], machine.environment)
                # The first round of each reads its files into memory.
                if number:
                    took[side].append(seconds)
        figures.append(ratio(f"load: etui {name}", took["large"], took["small"], LIMIT, f"{FEW:,} runs"))
    return figures


def _any_run(machine: Machine, chance: random.Random) -> str:
    """Return an existing run: earlier rounds have deleted some."""
    count = int(machine.folder.name)
    with Store.open(machine.database, create=False) as store:
        while True:
            try:
                return store.resolve(run_id(chance.randrange(count)))
            except UsageError:
                continue


def _lists(large: Machine) -> list[Figure]:
    """Compare the peak memory of a list of all runs with that of a list of 50."""
    figures = []
    for arguments in (["runs", "--limit", "0"], ["runs", "--json"]):
        base, _ = _peak_mb([*arguments, "--limit", "50"], large)
        peak, seconds = _peak_mb(arguments, large)
        figures.append(
            Figure(
                f"load: memory of etui {' '.join(arguments)}", peak / base, LIMIT,
                detail=f"{peak:.0f} MB against {base:.0f} MB of 50 runs; {seconds:.0f} s",
            )
        )  # fmt: skip
    return figures


def _peak_mb(arguments: Sequence[str], machine: Machine) -> tuple[float, float]:
    begun, peak = time.perf_counter(), 0
    with subprocess.Popen(
        [str(ETUI), *arguments], env=machine.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            try:
                peak = max(peak, psutil.Process(process.pid).memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.02)
    return peak / 1e6, time.perf_counter() - begun


def _screens(small: Machine, large: Machine, many: int) -> list[Figure]:
    """Measure first paints in turn, then keys with one database after the other."""
    painted: dict[str, list[float]] = {"small": [], "large": []}
    for _ in range(ROUNDS):
        for side, machine in (("small", small), ("large", large)):
            with terminal([str(ETUI)], machine.folder) as screen:
                painted[side].append(screen.wait(rb"Runs [\d,]{3,}") / 1e3)
    few, more = _pressed(small), _pressed(large)
    slowest = max(FILTERS, key=lambda text: more[text])
    return [
        ratio("load: tui, first paint", painted["large"], painted["small"], LIMIT, f"{FEW:,} runs"),
        *(_of_keys(f"load: tui, {key}", [more[key]], [few[key]]) for key in OTHER_KEYS),
        _of_keys("load: tui, filtering", [more[text] for text in FILTERS], [few[text] for text in FILTERS]),
        _of_keys(f"load: tui, the slowest filter, {slowest}", [more[slowest]], [few[slowest]]),
    ]


def _of_keys(what: str, ours_ms: Sequence[float], theirs_ms: Sequence[float]) -> Figure:
    ours, theirs = statistics.median(ours_ms), statistics.median(theirs_ms)
    return Figure(what, ours / theirs, LIMIT, detail=f"median {ours:.0f} ms against {theirs:.0f} ms of {FEW:,} runs")


def _pressed(machine: Machine) -> dict[str, float]:
    """Return median milliseconds from keys to their effect on the screen, by kind of key and by filter."""
    took: dict[str, list[float]] = {}
    _forget_view(machine)
    with terminal([str(ETUI)], machine.folder) as screen:
        screen.wait(rb"Runs [\d,]{3,}")
        for key in (b"j", b"k", b"\x04", b"\x15", b"G", b"g") * KEYS:
            screen.press(key)
            took.setdefault("moving", []).append(screen.wait(rb"\x1b\["))
        for _ in range(20 * KEYS):
            screen.press(b"s")
            took.setdefault("sorting", []).append(screen.wait(rb"\xe2\x96[\xb2\xbc]"))
        screen.press(b"/")
        took.setdefault("opening a filter", []).append(screen.wait(rb"\x1b\["))
        screen.press(b"-status:failed resnet\r")
        screen.rest(1.0)
        for _ in range(10 * KEYS):
            screen.press(b"s")
            took.setdefault("sorting what is filtered", []).append(screen.wait(rb"\xe2\x96[\xb2\xbc]"))
    _forget_view(machine)
    with terminal([str(ETUI)], machine.folder) as screen:
        screen.wait(rb"Runs [\d,]{3,}")
        screen.press(b"/")
        for text in FILTERS * KEYS:
            screen.press(text[:-1].encode())
            screen.press(text[-1:].encode())
            # The title is drawn with the rows: with the new filter in it, they are those of the last letter.
            milliseconds = screen.wait(rb"Runs (\xe2\x80\xa6|[\d,]+) \xc2\xb7 " + re.escape(text.encode()))
            took.setdefault(text, []).append(milliseconds)
            screen.press(b"\x15")
            screen.wait(rb"Runs (\xe2\x80\xa6|[\d,]+)")
    return {what: statistics.median(values) for what, values in took.items()}


def _forget_view(machine: Machine) -> None:
    """Make the next screen show the newest runs first, instead of the sort order of the one before."""
    shutil.rmtree(machine.folder / "state", ignore_errors=True)


def queries(database: Path) -> None:
    """Print milliseconds of the screen's queries, for each filter and each sorted column."""
    with Store.open(database, create=False, cache_bytes=48 << 20) as store:
        print(f"{store.count():,} runs\n{'':34}{'count':>9}{'first':>9}{'around':>9}{'page':>9}  matches")
        middle = run_id(store.count() // 2)
        by_age = Sorting(column="created_at", descending=True)
        for text in ("", *FILTERS):
            where = parse(text)
            _line(store, text or "all", where, by_age, middle)
        columns = ("model", "latency_median_ms", "latency_ci95_low_ms", "top1", "flags", "tags", "id")
        for column, descending in itertools.product(columns, (True, False)):
            sorting = Sorting(column=column, descending=descending)
            for text in ("", "-status:failed resnet"):
                _line(store, f"{column} {'v' if descending else '^'} {text}", parse(text), sorting, middle)


def _line(store: Store, name: str, where: Sequence[Condition], sorting: Sorting, run: str) -> None:
    first, around = Window(limit=120), Window(limit=120, around=run, before=60)
    calls: list[Callable[[], object]] = [
        lambda: store.count(where),
        lambda: store.glimpse(where, sorting, first),
        lambda: store.glimpse(where, sorting, around),
        lambda: store.page(where, sorting, around),
    ]
    took = [f"{statistics.median(_milliseconds(call) for _ in range(3)):9.1f}" for call in calls]
    print(f"{name:34}{''.join(took)}  {store.count(where):,}", flush=True)


def _milliseconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1e3


if __name__ == "__main__":
    queries(Path(sys.argv[1]))
