"""The whole app over a database of made-up runs, on a machine whose name and load never change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from textual.pilot import Pilot

from etui.catalog.models import MODELS as CATALOG
from etui.config import Config, LoadedConfig
from etui.host.current_state import HostFacts
from etui.results import RunDocument
from etui.store import Store
from etui.tui.app import EtuiApp
from etui.tui.feed import LiveSession, Snapshot
from etui.tui.widgets.runs_table import RunsTable
from tests.documents import MODEL, make_document
from tests.tui.hosts import until, work_done

BOX = HostFacts(host="bench-01", cores=2, load=0.08, governor="performance", cpu_pressure=2, temperature_c=48)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MODELS = ("resnet18", "mobilenet_v2", "gpt2")
PRECISIONS = ("fp32", "int8", "fp16")


def make_documents(count: int = 24) -> list[RunDocument]:
    """Runs of three models in three precisions, every seventh failed, the first the newest."""
    documents = []
    for index in range(count):
        name = MODELS[index // 3 % 3]
        document = make_document(
            f"{index:02d}{'abcdef012345'[index % 12]}000000000",
            session_id=f"5e55{index:08d}",
            precision=PRECISIONS[index % 3],
            median=4.0 + index * 1.7,
            created_at=f"2026-11-20T{11 - index // 6:02d}:{59 - index % 6 * 7:02d}:00.000Z",
            model=msgspec.structs.replace(MODEL, name=name, identity=name, source=CATALOG[name].source),
        )
        document.note, document.tags = "", []
        if index % 5:
            document.flags = []
        if index % 7 == 6:
            document.status, document.error = "failed", "lowering failed: no kernel"
            document.latency_ms = document.speedup = document.accuracy = None
            document.blocks = []
        documents.append(document)
    return documents


def fill(database: Path, documents: Sequence[RunDocument]) -> None:
    """Make the database, with these runs in it."""
    with Store.open(database) as store:
        store.import_documents(documents)


def make_app(database: Path, *, theme: str = "etui-dark", config: Config | None = None, live: bool = False) -> EtuiApp:
    """The app; unless ``live`` nothing looks at the database by itself, and a test hands it what was seen."""
    return EtuiApp(database, LoadedConfig(config=config or msgspec.convert({"theme": theme}, Config)), live=live)


def bench_table(pilot: Pilot[object]) -> RunsTable:
    """The runs table."""
    return app_of(pilot).bench.query_one(RunsTable)


def app_of(pilot: Pilot[object]) -> EtuiApp:
    """The app under the pilot."""
    assert isinstance(pilot.app, EtuiApp)
    return pilot.app


async def settled(pilot: Pilot[object]) -> None:
    """Wait until the table has been read and everything asked for is drawn."""
    await until(pilot, lambda: app_of(pilot).bench.query(RunsTable))
    await until(pilot, lambda: bench_table(pilot).known and app_of(pilot).bench.picker is not None)
    await work_done(pilot)
    await pilot.pause()


@asynccontextmanager
async def opened(app: EtuiApp, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Pilot[object]]:
    """The app in a terminal of this size, its first page read."""
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        yield pilot


def snapshot(sessions: Sequence[LiveSession] = (), **changes: object) -> Snapshot:
    """What the feed would have seen."""
    base = Snapshot(version=1, host=BOX, sessions=tuple(sessions))
    return msgspec.structs.replace(base, **changes)
