"""A profile as a table, as CSV and as JSON."""

from __future__ import annotations

import math

from etui import text
from etui.analysis.profiles import (
    ITS_OWN,
    MODEL_ITSELF,
    NOT_KNOWN,
    Group,
    Line,
    Sort,
    below,
    by_operator,
    in_order,
    module_tree,
    one_by_one,
    opened,
    outline,
    overhead_words,
    sum_check,
)
from etui.cli.table import Column, table, wrapped_to_terminal
from etui.errors import UsageError
from etui.formats.json_text import printable_json
from etui.insight import Profile
from etui.results import RunDocument

BAR = 20
_EIGHTHS = " ▏▎▍▌▋▊▉"


def as_text(
    document: RunDocument, profile: Profile, *, view: str, sort: Sort, limit: int, module: str, ascii_only: bool
) -> str:
    """Return a title, checks and notes, and the table. Raises UsageError for an unknown module."""
    shown, where = _lines_of(profile, view, sort, limit, module)
    cut = shown[:limit] if limit else shown
    lines = _head(document, profile)
    if where:
        lines.append(f"within {where}:")
    lines = list(map(wrapped_to_terminal, lines))
    lines += ["", _table(cut, view, profile, ascii_only)]
    if len(cut) < len(shown):
        lines.append(f"{len(cut)} of {len(shown)} lines; --limit 0 shows all")
    closed = next(
        (line.group.path for line in cut if not line.is_open and line.label != ITS_OWN and _has_parts(line.group)), ""
    )
    if view == "module" and closed:
        lines.append(f"--module {closed} shows the parts of a module")
    return "\n".join(text.plain(line, keep_lines=True) for line in lines)


def as_json(document: RunDocument, profile: Profile) -> bytes:
    """Return the profile with its run and its checks."""
    value = {
        "run": document.id,
        "model": document.model.name,
        "precision": document.precision,
        "delegate": document.delegate,
        "checks": _checks(profile),
        "profile": profile,
    }
    return printable_json(value)


def _head(document: RunDocument, profile: Profile) -> list[str]:
    ran = f"{text.counted(profile.program.inferences, 'inference')} on {text.counted(profile.threads, 'thread')}"
    name = text.shortened(document.model.name, text.WHOLE_CELLS)
    return [
        f"{name} {document.configuration}, run {document.id[:6]}, profiled "
        f"{text.local_time(profile.created_at)}: {ran}",
        *_checks(profile),
        *profile.notes,
    ]


def _checks(profile: Profile) -> list[str]:
    side, eager = profile.program, profile.eager
    lines = [f"{sum_check(side, 'program')} {overhead_words(side).capitalize()}."]
    if side.unmapped_share and side.unmapped_share >= 0.01 and side.unmapped_share < 0.999:
        lines.append(f"program: the module of {text.percent(side.unmapped_share)} of the time is not known.")
    if eager is not None:
        lines.append(f"{sum_check(eager, 'eager')} {overhead_words(eager).capitalize()}.")
    return lines


def _lines_of(profile: Profile, view: str, sort: Sort, limit: int, module: str) -> tuple[list[Line], str]:
    """Return all lines, and the module that contains them."""
    root = module_tree(profile)
    if below(root, module) is None:
        known = sorted(child.path for child in opened(root).children)
        raise UsageError(f"this profile has no module {module!r}", f"modules: {', '.join(known[:12])}")
    if view == "module":
        top, lines = outline(root, sort, limit, module)
        return lines, top.path
    groups = one_by_one(profile.program, module) if view == "each" else by_operator(profile, module)
    return [Line(group, 0, group.name) for group in in_order(groups, sort)], module


def _has_parts(group: Group) -> bool:
    return group.path not in ("", NOT_KNOWN, MODEL_ITSELF) and bool(group.children or _operators(group) > 1)


def _table(lines: list[Line], view: str, profile: Profile, ascii_only: bool) -> str:
    most = max((line.group.share or 0.0 for line in lines), default=0.0)
    both = profile.eager is not None and view != "each"
    first = {"module": "module", "operator": "operator", "each": "operator"}[view]
    columns = [
        Column(first),
        *([Column("module", spare=4)] if view == "each" else []),
        *([Column("type", spare=8)] if view == "module" else []),
        Column("where", spare=6),
        Column("calls", right=True, spare=5),
        Column("p50 ms", right=True),
        Column("p90 ms", right=True, spare=7),
        Column("share", right=True),
        Column("", spare=9),
        *([Column("eager ms", right=True, spare=1), Column("eager share", right=True, spare=3)] if both else []),
    ]
    rows = []
    for line in lines:
        group = line.group
        rows.append(
            [
                "  " * line.depth + line.label,
                *([group.path] if view == "each" else []),
                *([group.module_type] if view == "module" else []),
                _where(group),
                text.MISSING if group.calls is None else f"{group.calls:,}",
                text.number(group.median_ms),
                text.number(group.p90_ms),
                _percent(group.share),
                _bar(group.share, most, ascii_only),
                *([text.number(group.eager_ms), _percent(group.eager_share)] if both else []),
            ]
        )
    return table(columns, rows)


def _where(group: Group) -> str:
    if group.delegated is None:
        return "eager" if group.median_ms is None else ""
    if group.delegated >= 0.999:
        return "delegate"
    return "CPU" if group.delegated <= 0.001 else f"{text.percent(group.delegated)} delegate"


def _operators(group: Group) -> int:
    return len(group.operators) + len(group.eager_operators)


def _percent(share: float | None) -> str:
    return text.MISSING if share is None else f"{share * 100:.1f} %"


def _bar(share: float | None, most: float, ascii_only: bool) -> str:
    """Return a bar for a share; the largest share has the longest bar."""
    if not share or most <= 0:
        return ""
    filled = min(1.0, max(0.0, share / most)) * BAR
    if ascii_only:
        return "#" * max(1, round(filled))
    eighths = max(1, math.floor(filled * 8 + 0.5))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
