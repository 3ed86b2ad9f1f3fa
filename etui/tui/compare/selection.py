"""The runs of a comparison: their order, the baseline, and the slot that gives each its colour and glyph."""

from __future__ import annotations

from collections.abc import Iterable

from etui.charts.data import SLOTS

MOST_RUNS = 1_000
"""Maximum number of runs of a comparison: more cannot be read side by side."""


class Selection:
    """Runs in the order they are shown, the baseline first. A run keeps its slot; only a new baseline exchanges its
    slot with the old one, so that slot 0 is always the baseline's. With more than six runs slots repeat."""

    def __init__(self, run_ids: Iterable[str], base: str) -> None:
        self.base = base
        self.others = [run_id for run_id in dict.fromkeys(run_ids) if run_id != base]
        self.dropped: list[str] = []
        self._slots = {run_id: 1 + place % (SLOTS - 1) for place, run_id in enumerate(self.others)} | {base: 0}

    @property
    def ids(self) -> list[str]:
        """All selected runs, the baseline first."""
        return [self.base, *self.others]

    def slot(self, run_id: str) -> int:
        """Return the run's slot, 0 to 5."""
        return self._slots[run_id]

    @property
    def slots(self) -> dict[str, int]:
        """The slots of all runs."""
        return dict(self._slots)

    def make_base(self, run_id: str) -> None:
        """Make another run the baseline; the old one takes its place."""
        if run_id not in self.others:
            return
        place, old = self.others.index(run_id), self.base
        self.others[place] = old
        self._slots[run_id], self._slots[old] = 0, self._slots[run_id]
        self.base = run_id

    def drop(self, run_id: str) -> bool:
        """Exclude a run, but not the baseline. Returns whether it was excluded."""
        if run_id not in self.others:
            return False
        self.others.remove(run_id)
        self.dropped.append(run_id)
        return True

    def take_back(self) -> list[str]:
        """Include every excluded run again, at the end, and return them."""
        back, self.dropped = self.dropped, []
        self.others += back
        return back

    def pictured(self, near: str) -> list[str]:
        """Return up to six runs with different slots: the baseline, and those around ``near``, in the order shown."""
        place = self.others.index(near) if near in self.others else 0
        # The window is wide enough that its runs have every slot.
        window = range(max(0, place - 2 * SLOTS), min(len(self.others), place + 2 * SLOTS))
        by_distance = [self.others[at] for at in sorted(window, key=lambda at: abs(at - place))]
        taken: dict[int, str] = {}
        for run_id in by_distance:
            taken.setdefault(self._slots[run_id], run_id)
        chosen = set(taken.values())
        return [self.base, *(run_id for run_id in self.others if run_id in chosen)]
