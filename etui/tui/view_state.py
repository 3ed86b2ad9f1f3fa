"""The runs table's columns, sort order and pinned baseline, saved for the next start."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from etui.errors import StoreError
from etui.files.atomic import write_file
from etui.paths import state_dir

_LARGEST_BYTES = 1 << 16
_DATABASES = 50


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The saved view. ``columns`` apply only while the config file still has the columns ``configured``; otherwise the
    config file takes precedence. ``baselines`` are run ids by database path."""

    columns: tuple[str, ...] = ()
    configured: tuple[str, ...] = ()
    sorted_by: str = "when"
    descending: bool = True
    baselines: dict[str, str] = {}


def recall_view() -> View:
    """Return the view saved last; the default one if there is none or it cannot be read."""
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
    """Save the view; does nothing if the folder cannot be written."""
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
