"""A report as a page: Markdown without charts, or one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

import msgspec

from etui import text
from etui.report import markdown, svg
from etui.report.content import ModelSection, Report

TITLE = "etui report"
MANY_PERCENT = 400.0
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .2rem .8rem; border-bottom: 1px solid #8885; text-align: left; vertical-align: top; }
svg { max-width: 100%; height: auto; display: block; margin: 1rem 0; }
.wide { overflow-x: auto; }
"""


def as_markdown(report: Report) -> str:
    """Return the report as a Markdown page."""
    lines = [f"# {TITLE}", ""]
    for section in report.sections:
        lines += [f"## {markdown.escaped(section.title)}", "", *markdown.bullets(section.verdicts), ""]
        lines += [*markdown.table(section.headings, section.rows), ""]
        if section.flags:
            lines += ["Flags:", "", *markdown.bullets(section.flags), ""]
    lines += ["## Machines", ""]
    for environment in report.environments:
        lines += [*markdown.table(["", ""], environment), ""]
    lines += ["## Method", "", *markdown.bullets(report.how), ""]
    return "\n".join(lines)


def as_html(report: Report) -> str:
    """Return the report as one HTML file without scripts or network access."""
    body = [f"<h1>{TITLE}</h1>"]
    for section in report.sections:
        body += _section(section)
    body.append("<h2>Machines</h2>")
    body += [_table(["", ""], environment) for environment in report.environments]
    body += ["<h2>Method</h2>", _list(report.how)]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{TITLE}</title><style>{_STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _section(section: ModelSection) -> Iterator[str]:
    yield f"<h2>{_escaped(section.title)}</h2>"
    yield _list(section.verdicts)
    yield _table(section.headings, section.rows)
    if section.flags:
        yield f"<h3>Flags</h3>{_list(section.flags)}"
    for heading, drawing in (
        ("Latency of each run", svg.histograms(section.series)),
        ("Median latency", svg.intervals(section.medians, unit="ms")),
        ("Change of latency against the base", _changes(section.changes)),
    ):
        if drawing:
            yield f"<h3>{heading}</h3>{drawing}"


def _changes(bars: Sequence[svg.Bar]) -> str:
    """Draw the changes in percent, or as multiples of the base's latency if they are very large."""
    if all(bar.value < MANY_PERCENT for bar in bars):
        return svg.intervals(bars, unit="%", mark=0.0)
    times = [
        msgspec.structs.replace(
            bar,
            value=1 + bar.value / 100,
            low=None if bar.low is None else 1 + bar.low / 100,
            high=None if bar.high is None else 1 + bar.high / 100,
        )
        for bar in bars
    ]
    return svg.intervals(times, unit="times the base's latency", mark=1.0)


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{_escaped(line)}</li>' for line in lines)}</ul>"


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{_escaped(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _escaped(value: str) -> str:
    return escape(text.plain(value))
