"""Take the picture of the screen for the README: the real app at 120x40 with the runs of ``sample_results``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

from etui.services import request
from etui.tui import runs_columns
from etui.tui.widgets import picker
from tests.docs.examples import sample_database
from tests.tui.benches import app_of, bench_table, make_app, opened, settled, snapshot
from tests.tui.hosts import type_text, until

SIZE = (120, 40)
_FILTER = "model:resnet18,mobilenet_v2"
_CORES = 2
_NOW = datetime(2026, 11, 21, 18, tzinfo=UTC)
"""The evening of the day on which the samples were measured."""

_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""Fonts that would be loaded from another server; without them the viewer uses its own."""


def picture() -> str:
    """The SVG: the runs of two models, and the latencies of the first of them over those of eager."""
    with sample_database() as database, _fixed_surroundings():
        return asyncio.run(_picture(database))


async def _picture(database: Path) -> str:
    async with opened(make_app(database), SIZE) as pilot:
        app = app_of(pilot)
        app.bench.take(snapshot())
        await pilot.press("slash")
        await type_text(pilot, _FILTER)
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("j", "j")
        await settled(pilot)
        table = bench_table(pilot)
        await until(pilot, lambda: table.run is not None and app.bench.drawn == table.run.id)
        await settled(pilot)
        return _FONTS.sub("", app.export_screenshot(title="etui"))


@contextmanager
def _fixed_surroundings() -> Iterator[None]:
    """Colors, time and cores that do not depend on where the picture is taken."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch("textual.constants.COLOR_SYSTEM", "truecolor"))
        stack.enter_context(mock.patch.object(runs_columns, "now", lambda: _NOW))
        for module in (request, picker):
            stack.enter_context(mock.patch.object(module, "usable_cores", lambda: _CORES))
        yield
