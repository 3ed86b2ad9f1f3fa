"""Reads one run for the details screen, again whenever the database has changed."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from etui.analysis_kinds.registry import KINDS
from etui.errors import EtuiError
from etui.events import Event, known_kind, known_level
from etui.facts import RunSummary
from etui.results import LIVE_STATUSES, RunDocument
from etui.services.progress_state import SessionProgress
from etui.services.session_progress import SessionFollower, analysis_progress
from etui.store import Condition, QueuedAnalysis, Store
from etui.store.fp32_sibling import fp32_siblings
from etui.store.past_runs import similar
from etui.tui.database import Database
from etui.tui.workers import Rest

LOOK_S = 1.0
PAST = 200
_SAMPLES_PER_LINE = 8


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The current state of a run.

    ``past`` are the past runs of its configuration, newest first; ``previous`` is the last similar run before it (same
    model, precision and delegate, whatever the conditions); ``json`` is the document as lines of JSON if it was
    requested; ``analyses`` has the newest analysis of each kind, and ``siblings`` the FP32 runs of its session that it
    is compared with. ``progress`` is that of its session while it is live, else that of its live analysis.
    """

    document: RunDocument
    past: list[RunSummary]
    previous: RunDocument | None
    events: list[Event]
    json: list[str] | None = None
    analyses: dict[str, QueuedAnalysis] = {}
    siblings: list[RunDocument] = []
    progress: SessionProgress | None = None


class Source:
    """Passes each new ``Reading`` to ``post``, or the error if the database cannot be read."""

    def __init__(self, database: Database, run_id: str, post: Callable[[Reading | EtuiError], object]) -> None:
        self._connection = database.connect()
        self._run_id = run_id
        self._post = post
        self._store: Store | None = None
        self._seen: int | None = None
        self._wants_json = False
        self._past: list[RunSummary] | None = None
        self._previous: RunDocument | None = None
        self._follower = SessionFollower()
        self._rest = Rest()

    def nudge(self) -> None:
        """Check the database now."""
        self._rest.end()

    def want_json(self) -> None:
        """Include the JSON from now on. It is the larger part of the work and rarely shown."""
        if not self._wants_json:
            self._wants_json, self._seen = True, None
            self.nudge()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def run(self) -> None:
        """Read whenever the database has changed, until cancelled."""
        problem = ""
        while True:
            try:
                reading = await self._connection.read(self._look)
            except EtuiError as error:
                self._seen = None
                if str(error) != problem:
                    problem = str(error)
                    self._post(error)
            else:
                if reading is not None:
                    problem = ""
                    self._post(reading)
            await self._rest.wait(LOOK_S)

    def _look(self, store: Store) -> Reading | None:
        """Read the run; None if the database has not changed."""
        if store is not self._store:
            # The versions of two connections cannot be compared.
            self._store, self._seen = store, None
        version = store.data_version()
        if version == self._seen:
            return None
        # Set before reading: a request for JSON that arrives meanwhile resets it.
        self._seen = version
        return self._read(store)

    def _read(self, store: Store) -> Reading:
        wants_json = self._wants_json
        document = store.document(self._run_id)
        events = _events(store, document)
        analyses = {
            name: analysis for name in KINDS if (analysis := store.last_analysis(self._run_id, name)) is not None
        }
        progress = None
        if document.status in LIVE_STATUSES:
            progress = self._follower.look(store, document.session.id)
        elif any(analysis.live for analysis in analyses.values()):
            progress = analysis_progress(events)
        return Reading(
            document=document,
            past=self._read_past(store, document),
            previous=self._read_previous(store, document),
            events=events,
            json=json_lines(document) if wants_json else None,
            siblings=fp32_siblings(store, document),
            analyses=analyses,
            progress=progress,
        )

    def _read_past(self, store: Store, document: RunDocument) -> list[RunSummary]:
        # Finding them takes time that the measurement of a live run should have.
        if self._past is None or document.status not in LIVE_STATUSES:
            self._past = store.past_runs(self._run_id, PAST)
        return self._past

    def _read_previous(self, store: Store, document: RunDocument) -> RunDocument | None:
        before = store.summaries(
            [
                *similar(document.model.name, document.precision, document.delegate),
                Condition("created_at", "<", document.created_at),
                Condition("status", "in", sorted(LIVE_STATUSES), negated=True),
            ],
            limit=1,
        )
        if not before:
            return None
        if self._previous is None or self._previous.id != before[0].id:
            self._previous = store.document(before[0].id)
        return self._previous


def _events(store: Store, document: RunDocument) -> list[Event]:
    """Return the events of the run if it was measured with this database, else the log imported with its document."""
    events = store.events_after(document.session.id, 0, document.id)
    if len(events) >= len(document.log):
        return events
    return [
        Event(
            kind=known_kind(line.kind),
            message=line.message,
            at=line.at,
            level=known_level(line.level),
            stage=line.stage,
            run_id=None if line.of_session else document.id,
        )
        for line in document.log
    ]


def json_lines(document: RunDocument) -> list[str]:
    """Return the document as lines of indented JSON, with several samples per line."""
    samples = [block.samples_ms for block in (*document.blocks, *document.eager_blocks)]
    bare = msgspec.structs.replace(
        document,
        blocks=[msgspec.structs.replace(block, samples_ms=[]) for block in document.blocks],
        eager_blocks=[msgspec.structs.replace(block, samples_ms=[]) for block in document.eager_blocks],
    )
    formatted = msgspec.json.format(msgspec.json.encode(bare), indent=2).decode("utf-8", "replace")
    lines: list[str] = []
    series = iter(samples)
    for line in formatted.split("\n"):
        if line.lstrip().startswith('"samples_ms": []'):
            indent = line[: len(line) - len(line.lstrip())]
            values = next(series, [])
            lines.append(f'{indent}"samples_ms": [')
            for start in range(0, len(values), _SAMPLES_PER_LINE):
                part = ", ".join(f"{value!r}" for value in values[start : start + _SAMPLES_PER_LINE])
                more = "," if start + _SAMPLES_PER_LINE < len(values) else ""
                lines.append(f"{indent}  {part}{more}")
            lines.append(f"{indent}]{',' if line.endswith(',') else ''}")
        else:
            lines.append(line)
    return lines
