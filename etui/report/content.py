"""The content of a report, independent of its format: one section per model, the machines, and the method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from etui import text
from etui.analysis import side_by_side
from etui.analysis.comparison import RunComparison, compare, usable
from etui.analysis.flags import EAGER_FLAG
from etui.analysis.relative_change import change, change_interval
from etui.analysis.session_variance import SessionLatency
from etui.report.svg import Bar
from etui.results import RunDocument
from etui.spec import EAGER
from etui.wording import comparison as comparison_wording
from etui.wording import flags as flag_wording
from etui.wording import run_sections
from etui.wording.verdict import verdict

HOW = (
    "A session measures eager PyTorch and every variant in randomized complete blocks: each block runs each variant "
    "once, in a fresh process, so that drift affects all of them equally. All samples are kept.",
    "Latency is the time of one inference for a Python caller; load and first inference are measured separately.",
    "Intervals are 95 % bootstrap intervals over blocks and samples. Runs of one session are compared by the ratios of "
    "their paired blocks, runs of different sessions by the medians of their blocks (Mann-Whitney, corrected for the "
    "number of comparisons).",
    "A verdict needs the whole interval beyond the margin; otherwise it is inconclusive. Percentages are changes of "
    "latency, size or error against the base: below zero is faster, smaller or closer.",
    "The numbers are valid for the machines named here only.",
)


_INSIDE = ("delegation", "operators", "gap")
"""The sources of those verdict sentences that are added to a comparison: causes of speed and of error."""


class ModelSection(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one model: one line of ``verdicts`` per run, a table, the warning ``flags`` and the charts' data."""

    title: str
    verdicts: list[str]
    headings: list[str]
    rows: list[list[str]]
    flags: list[str]
    series: list[tuple[str, list[float]]]
    medians: list[Bar]
    changes: list[Bar]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole report. Each of ``environments`` is a machine as pairs of label and text; ``how`` are paragraphs."""

    sections: list[ModelSection]
    environments: list[list[tuple[str, str]]]
    how: list[str]


def report_of(
    documents: Sequence[RunDocument], *, margin: float, force: bool = False, levels: Sequence[SessionLatency] = ()
) -> Report:
    """Return a report on ``documents``; the first run of each model is its base.

    ``levels`` are those of earlier sessions on the machine.
    """
    groups: dict[tuple[str, str], list[RunDocument]] = {}
    for document in documents:
        groups.setdefault((document.model.name, document.model.identity), []).append(document)
    environments = [_environment(document) for document in documents if document.environment is not None]
    return Report(
        sections=[_section(runs, margin, force, levels) for runs in groups.values()],
        environments=[one for place, one in enumerate(environments) if one not in environments[:place]],
        how=[*HOW, *dict.fromkeys(map(_measured, documents))],
    )


def _section(runs: Sequence[RunDocument], margin: float, force: bool, levels: Sequence[SessionLatency]) -> ModelSection:
    base, others = runs[0], runs[1:]
    found = compare(base, others, margin=margin, force=force, levels=levels)
    named = comparison_wording.names(runs)
    verdicts = [f"{named[base.id]}: {' '.join(one.text for one in verdict(base))}"]
    for comparison, other in zip(found, others, strict=True):
        sentences = [*comparison_wording.sentences(comparison, named), comparison_wording.accuracy(base, other, named)]
        sentences += [one.text for one in verdict(other) if one.source in _INSIDE]
        verdicts.append(" ".join(sentence for sentence in sentences if sentence))
    return ModelSection(
        title=text.shortened(base.model.name, text.WHOLE_CELLS),
        verdicts=verdicts,
        headings=["", f"{named[base.id]} (base)", *(named[other.id] for other in others)],
        rows=[
            [row.name, *map(side_by_side.shown, row.cells)]
            for row in side_by_side.rows(base, others, found)
            # The machines have their own section.
            if row.differs or row.group != "environment"
        ],
        flags=[text.plain(line) for line in _flags(runs, named)],
        series=[
            (named[run.id], [sample for block in usable(run.blocks) for sample in block.samples_ms]) for run in runs
        ],
        medians=[bar for place, run in enumerate(runs) if (bar := _median(run, named, place)) is not None],
        changes=[bar for place, one in enumerate(found, 1) if (bar := _change(one, named, place)) is not None],
    )


def _median(run: RunDocument, named: dict[str, str], place: int) -> Bar | None:
    stats = run.latency_ms
    if stats is None or stats.median is None:
        return None
    low, high = stats.ci95 or (None, None)
    return Bar(name=named[run.id], value=stats.median, low=low, high=high, colour=place)


def _change(found: RunComparison, named: dict[str, str], place: int) -> Bar | None:
    if found.ratio is None or found.refused:
        return None
    low, high = change_interval(found.ci95) if found.ci95 else (None, None)
    return Bar(name=named[found.other], value=change(found.ratio), low=low, high=high, colour=place)


def _environment(document: RunDocument) -> list[tuple[str, str]]:
    sections = run_sections.machine(document), run_sections.software(document), run_sections.process_settings(document)
    entries = [entry for section in sections for entry in section.entries]
    # Runs of one machine may differ in their threads, which are listed with each run.
    return [(entry.label, text.plain(entry.value)) for entry in entries if entry.label != "threads"]


def _flags(runs: Sequence[RunDocument], named: dict[str, str]) -> Iterator[str]:
    """Yield the warning flags of the runs with their explanations; those of eager once per session."""
    for run in runs:
        for flag in run.flags:
            if flag.name != EAGER_FLAG:
                yield f"{named[run.id]}: {flag.name}: {flag.detail}. {flag_wording.explained(flag.name)}".rstrip()
    # Eager's canary is compared with each program's too, so its flags may differ between runs of a session.
    sessions = {run.session.id: run for run in reversed(runs)}
    for run in reversed(sessions.values()):
        name = f"{EAGER} of session {run.session.id}" if len(sessions) > 1 else EAGER
        for flag in run.eager_flags:
            yield f"{name}: {flag.name}: {flag.detail}. {flag_wording.explained(flag.name)}".rstrip()


def _measured(run: RunDocument) -> str:
    """Return what was measured in one line: the entries about the measurement, the weights and the inputs."""
    name = text.shortened(f"{run.model.name} {run.precision}/{run.delegate}", text.LINE_CELLS)
    sources = [
        entry for entry in run_sections.configuration(run).entries if entry.label in ("weights", "inputs", "split")
    ]
    entries = [*run_sections.measurement(run).entries, *sources]
    return text.plain(f"{name}: {'; '.join(f'{entry.label} {entry.value}' for entry in entries)}.")
