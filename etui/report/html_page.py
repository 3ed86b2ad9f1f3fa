"""A report as one self-contained HTML file with charts, without scripts or network access."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

import msgspec

from etui import text
from etui.report import scatter, svg, sweep
from etui.report.content import AccuracyChart, Card, ModelSection, Report, RunDetails
from etui.report.glyphs import CAVEAT, marked
from etui.report.recommendation import Verdict
from etui.report.results_table import ResultCell, ResultsTable
from etui.report.style import STYLE
from etui.wording.run_sections import Entry, RunSection

MANY_PERCENT = 100.0
"""If any change is larger, the chart of changes shows factors."""


def as_html(report: Report) -> str:
    """Return the report as one HTML file."""
    title = _escaped(report.title)
    body = [f'<header><h1>{title}</h1><p class="soft">{_escaped(report.subtitle)}</p></header>']
    several = len(report.sections) > 1
    if several:
        rows = [[section.title, marked(section.verdict.headline, section.verdict.tone)] for section in report.sections]
        body.append(_table(["model", "verdict"], rows))
    for section in report.sections:
        body += _section(section, several)
    body.append("<h2>Method and environment</h2>")
    body.append(_list(report.how))
    for place, environment in enumerate(report.environments, 1):
        name = f"Environment {place}" if len(report.environments) > 1 else "Environment"
        about = ", ".join(value for label, value in environment if label in ("machine name", "CPU"))
        body.append(_folded(name, about, _pairs([Entry(label, value) for label, value in environment])))
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _section(section: ModelSection, several: bool) -> Iterator[str]:
    if several:
        yield f"<h2>{_escaped(section.title)}</h2>"
    yield _verdict(section.verdict)
    yield f'<div class="cards">{"".join(map(_card, section.cards))}</div>'
    yield f"<h3>Results</h3>{_results(section.results)}"
    yield from _accuracy_chart(section.chart)
    axis = section.sweep.axis if section.sweep is not None else ""
    for heading, drawing in (
        (f"Latency over {axis}", sweep.lines(section.sweep)),
        (f"Latency per item over {axis}", sweep.lines(section.sweep, per_item=True)),
        ("Median latency with its 95 % interval", svg.intervals(section.medians, unit="ms")),
        ("Change of latency against the base", _changes(section.changes)),
        ("Distribution of all latency samples", svg.histograms(section.series)),
    ):
        if drawing:
            yield f"<h3>{heading}</h3>{drawing}"
    yield f"<h3>Comparisons</h3>{_list(section.sentences)}"
    if section.warnings:
        yield f"<h3>Warnings</h3>{_list([f'{CAVEAT} {line}' for line in section.warnings], 'caveats')}"
    yield "<h3>Details</h3>"
    yield _folded("All metrics", "compared with the base; * best", _table(section.headings, section.rows))
    yield from map(_run, section.runs)


def _verdict(verdict: Verdict) -> str:
    badges = "".join(
        f'<span class="badge {badge.tone}">{_escaped(marked(f"{badge.about}: {badge.word}", badge.tone))}</span>'
        for badge in verdict.badges
    )
    headline = _escaped(marked(verdict.headline, verdict.tone))
    parts = [f'<p class="headline {verdict.tone}">{headline}</p><div>{badges}</div>']
    if verdict.reasons:
        parts.append(_list(verdict.reasons))
    if verdict.caveats:
        parts.append(_list([f"{CAVEAT} {caveat}" for caveat in verdict.caveats], "caveats"))
    return f'<section class="verdict {verdict.tone}">{"".join(parts)}</section>'


def _card(card: Card) -> str:
    remark = f'<div class="remark">{_escaped(card.remark)}</div>' if card.remark else ""
    return (
        f'<div class="card"><div class="label">{_escaped(card.label)}</div>'
        f'<div class="value">{_escaped(card.value)}</div>{remark}</div>'
    )


def _results(table: ResultsTable) -> str:
    head = "".join(f"<th>{_escaped(heading)}</th>" for heading in table.headings)
    body = "".join(f"<tr>{''.join(map(_result, row))}</tr>" for row in table.rows)
    legend = f'<p class="legend">{_escaped(table.legend)}</p>' if table.legend else ""
    return (
        f'<div class="wide"><table class="results"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f"{legend}"
    )


def _result(cell: ResultCell) -> str:
    classes = " ".join(name for name in (cell.tone or "", "strong" if cell.strong else "") if name)
    named = f' class="{classes}"' if classes else ""
    # A figure is not broken over two lines, its remark may follow on another one.
    figure, remark = cell.text, ""
    for begin in (", ", " as "):
        if begin in cell.text:
            figure, _, rest = cell.text.partition(begin)
            remark = f"{begin}{rest}"
            break
    return f"<td{named}><span>{_escaped(figure)}</span>{escape(remark)}</td>"


def _accuracy_chart(chart: AccuracyChart) -> Iterator[str]:
    if len(chart.points) > 1:
        drawing = scatter.scatter(chart.points, unit=chart.unit, eager_ms=chart.eager_ms)
        shapes = ", ".join(f"{shape} {verdict}" for verdict, shape in scatter.SHAPES.items())
        legend = f"{shapes}; lines are 95 % intervals of latency. {chart.remark}".rstrip()
        yield f'<h3>Latency against accuracy</h3>{drawing}<p class="legend">{_escaped(legend)}</p>'


def _changes(bars: Sequence[svg.Bar]) -> str:
    """Draw the changes in percent, or as multiples of the base's latency if any is beyond ``MANY_PERCENT``."""
    ends = [end for bar in bars for end in (bar.value, bar.low, bar.high) if end is not None]
    if all(end <= MANY_PERCENT for end in ends):
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


def _run(run: RunDetails) -> str:
    return _folded(run.name, run.summary, "".join(map(_run_section, run.sections)))


def _run_section(section: RunSection) -> str:
    parts = [f"<h4>{_escaped(section.heading)}</h4>"]
    if section.table is not None:
        parts.append(_table(section.table.headings, section.table.rows, "numbers"))
    if section.entries:
        parts.append(_pairs(section.entries))
    return "".join(parts)


def _pairs(entries: Iterable[Entry]) -> str:
    return f"<dl>{''.join(map(_entry, entries))}</dl>"


def _entry(entry: Entry) -> str:
    tone = entry.emphasis
    value = escape(text.plain(entry.value, keep_lines=True))
    if tone in ("bad", "warn"):
        value = f"{CAVEAT} {value}"
    if not entry.label:
        return f'<dd class="whole {tone}">{value}</dd>'
    return f'<dt>{_escaped(entry.label)}</dt><dd class="{tone}">{value}</dd>'


def _folded(title: str, about: str, content: str) -> str:
    return (
        f'<details><summary>{_escaped(title)} <span class="soft">{_escaped(about)}</span></summary>{content}</details>'
    )


def _list(lines: Iterable[str], name: str = "") -> str:
    named = f' class="{name}"' if name else ""
    return f"<ul{named}>{''.join(f'<li>{_escaped(line)}</li>' for line in lines)}</ul>"


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]], name: str = "") -> str:
    named = f' class="{name}"' if name else ""
    head = "".join(f"<th>{_escaped(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table{named}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _escaped(value: str) -> str:
    return escape(text.plain(value))
