"""How the runs table was left: its columns, its order and the pinned baseline, for the next start."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from etui.errors import StoreError
from etui.paths import state_dir
from etui.store.transfer import write_file

_LARGEST_BYTES = 1 << 16
_DATABASES = 50


class View(msgspec.Struct, frozen=True, kw_only=True):
    """``columns`` were chosen while the config file said ``configured``: where that says something else now, it has the
    word. ``baselines`` are run ids by the path of their database."""

    columns: tuple[str, ...] = ()
    configured: tuple[str, ...] = ()
    sorted_by: str = "when"
    descending: bool = True
    baselines: dict[str, str] = {}


def recall_view() -> View:
    """The view that was left last; the first one where there is none or it cannot be read."""
    try:
        with _path().open("rb") as file:
            return msgspec.json.decode(file.read(_LARGEST_BYTES), type=View)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return View()


def remember_view(
    database: Path,
    *,
    columns: tuple[str, ...],
    configured: tuple[str, ...],
    order: tuple[str, bool],
    baseline: str | None,
) -> None:
    """Keep how the table looks. A folder that cannot be written costs only the memory."""
    baselines = {path: run for path, run in recall_view().baselines.items() if path != str(database)}
    if baseline is not None:
        baselines[str(database)] = baseline
    view = View(
        columns=columns,
        configured=configured,
        sorted_by=order[0],
        descending=order[1],
        baselines=dict(list(baselines.items())[-_DATABASES:]),
    )
    with contextlib.suppress(StoreError):
        write_file(_path(), msgspec.json.format(msgspec.json.encode(view)), force=True, private=True)


def _path() -> Path:
    return state_dir() / "last-view.json"
