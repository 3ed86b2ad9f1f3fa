"""The events of a session as one line per stage for all variants, instead of begin and end lines for each variant."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from etui.events import TRACEBACK, Event, read_stage_end
from etui.results import ACCURACY_VERDICTS
from etui.spec import EAGER
from etui.text import counted, members, plain

_SHORT_S = 1.0
"""A stage without details in which every variant took less is not shown."""
_SHOWN_S = 0.05
_REPEATED = re.compile(r"(?s)(?P<variant>.+): block \d+ is measured again: .*")
_VERDICT = re.compile(rf"(?s)accuracy (?P<verdict>{'|'.join(ACCURACY_VERDICTS)}): .*")
_ORDER = ("load", "export", "convert", "quantize", "reference", "compile", "lower", "write")
_CACHED = "cached, nothing to prepare"


class StageLines:
    """Collect the events of one session and return those to print: warnings and errors at once, all else as one event
    per stage, when the stage has ended for every variant.

    ``labels`` maps the runs of the session to the names of their variants.
    """

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = {run_id: plain(label) for run_id, label in labels.items()}
        self._everyone = list(self._labels.values())
        self._clear()

    def add(self, event: Event) -> Iterator[Event]:
        """Yield the events to print now. Events that are only progress are not among them."""
        if event.message.startswith(TRACEBACK):
            return
        if event.run_id is not None:
            yield from self._load_line()
        if event.level in ("warning", "error"):
            repeated = _REPEATED.fullmatch(event.message) if event.stage == "measure" else None
            if repeated is not None:
                self._at = event.at
                self._repeated[plain(repeated["variant"])] += 1
            else:
                yield from self._load_line()
                yield event
        elif event.kind == "stage":
            if event.run_id is None:
                yield from self.flush(event.at)
                if event.stage not in ("load", "accuracy"):
                    yield event
        elif event.kind == "finished":
            yield from self.flush(event.at)
        elif event.kind == "log" and not self._collect(event):
            yield event

    def flush(self, at: str = "") -> Iterator[Event]:
        """Yield what was collected."""
        yield from self._load_line()
        at = at or self._at
        if self._cached:
            yield Event(kind="log", at=at, stage="lower", message=f"{_CACHED}: {members(self._cached, self._everyone)}")
        for stage in sorted(self._stages, key=_place):
            parts = sorted(self._stages[stage], key=lambda part: self._everyone.index(part[0]))
            if any(details for _, _, details in parts) or any(seconds >= _SHORT_S for _, seconds, _ in parts):
                message = ", ".join(_part(*part) for part in parts)
                yield Event(kind="log", at=self._ends.get(stage, at), stage=stage, message=message)
        if self._repeated:
            order = [*filter(self._repeated.__contains__, (EAGER, *self._everyone))]
            order += [variant for variant in self._repeated if variant not in order]
            counts = ", ".join(f"{variant} {counted(self._repeated[variant], 'block')}" for variant in order)
            message = f"measured again because the canary kernel deviated: {counts}"
            yield Event(kind="warning", level="warning", at=at, stage="measure", message=message)
        if self._verdicts:
            groups = [
                f"{verdict} {members(names, self._everyone)}"
                for verdict in ACCURACY_VERDICTS
                if (names := [name for name, given in self._verdicts.items() if given == verdict])
            ]
            yield Event(kind="log", at=at, stage="accuracy", message="; ".join(groups))
        self._clear()

    def _clear(self) -> None:
        self._at = ""
        self._load: list[str] = []
        self._load_at = ""
        self._cached: list[str] = []
        self._stages: dict[str, list[tuple[str, float, str]]] = {}
        self._ends: dict[str, str] = {}
        self._repeated: Counter[str] = Counter()
        self._verdicts: dict[str, str] = {}

    def _collect(self, event: Event) -> bool:
        """Keep what a log event reports of a stage. Return whether it was about one."""
        if event.run_id is None:
            if event.stage == "load":
                self._load_at = event.at
                self._load.append(event.message)
            return event.stage == "load"
        label, ended = self._labels.get(event.run_id, ""), read_stage_end(event.message)
        if not label:
            return False
        if event.message == f"{label}: {_CACHED}":
            self._cached.append(label)
        elif ended is not None and event.stage:
            self._stages.setdefault(event.stage, []).append((label, *ended))
            self._ends[event.stage] = event.at
        elif (found := _VERDICT.fullmatch(event.message)) is not None:
            self._verdicts[label] = found["verdict"]
        else:
            return False
        self._at = event.at
        return True

    def _load_line(self) -> Iterator[Event]:
        if self._load:
            yield Event(kind="log", at=self._load_at, stage="load", message="; ".join(self._load))
        self._load = []


def _place(stage: str) -> int:
    """Return the place of a stage of preparation in their order; unknown ones are last."""
    return _ORDER.index(stage) if stage in _ORDER else len(_ORDER)


def _part(label: str, seconds: float, details: str) -> str:
    """Return what one variant's stage took, and its details in brackets; a duration of about zero is omitted."""
    if seconds < _SHOWN_S and details:
        return f"{label} {details}"
    return f"{label} {seconds:.1f} s{f' ({details})' if details else ''}"
