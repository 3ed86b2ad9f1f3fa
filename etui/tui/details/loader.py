"""Reads one run for the details screen in a separate thread, again whenever the database has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from etui.errors import EtuiError
from etui.events import Event, known_kind, known_level
from etui.facts import RunSummary
from etui.results import LIVE_STATUSES, RunDocument
from etui.store import Condition, QueuedAnalysis, Store
from etui.store.fp32_sibling import fp32_siblings
from etui.tui.details.analyses import KINDS

LOOK_S = 1.0
PAST = 200
_SAMPLES_PER_LINE = 8


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The current state of a run. ``past`` are the runs of the same configuration, ``previous`` is the last of them
    before this run, ``json`` the document as lines of JSON if it was requested, ``passes`` the newest analysis of each
    kind, and ``siblings`` the FP32 runs of its session that it is compared with."""

    document: RunDocument
    past: list[RunSummary]
    previous: RunDocument | None
    events: list[Event]
    json: list[str] | None = None
    passes: dict[str, QueuedAnalysis] = {}
    siblings: list[RunDocument] = []


class Source:
    """Passes each new ``Reading`` to ``post``, or the error if the database cannot be read."""

    def __init__(self, database: Path, run_id: str, post: Callable[[Reading | EtuiError], object]) -> None:
        self._database = database
        self._run_id = run_id
        self._post = post
        self._seen: int | None = None
        self._wants_json = False
        self._previous: RunDocument | None = None
        self._stopped = threading.Event()
        self._wake = threading.Event()

    def stop(self) -> None:
        """Stop reading; a read in progress may outlast this call."""
        self._stopped.set()
        self._wake.set()

    def nudge(self) -> None:
        """Check the database now."""
        self._wake.set()

    def want_json(self) -> None:
        """Include the JSON from now on. It is the larger part of the work and rarely shown."""
        if not self._wants_json:
            self._wants_json, self._seen = True, None
            self.nudge()

    def run(self) -> None:
        """Read whenever the database has changed, until stopped."""
        store: Store | None = None
        problem = ""
        while not self._stopped.is_set():
            try:
                if store is None:
                    store, self._seen = Store.open(self._database, create=False), None
                version = store.data_version()
                if version != self._seen:
                    # Set before reading: a request for JSON that arrives meanwhile resets it.
                    self._seen = version
                    reading = self._read(store)
                    problem = ""
                    if not self._stopped.is_set():
                        self._post(reading)
            except EtuiError as error:
                # A connection to a file that was damaged or replaced never recovers: open it again next time.
                if store is not None:
                    store.close()
                    store = None
                if str(error) != problem:
                    problem = str(error)
                    self._post(error)
            self._wake.wait(LOOK_S)
            self._wake.clear()
        if store is not None:
            store.close()

    def _read(self, store: Store) -> Reading:
        wants_json = self._wants_json
        document = store.document(self._run_id)
        past = store.summaries(
            [
                Condition("model", "=", document.model.name),
                Condition("precision", "=", document.precision),
                Condition("delegate", "=", document.delegate),
            ],
            limit=PAST,
        )
        return Reading(
            document=document,
            past=past,
            previous=self._read_previous(store, document, past),
            events=_events(store, document),
            json=json_lines(document) if wants_json else None,
            siblings=fp32_siblings(store, document),
            passes={
                kind.name: analysis
                for kind in KINDS
                if (analysis := store.last_analysis(self._run_id, kind.name)) is not None
            },
        )

    def _read_previous(self, store: Store, document: RunDocument, past: list[RunSummary]) -> RunDocument | None:
        before = [
            run
            for run in past
            if run.created_at < document.created_at and run.id != document.id and run.status not in LIVE_STATUSES
        ]
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
