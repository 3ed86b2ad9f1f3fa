"""A run as text and small tables, as ``etui show`` prints it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from etui import text
from etui.analysis.delegation import advice
from etui.analysis.keep_fp32 import kept_fp32
from etui.cli.table import Column, table
from etui.results import Comparison, Environment, LatencyStats, Metrics, RunDocument
from etui.wording import calls as call_wording
from etui.wording import flags as flag_wording
from etui.wording.verdict import verdict

_STATS = ("median", "mean", "min", "max", "std", "p90", "p95", "p99")
_LABEL_WIDTH = 13
_LINE_CELLS = 4000


def report(document: RunDocument, siblings: Sequence[RunDocument] = ()) -> str:
    """Return the text, free of terminal escapes. ``siblings`` are the other runs of its session."""
    lines = list(_heading(document, siblings))
    for part in (_latency, _accuracy, _program, _circumstances, _remarks):
        block = list(part(document))
        if block:
            lines += ["", *block]
    whole = text.plain("\n".join(lines), keep_lines=True)
    return "\n".join(text.shortened(line, _LINE_CELLS) for line in whole.split("\n"))


def _heading(document: RunDocument, siblings: Sequence[RunDocument]) -> Iterator[str]:
    """Yield the title and the verdict, each sentence with the section that holds its facts."""
    name = text.shortened(document.model.name, text.WHOLE_CELLS)
    yield f"{name}  {document.precision}/{document.delegate}  {document.status}  {document.id}"
    for sentence in verdict(document, siblings):
        row = sentence.row[:6] if sentence.source == "comparison" else sentence.row
        yield f"{sentence.text}  [{sentence.source}{f': {row}' if row else ''}]"


def _latency(document: RunDocument) -> Iterator[str]:
    rows = [
        (name, *_stats(stats))
        for name, stats in (("ExecuTorch", document.latency_ms), ("eager", document.eager_latency_ms))
        if stats is not None
    ]
    if rows:
        headings = ("median", "95 % interval", *_STATS[1:], "samples")
        columns = [Column("latency, ms"), *(Column(heading, right=True) for heading in headings)]
        yield from table(columns, rows).splitlines()
    first = document.first_inference_ms
    loads = [
        f"{name} {text.number(value)} ms"
        for name, value in (
            ("program load", document.program_load_ms),
            ("method load", document.method_load_ms),
            ("first inference", first),
            ("first inference of eager", document.eager_first_inference_ms),
        )
        if value is not None
    ]
    if loads:
        yield from _labelled("start", ", ".join(loads))
    if document.call is not None:
        yield from _labelled("call", call_wording.parts(document.call))


def _stats(stats: LatencyStats) -> Sequence[str]:
    figures = {name: text.number(getattr(stats, name)) for name in _STATS}
    count = text.MISSING if stats.count is None else str(stats.count)
    return (figures["median"], text.interval(stats.ci95), *(figures[name] for name in _STATS[1:]), count)


def _accuracy(document: RunDocument) -> Iterator[str]:
    if document.accuracy is None:
        return
    rows = []
    for name, comparison in (("end to end", document.accuracy.end_to_end), ("lowering", document.accuracy.lowering)):
        if comparison is not None:
            rows.append((f"{name}, against {comparison.against}", *_metrics(comparison.overall)))
            rows.append(("  worst output", *_metrics(comparison.worst)))
    headings = ("MAE", "max", "RMSE", "SQNR dB", "cosine", "top-1", "top-5")
    yield from table([Column("error"), *(Column(heading, right=True) for heading in headings)], rows).splitlines()
    for comparison in (document.accuracy.end_to_end, document.accuracy.lowering):
        yield from _problems(comparison)


def _metrics(metrics: Metrics) -> Sequence[str]:
    sqnr = "exact" if metrics.exact else text.number(metrics.sqnr_db)
    return (
        text.number(metrics.mae),
        text.number(metrics.max_abs),
        text.number(metrics.rmse),
        sqnr,
        text.number(metrics.cosine, 5),
        text.number(metrics.top1),
        text.number(metrics.top5),
    )


def _problems(comparison: Comparison | None) -> Iterator[str]:
    for output in comparison.outputs if comparison else ():
        if output.problem:
            yield f"  output {output.name} of input {output.input}: {output.problem}"


def _program(document: RunDocument) -> Iterator[str]:
    memory, eager = document.memory, document.eager_memory
    if document.artifact:
        cached = ", from the cache" if document.artifact.cached else ""
        yield from _labelled("program", f"{text.size(document.artifact.size_bytes)}{cached}")
    if memory:
        parts = [f"peak {text.size(memory.peak_rss_bytes)}"]
        if memory.peak_rss_bytes is not None and memory.baseline_rss_bytes is not None:
            parts.append(f"{text.size(memory.peak_rss_bytes - memory.baseline_rss_bytes)} above an idle worker")
        if memory.planned_bytes is not None:
            parts.append(f"planned {text.size(memory.planned_bytes)}")
        if eager and eager.peak_rss_bytes is not None:
            parts.append(f"eager peak {text.size(eager.peak_rss_bytes)}")
        yield from _labelled("memory", ", ".join(parts))
    if (delegation := document.delegation) is not None:
        total = delegation.delegated_nodes + delegation.undelegated_nodes
        pieces = text.counted(delegation.subgraphs, "subgraph")
        yield from _labelled("delegation", f"{delegation.delegated_nodes} of {total} nodes, in {pieces}")
        if delegation.undelegated_operators:
            by_count = sorted(delegation.undelegated_operators.items(), key=lambda item: (-item[1], item[0]))
            yield from _labelled("undelegated", ", ".join(f"{name} x{count}" for name, count in by_count))
    for one in advice(document):
        yield from _labelled("observed", one.seen)
        if one.what_to_do:
            yield from _labelled("what to do", one.what_to_do)
    if document.stages:
        stages = (
            f"{stage.name} {text.seconds(stage.seconds)}{' (cached)' if stage.cached else ''}"
            for stage in document.stages
        )
        yield from _labelled("stages", ", ".join(stages))


def _circumstances(document: RunDocument) -> Iterator[str]:
    if document.weights:
        yield from _labelled("weights", f"{document.weights.kind}: {document.weights.detail}")
    if document.inputs:
        yield from _labelled("inputs", f"{document.inputs.kind}: {document.inputs.detail}")
        if document.inputs.split:
            yield from _labelled("split", document.inputs.split)
    if kept := kept_fp32(document):
        yield from _labelled("kept in FP32", ", ".join(kept))
    if document.arithmetic:
        yield from _labelled("arithmetic", f"{document.arithmetic}, although the precision is {document.precision}")
    threads = f", {text.counted(document.threads, 'thread')}" if document.threads is not None else ""
    blocks = f", {text.counted(len(document.blocks), 'block')}" if document.blocks else ""
    yield from _labelled(
        "measured", f"{text.local_time(document.created_at)}, preset {document.preset}{threads}{blocks}"
    )
    yield from _labelled("session", document.session.id)
    if document.repeats:
        yield from _labelled("repeats", f"the program of run {document.repeats}, measured again in a duel")
    if document.environment:
        yield from _labelled("machine", _machine(document.environment))
        versions = ", ".join(f"{name} {version}" for name, version in sorted(document.environment.versions.items()))
        yield from _labelled("software", f"Python {document.environment.python}, {versions}")
        if settings := _settings(document.environment):
            yield from _labelled("settings", settings)


def _machine(environment: Environment) -> str:
    parts = [environment.box, environment.cpu, f"{environment.cores} cores", text.size(environment.memory_bytes)]
    parts.append(f"governor {environment.governor or 'not readable'}")
    if environment.virtualized:
        parts.append("virtual machine")
    if environment.cgroup_cpus is not None:
        parts.append(f"CPU quota {text.number(environment.cgroup_cpus)}")
    return ", ".join(parts)


def _settings(environment: Environment) -> str:
    """Return nice level and CPU affinity of the workers, then the environment variables, one per line."""
    parts = [] if environment.nice is None else [f"nice level {environment.nice}"]
    if environment.affinity is not None:
        parts.append(f"CPUs {text.ranges(environment.affinity)}")
    variables = [f"{name}={value}" for name, value in sorted((environment.variables or {}).items())]
    return text.plain("\n".join([*([", ".join(parts)] if parts else []), *variables]), keep_lines=True)


def _remarks(document: RunDocument) -> Iterator[str]:
    for flag in document.flags:
        explained = flag_wording.explained(flag.name)
        yield from _labelled("flag", f"{flag.name}: {flag.detail}" + (f"\n{explained}" if explained else ""))
    if blind := flag_wording.blind_spots(document):
        yield from _labelled("not watched", blind)
    if document.note:
        yield from _labelled("note", document.note)
    if document.tags:
        yield from _labelled("tags", ", ".join(document.tags))


def _labelled(label: str, value: str) -> Iterator[str]:
    """Yield a line with its label; further lines of ``value`` are aligned below it."""
    for number, line in enumerate(value.splitlines() or [""]):
        yield f"{label if number == 0 else '':<{_LABEL_WIDTH}}{line}"
