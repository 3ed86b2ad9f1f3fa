"""Reads one run for the details screen from a thread of its own, again whenever the database has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from etui.errors import EtuiError
from etui.events import Event, known_kind, known_level
from etui.results import LIVE_STATUSES, RunDocument
from etui.store import Condition, QueuedAnalysis, Store
from etui.store.fp32_sibling import fp32_siblings
from etui.summary import RunSummary
from etui.tui.details.analyses import KINDS

LOOK_S = 1.0
PAST = 200
_SAMPLES_A_LINE = 8


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it stands: its document, the runs of the same choice, the one before it, what was said of it, its
    document as lines of JSON where they are wanted, the newest pass on it of each kind, and the FP32 run of its session
    that it is held against."""

    document: RunDocument
    past: list[RunSummary]
    previous: RunDocument | None
    events: list[Event]
    json: list[str] | None = None
    passes: dict[str, QueuedAnalysis] = {}
    siblings: list[RunDocument] = []


class Source:
    """Hands each new ``Reading`` to ``post``, or the error if the database cannot be read."""

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
        """Look no more; a look under way may outlast this call."""
        self._stopped.set()
        self._wake.set()

    def nudge(self) -> None:
        """Look at once."""
        self._wake.set()

    def want_json(self) -> None:
        """From now on read the JSON too. Nobody looks at it mostly, and it is the larger part of the work."""
        if not self._wants_json:
            self._wants_json, self._seen = True, None
            self.nudge()

    def run(self) -> None:
        """Look until stopped."""
        store: Store | None = None
        trouble = ""
        while not self._stopped.is_set():
            try:
                if store is None:
                    store, self._seen = Store.open(self._database, create=False), None
                version = store.data_version()
                if version != self._seen:
                    # Before the reading: a wish for JSON that comes meanwhile asks for another one.
                    self._seen = version
                    reading = self._read(store)
                    trouble = ""
                    if not self._stopped.is_set():
                        self._post(reading)
            except EtuiError as error:
                # A connection to a file that was damaged or replaced never recovers: the next look begins afresh.
                if store is not None:
                    store.close()
                    store = None
                if str(error) != trouble:
                    trouble = str(error)
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
                kind.name: one for kind in KINDS if (one := store.last_analysis(self._run_id, kind.name)) is not None
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
    """What was said of the run, progress and all where it was done here; else the log that came with its document."""
    said = store.events_after(document.session.id, 0, document.id)
    if len(said) >= len(document.log):
        return said
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
    """The document as indented JSON, a run of samples to a line."""
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
            for start in range(0, len(values), _SAMPLES_A_LINE):
                part = ", ".join(f"{value!r}" for value in values[start : start + _SAMPLES_A_LINE])
                more = "," if start + _SAMPLES_A_LINE < len(values) else ""
                lines.append(f"{indent}  {part}{more}")
            lines.append(f"{indent}]{',' if line.endswith(',') else ''}")
        else:
            lines.append(line)
    return lines
