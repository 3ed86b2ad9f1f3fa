"""Which runs are compared: their order, the base among them, and the slot that gives each its colour and glyph."""

from __future__ import annotations

from collections.abc import Iterable

from etui.charts import SLOTS


class Selection:
    """Runs in the order they are shown, the base first. A run keeps its slot as long as it takes part; only a new base
    and the old one exchange theirs, so that slot 0 is always the base's. Beyond six runs slots come again."""

    def __init__(self, run_ids: Iterable[str], base: str) -> None:
        self.base = base
        self.others = [run_id for run_id in dict.fromkeys(run_ids) if run_id != base]
        self.dropped: list[str] = []
        self._slots = {run_id: 1 + place % (SLOTS - 1) for place, run_id in enumerate(self.others)} | {base: 0}

    @property
    def ids(self) -> list[str]:
        """All that take part, the base first."""
        return [self.base, *self.others]

    def slot(self, run_id: str) -> int:
        """The run's slot, 0 to 5."""
        return self._slots[run_id]

    @property
    def slots(self) -> dict[str, int]:
        """The slots of all runs."""
        return dict(self._slots)

    def make_base(self, run_id: str) -> None:
        """Make another run the base; the old one takes its place."""
        if run_id not in self.others:
            return
        place, old = self.others.index(run_id), self.base
        self.others[place] = old
        self._slots[run_id], self._slots[old] = 0, self._slots[run_id]
        self.base = run_id

    def drop(self, run_id: str) -> bool:
        """Leave a run out; not the base. Returns whether it was among the others."""
        if run_id not in self.others:
            return False
        self.others.remove(run_id)
        self.dropped.append(run_id)
        return True

    def take_back(self) -> list[str]:
        """Take every dropped run in again, at the end; returns them."""
        back, self.dropped = self.dropped, []
        self.others += back
        return back

    def pictured(self, near: str) -> list[str]:
        """Up to six runs with slots of their own: the base, and those around ``near``, in the order shown."""
        place = self.others.index(near) if near in self.others else 0
        # The nearest hold every slot long before the window ends.
        window = range(max(0, place - 2 * SLOTS), min(len(self.others), place + 2 * SLOTS))
        by_distance = [self.others[at] for at in sorted(window, key=lambda at: abs(at - place))]
        taken: dict[int, str] = {}
        for run_id in by_distance:
            taken.setdefault(self._slots[run_id], run_id)
        chosen = set(taken.values())
        return [self.base, *(run_id for run_id in self.others if run_id in chosen)]
