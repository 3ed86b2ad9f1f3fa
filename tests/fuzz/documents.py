"""Targets for documents: files to import, runs stored by earlier versions, and the screen with both."""

from __future__ import annotations

import contextlib
import json
import math
import random
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec

from etui.charts import drawing as charts
from etui.charts.drawing import Canvas, palette
from etui.errors import ImportRefused
from etui.results import LIVE_STATUSES, RunDocument
from etui.store import Store
from etui.store.transfer import encode_document, read_documents
from tests.documents import make_document
from tests.fuzz import mutate
from tests.fuzz.commands import STATUSES, checked, environment, some
from tests.fuzz.harness import Deviation, Outcome

SAMPLES = Path(__file__).parents[2] / "sample_results"
_SAMPLES_PER_BLOCK = 12
_COMMANDS_PER_DOCUMENT = 3
_CHARTS_PER_DOCUMENT = 6
_CROSSED = STATUSES | {1}


class Import:
    """A changed document as a file: refused in one line, or imported so that every command can handle it."""

    name = "import"
    share = 10.0

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Callable[[random.Random], Outcome]]:
        """Open a database with some valid runs; each input is imported into it, read by everything, and deleted
        again."""
        with _bench(folder) as store:
            yield partial(_imported, store, folder)


class Stored:
    """Any floats in a stored run, as stored by versions that did not check them."""

    name = "stored"
    share = 5.0

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Callable[[random.Random], Outcome]]:
        """Open the same database; each input is stored without being checked."""
        with _bench(folder) as store:
            yield partial(_stored, store, folder)


class Pictures:
    """Series and histories of any floats, drawn by every chart at any size."""

    name = "charts"
    share = 15.0

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Callable[[random.Random], Outcome]]:
        """This target stores nothing."""
        yield _pictures


class Screen:
    """The screen with a database of changed documents: every run under the cursor, every chart and tab."""

    name = "screen"
    share = 0.05
    limit_s = 240.0
    documents = 5

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Callable[[random.Random], Outcome]]:
        """Each input creates a separate database."""
        with environment(folder, LC_ALL="C.UTF-8"):
            time.tzset()
            yield partial(_walked, folder)


@contextlib.contextmanager
def _bench(folder: Path) -> Iterator[Store]:
    with environment(folder), warnings.catch_warnings():
        # A warning of NumPy would appear on the user's screen.
        warnings.simplefilter("error", RuntimeWarning)
        time.tzset()
        with Store.open(folder / "etui.db") as store:
            store.import_documents([msgspec.json.decode(one, type=RunDocument) for one in bases()])
            store.import_documents(_history())
            yield store


@cache
def bases() -> tuple[bytes, ...]:
    """Return valid documents as JSON: some sample results with fewer samples, and two with every part filled."""
    from tests.insights import look_inside

    documents = [look_inside(make_document("ba5e00000001"))]
    sibling = look_inside(make_document("ba5e00000002", precision="int8", median=5.0))
    for path in sorted(SAMPLES.glob("*.json"))[:6]:
        documents += read_documents(path)
    return tuple(msgspec.json.encode(_shortened(one)) for one in (*documents, sibling))


def _shortened(document: RunDocument) -> RunDocument:
    def short(blocks: list[Any]) -> list[Any]:
        return [msgspec.structs.replace(block, samples_ms=block.samples_ms[:_SAMPLES_PER_BLOCK]) for block in blocks]

    return msgspec.structs.replace(
        document,
        blocks=short(document.blocks),
        eager_blocks=short(document.eager_blocks),
        superseded_blocks=short(document.superseded_blocks),
    )


def _history() -> list[RunDocument]:
    """Return runs of the configuration of the first base in separate sessions, enough for a trend."""
    return [
        make_document(
            f"415700{number:06d}",
            session_id=f"415755{number:06d}",
            median=16.0 + number / 10,
            created_at=f"2026-11-{number + 1:02d}T10:00:00.000Z",
        )
        for number in range(9)
    ]


def _changed(rng: random.Random) -> Any:
    """Return a valid document with a new id, changed in one or several places."""
    tree = json.loads(rng.choice(bases()))
    tree["id"] = f"{rng.getrandbits(48):012x}"
    if rng.random() < 0.5:
        tree["session"]["id"] = f"{rng.getrandbits(48):012x}"
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        mutate.change_tree(rng, tree)
    return tree


def _as_file(rng: random.Random, tree: Any) -> bytes:
    data = json.dumps(tree).encode()
    return mutate.change_bytes(rng, data) if rng.random() < 0.08 else data


def _imported(store: Store, folder: Path, rng: random.Random) -> Outcome:
    tree = _changed(rng)
    if rng.random() < 0.05:
        tree = [tree, _changed(rng)]
    elif rng.random() < 0.05:
        tree = _flat(rng)
    path = folder / "run.json"
    path.write_bytes(_as_file(rng, tree))
    try:
        documents = read_documents(path)
    except ImportRefused as refused:
        if "\n" in str(refused) or len(str(refused)) > 2_000:
            raise Deviation(f"the refusal is not one line: {str(refused)[:500]!r}") from refused
        if rng.random() < 0.02:
            checked(["import", str(path)])
        return "refused"
    before = {run.id for run in store.summaries()}
    store.import_documents(documents)
    new = [one for one in documents if one.id not in before]
    try:
        for document in {one.id: one for one in reversed(new)}.values():
            _check_round_trip(store, folder, document)
            _read_by_commands(rng, folder, document.id)
            _drawn(rng, store.document(document.id))
    finally:
        store.delete_runs(list({one.id for one in new}))
    return "accepted"


def _flat(rng: random.Random) -> Any:
    """Return a changed result of executorch-utils."""
    tree: Any = {
        "model_name": "resnet18", "model_type": "cv", "precision": "INT8", "precision_short": "INT8",
        "delegate": "XNNPACK",
        "repeat": 50, "warmup": 5,
        "latency_ms": {"avg": 23.0, "min": 22.2, "max": 28.4, "std_dev": 1.2, "p95": 25.6, "p99": 27.9},
    }  # fmt: skip
    for _ in range(rng.choice((0, 1, 2))):
        mutate.change_tree(rng, tree)
    return tree


def _check_round_trip(store: Store, folder: Path, document: RunDocument) -> None:
    """Check that the stored document is read back, and that its export is imported unchanged."""
    stored = store.document(document.id)
    expected = document
    if document.status in LIVE_STATUSES:
        expected = msgspec.structs.replace(document, status="interrupted", error=stored.error)
    if stored != expected:
        names = [name for name in stored.__struct_fields__ if getattr(stored, name) != getattr(expected, name)]
        raise Deviation(f"the stored document differs in {', '.join(names)}")
    path = folder / "again.json"
    path.write_bytes(encode_document(stored))
    if read_documents(path) != [stored]:
        raise Deviation("the exported document is read differently")


def _stored(store: Store, folder: Path, rng: random.Random) -> Outcome:
    tree = json.loads(rng.choice(bases()))
    tree["id"] = f"{rng.getrandbits(48):012x}"
    tree["session"]["id"] = rng.choice((tree["session"]["id"], f"{rng.getrandbits(48):012x}"))
    mutate.change_numbers(rng, tree, rng.choice((0.003, 0.03, 0.3, 1.0)))
    try:
        document = msgspec.convert(tree, RunDocument)
    except msgspec.ValidationError:
        return "refused"
    store.import_documents([document])
    try:
        _read_by_commands(rng, folder, document.id)
        _drawn(rng, document)
    finally:
        store.delete_runs([document.id])
    return "accepted"


def _read_by_commands(rng: random.Random, folder: Path, run_id: str) -> None:
    """Run some of the commands, on this run alone and together with valid ones."""
    base, sibling = "ba5e00000001", "ba5e00000002"
    html, page, baseline = folder / "page.html", folder / "page.md", folder / "baseline.json"

    def do(*arguments: str | Path, crossed: bool = False) -> Callable[[], None]:
        def run() -> None:
            checked([str(one) for one in arguments], allowed=_CROSSED if crossed else STATUSES)

        return run

    def gate() -> None:
        checked(["export", run_id, "-o", str(baseline), "--force"])
        checked(["gate", "--baseline", str(baseline), base, "--junit", str(folder / "gate.xml")], allowed=_CROSSED)

    some(
        rng,
        [
            do("show", run_id),
            do("show", run_id, "--json"),
            do("log", run_id),
            do("log", "-f", run_id),
            do("runs"),
            do("runs", "--json"),
            do("compare", base, run_id, "--all"),
            do("compare", run_id, base, sibling, "--json", "--force"),
            do(
                "compare",
                sibling,
                run_id,
                "--fail-if-slower",
                "5",
                "--fail-if-mae-above",
                "1e-3",
                "--force",
                crossed=True,
            ),
            do("compare", sibling, run_id, "--fail-if-inconclusive", "--markdown", folder / "m.md", crossed=True),
            do("trend", run_id),
            do("trend", run_id, "--json"),
            do("report", run_id, base, sibling, "-o", html, "--force"),
            do("report", sibling, run_id, "-o", html, "--force", "--force-compare"),
            do("report", run_id, sibling, "-o", page, "--force", "--force-compare"),
            do("inspect", run_id),
            do("inspect", run_id, "--json"),
            do("duel", run_id, base, "--detach"),
            do("profile", run_id),
            do("profile", run_id, "--by", "each", "--csv", folder / "p.csv", "--force"),
            do("gap", run_id),
            do("gap", run_id, "--sort", "contribution", "--csv", folder / "g.csv", "--force"),
            gate,
        ],
        _COMMANDS_PER_DOCUMENT,
    )


def _drawn(rng: random.Random, document: RunDocument) -> None:
    """Draw some of the charts of a run, at widths and heights of terminals."""
    from etui.tui.widgets.chart_data import eager_series, program_series

    program, eager = program_series(document), eager_series(document)
    overlaid = [charts.Overlaid(series=one, slot=slot) for slot, one in enumerate((program, eager, program))]
    stats = document.latency_ms
    past = [
        charts.Past(
            at=document.created_at,
            median_ms=stats.median if stats else None,
            interval_ms=stats.ci95 if stats else None,
            mae=document.accuracy.end_to_end.overall.mae if document.accuracy else None,
        ),
        charts.Past(at="2026-11-20T10:00:00.000Z", median_ms=16.0, interval_ms=(15.0, 17.0), mae=0.01),
    ]
    layers = document.gap.layers if document.gap else []
    draws: list[Callable[[charts.Canvas, bool], object]] = [
        lambda on, log: charts.histogram(program, eager, on, log=log),
        lambda on, log: charts.ecdf(program, eager, on, log=log),
        lambda on, _log: charts.block_strip(program, eager, on),
        lambda on, log: charts.trend_latency(past, on, log=log),
        lambda on, log: charts.trend_mae(past, on, log=log),
        lambda on, log: charts.overlaid_histograms(overlaid, on, log=log),
        lambda on, log: charts.overlaid_ecdf(overlaid, on, log=log),
        lambda on, _log: charts.overlaid_blocks(overlaid, on),
        lambda on, log: charts.depth([layer.mse for layer in layers], on, log=log, worst="high"),
        lambda on, _log: charts.depth([layer.sqnr_db for layer in layers], on, threshold=20.0),
    ]
    for draw in rng.sample(draws, min(len(draws), _CHARTS_PER_DOCUMENT)):
        wide, high = rng.choice(((80, 24), (200, 60), (80, 7), (24, 6), (3, 2), (0, 0)))
        draw(_canvas(rng, wide, high), rng.random() < 0.5)


def _canvas(rng: random.Random, width: int, height: int) -> Canvas:
    return Canvas(width=width, height=height, palette=palette("none", unicode=rng.random() < 0.7))


def _pictures(rng: random.Random) -> Outcome:
    from etui.report import scatter, svg

    def number() -> float:
        return rng.choice((mutate.a_float(rng), abs(mutate.a_float(rng)), 10.0 * rng.random()))

    def maybe() -> float | None:
        return None if rng.random() < 0.2 else number()

    def series() -> charts.Series:
        blocks = [[number() for _ in range(rng.randint(0, 6))] for _ in range(rng.randint(0, 5))]
        numbers = [rng.choice((index, index, mutate.an_integer(rng))) for index in range(len(blocks))]
        return charts.Series(
            name=mutate.a_text(rng), blocks=blocks, numbers=rng.choice(([], numbers)), median=maybe(), p95=maybe()
        )

    wide, high = rng.choice(((80, 24), (200, 60), (rng.randint(0, 120), rng.randint(0, 40))))
    on, log = _canvas(rng, wide, high), rng.random() < 0.5
    some_series = [series() for _ in range(rng.randint(1, 4))]
    overlaid = [charts.Overlaid(series=one, slot=slot) for slot, one in enumerate(some_series)]
    values = [maybe() for _ in range(rng.randint(0, 30))]
    at = ["2026-11-20T10:00:00.000Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", mutate.a_text(rng)]
    past = [
        charts.Past(at=rng.choice(at), median_ms=value, interval_ms=(number(), number()), mae=maybe(),
                    failed=rng.random() < 0.1, is_chosen=rng.random() < 0.2)
        for value in values
    ]  # fmt: skip
    dated = [
        charts.Dated(at=rng.choice(at), value=value, interval=rng.choice((None, (number(), number()))),
                     failed=rng.random() < 0.1, change=rng.choice(("", mutate.a_text(rng))))
        for value in values
    ]  # fmt: skip
    steps = [charts.Step(first=0, last=len(values) - 1, value=number())] if values else []
    dots = [charts.Dot(name=mutate.a_text(rng), latency_ms=number(), value=number(), front=rng.random() < 0.5)
            for _ in values]  # fmt: skip
    first, second = some_series[0], rng.choice((None, some_series[-1]))
    points = [scatter.Point(name=mutate.a_text(rng), latency_ms=number(), value=rng.choice((math.inf, number())),
                            verdict=rng.choice(("PASS", "FAIL", "UNPROVEN")), low=maybe(), high=maybe())
              for _ in range(rng.randint(0, 12))]  # fmt: skip
    bars = [svg.Bar(name="a", value=number(), low=maybe(), high=maybe()) for _ in range(rng.randint(0, 4))]
    rng.choice(
        (
            lambda: charts.histogram(first, second, on, log=log),
            lambda: charts.ecdf(first, second, on, log=log),
            lambda: charts.block_strip(first, second, on),
            lambda: charts.overlaid_histograms(overlaid, on, log=log),
            lambda: charts.overlaid_ecdf(overlaid, on, log=log),
            lambda: charts.overlaid_blocks(overlaid, on),
            lambda: charts.trend_latency(past, on, log=log),
            lambda: charts.trend_mae(past, on, log=log),
            lambda: charts.trend_points(
                dated, on, unit="ms", subject="s", levels=steps, log=log, even=rng.random() < 0.5
            ),
            lambda: charts.depth(values, on, log=log, threshold=maybe(), worst=rng.choice(("low", "high"))),
            lambda: charts.scatter(dots, on, unit=rng.choice(("SQNR dB", "MAE", "size MB")), log=log),
            lambda: svg.histograms([svg.Series(name=one.name, values=one.samples) for one in some_series]),
            lambda: svg.intervals(bars, unit="ms", mark=maybe()),
            lambda: scatter.scatter(points, unit=rng.choice(("SQNR dB", "MAE")), eager_ms=maybe()),
        )
    )()
    return "accepted"


def _walked(folder: Path, rng: random.Random) -> Outcome:
    import asyncio

    database = folder / f"{rng.getrandbits(48):012x}.db"
    with Store.open(database) as store:
        kept = 0
        for _ in range(400):
            tree = _changed(rng)
            if kept % 2:
                tree = json.loads(bases()[0])
                tree["id"] = f"{rng.getrandbits(48):012x}"
                mutate.change_numbers(rng, tree, 0.05)
            path = folder / "walked.json"
            path.write_bytes(json.dumps(tree).encode())
            try:
                documents = read_documents(path) if not kept % 2 else [msgspec.convert(tree, RunDocument)]
            except (ImportRefused, msgspec.ValidationError):
                continue
            store.import_documents(documents)
            kept += 1
            if kept == Screen.documents:
                break
    try:
        asyncio.run(_walk(database, (rng.choice((80, 120, 200)), rng.choice((24, 40, 60)))))
    finally:
        for file in folder.glob(f"{database.name}*"):
            file.unlink()
    return "accepted"


async def _walk(database: Path, size: tuple[int, int]) -> None:
    from tests.tui.benches import bench_table, make_app, opened
    from tests.tui.hosts import until

    async with opened(make_app(database), size=size) as pilot:
        table = bench_table(pilot)
        for place in range(table.total):
            for key in ("1", "2", "3", "4", "5", "L"):
                await pilot.press(key)
                await pilot.pause()
            depth = len(pilot.app.screen_stack)
            await pilot.press("enter")
            await until(pilot, lambda depth=depth: len(pilot.app.screen_stack) > depth)  # type: ignore[misc]
            for _ in range(10):
                await pilot.press("right")
                await pilot.pause()
            await pilot.press("escape")
            await until(pilot, lambda depth=depth: len(pilot.app.screen_stack) == depth)  # type: ignore[misc]
            await pilot.press("space", "down")
            if place == 2:
                await pilot.press("c")
                await until(pilot, lambda depth=depth: len(pilot.app.screen_stack) > depth)  # type: ignore[misc]
                await pilot.app.workers.wait_for_complete()
                for key in ("1", "2", "3", "4", "5", "L"):
                    await pilot.press(key)
                    await pilot.pause()
                await pilot.press("escape")
                await until(pilot, lambda depth=depth: len(pilot.app.screen_stack) == depth)  # type: ignore[misc]
