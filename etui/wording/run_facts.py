"""The facts of a run as sections of labels and values, which command line, screen, Markdown and report lay out.

Every fact has its label and its text here only. Texts are not escaped and have no styles; they may contain what an
imported file says, so that whoever prints them removes control characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from etui import text
from etui.analysis.delegation import advice, node_share
from etui.analysis.keep_fp32 import kept_fp32
from etui.results import Comparison, LatencyStats, Memory, Metrics, RunDocument
from etui.wording import flags as flag_wording
from etui.wording import run as run_wording
from etui.wording.verdict import part

Tone = Literal["", "good", "bad", "warn", "muted"]
UNKNOWN = "not readable"
METRICS = ("MAE", "max", "RMSE", "SQNR dB", "cosine", "top-1", "top-5")
"""The headings of the cells that ``metric_cells`` returns."""
OPTIONAL_METRICS = frozenset({"max", "RMSE", "top-1", "top-5"})

_STATISTICS = ("median", "mean", "min", "max", "std", "mad", "p90", "p95", "p99")
_SPREADS = ("std", "mad")
_FEWEST = {"p90": "100", "p95": "200", "p99": "1,000"}
_DIGITS = 4
_PLACES = 6


class Fact(msgspec.Struct, frozen=True):
    """One fact. A fact without ``label`` is a sentence; ``value`` may have several lines."""

    label: str
    value: str
    tone: Tone = ""


class Table(msgspec.Struct, frozen=True):
    """Headings and rows; the first column names the row, all others hold numbers. Columns named in ``optional`` may be
    omitted if they do not fit, the last one first."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    optional: frozenset[str] = frozenset()


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A title with an optional remark, a table, and facts below it."""

    title: str
    remark: str = ""
    table: Table | None = None
    facts: Sequence[Fact] = ()

    @property
    def heading(self) -> str:
        """The title and the remark as one line."""
        return f"{self.title}: {self.remark}" if self.remark else self.title

    def __bool__(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.table or self.facts)


def sections(document: RunDocument) -> list[Section]:
    """Return all sections of a run that have facts, in the order of display."""
    every = (
        latency, start, call, accuracy, errors, program, delegation, memory, stages, configuration, measurement,
        machine, software, process_settings, warning_flags, note,
    )  # fmt: skip
    return [section for make in every if (section := make(document))]


# Latency


def latency(document: RunDocument) -> Section:
    """Return the statistics of the program and of eager, in milliseconds, and the speed-up."""
    ours, eager = document.latency_ms, document.eager_latency_ms
    if ours is None and eager is None:
        return Section(title="Latency")
    ratio = document.speedup
    rows = [_statistic(document, field) for field in _STATISTICS]
    rows.insert(1, ["95 % interval", _interval(ours), _interval(eager), text.interval(ratio.ci95) if ratio else ""])
    rows.append(["samples", _count(ours), _count(eager), ""])
    headings = ["ms", variant(document), "eager", *(["eager / program"] if ours and eager else [])]
    missing = [f"{field} needs {count}" for field, count in _FEWEST.items() if ours and getattr(ours, field) is None]
    return Section(
        title="Latency",
        table=Table(
            headings,
            [row[: len(headings)] for row in rows if any(cell not in ("", text.MISSING) for cell in row[1:])],
            frozenset({"eager / program"}),
        ),
        facts=[Fact("", f"Not shown because there are too few samples: {', '.join(missing)}.", "muted")]
        if missing and not document.summary_only
        else [],
    )


def start(document: RunDocument) -> Section:
    """Return the times until the first result."""
    times = (
        ("program load", document.program_load_ms, None),
        ("method load", document.method_load_ms, None),
        ("first inference", document.first_inference_ms, document.eager_first_inference_ms),
    )
    facts = [Fact(label, _with_eager(_ms(ours), _ms(eager))) for label, ours, eager in times]
    return Section(title="Start", facts=_known(facts))


def call(document: RunDocument) -> Section:
    """Return the parts of the time of one call."""
    timing = document.call
    if timing is None:
        return Section(title="Time of a call")
    parts = (
        ("whole call", timing.inputs_ms + timing.execute_ms + timing.outputs_ms),
        ("copy inputs in", timing.inputs_ms),
        ("execute", timing.execute_ms),
        ("copy outputs out", timing.outputs_ms),
        ("fixed call cost", timing.fixed_ms),
    )
    facts = _known(Fact(label, _ms(value)) for label, value in parts)
    return Section(title="Time of a call", remark="measured by extra calls after the samples", facts=facts)


def variant(document: RunDocument) -> str:
    """Return the name of a run's program in tables: precision and delegate."""
    return f"{document.precision}/{document.delegate}"


def _statistic(document: RunDocument, field: str) -> list[str]:
    ours, eager = (getattr(stats, field, None) for stats in (document.latency_ms, document.eager_latency_ms))
    ratio = text.ratio(eager / ours) if ours and eager and field not in _SPREADS else ""
    if field == "median" and document.speedup is not None:
        ratio = text.speedup(document.speedup.value, document.speedup.verdict)
    return ["MAD" if field == "mad" else field, text.number(ours, _DIGITS), text.number(eager, _DIGITS), ratio]


def _interval(stats: LatencyStats | None) -> str:
    return text.MISSING if stats is None else text.interval(stats.ci95)


def _count(stats: LatencyStats | None) -> str:
    return text.MISSING if stats is None or stats.count is None else f"{stats.count:,}"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{text.number(value)} ms"


def _with_eager(ours: str, eager: str) -> str:
    return ", ".join(part for part in (ours, eager and f"eager {eager}") if part)


# Accuracy


def accuracy(document: RunDocument) -> Section:
    """Return the tolerance, the reason of the verdict, and what the errors are about."""
    found = document.accuracy
    if found is None:
        return Section(title="Accuracy")
    facts = [Fact("tolerance", run_wording.tolerance(found.tolerance)), Fact("reason", found.reason)]
    if explanation := run_wording.two_errors(found):
        facts.insert(0, Fact("", explanation))
    if document.weights is not None and document.weights.kind == "synthetic":
        meaning = "these errors describe the arithmetic, not the trained model"
        facts.append(Fact("caution", f"the weights are synthetic: {meaning}", "warn"))
    return Section(title="Accuracy", facts=facts)


def errors(document: RunDocument) -> Section:
    """Return the metrics of both errors, over all elements and of the worst output, and the outputs with problems."""
    rows, facts = [], []
    for label, comparison in _comparisons(document):
        rows.append([label, *metric_cells(comparison.overall)])
        rows.append(["  worst output", *metric_cells(comparison.worst)])
        facts.append(Fact(label, f"against {comparison.against}"))
    for _, comparison in _comparisons(document):
        facts += _problems(comparison)
    table = Table(["error", *METRICS], rows, OPTIONAL_METRICS) if rows else None
    return Section(
        title="Errors", remark="in the unit of the outputs; over all elements, and of the worst output",
        table=table, facts=facts,
    )  # fmt: skip


def metric_cells(metrics: Metrics | None) -> list[str]:
    """Return the cells of ``METRICS``."""
    if metrics is None:
        return [text.MISSING] * len(METRICS)
    return [
        text.number(metrics.mae),
        text.number(metrics.max_abs),
        text.number(metrics.rmse),
        "exact" if metrics.exact else text.number(metrics.sqnr_db),
        text.number(metrics.cosine, 5),
        text.number(metrics.top1),
        text.number(metrics.top5),
    ]


def _comparisons(document: RunDocument) -> Iterator[tuple[str, Comparison]]:
    if document.accuracy is not None:
        yield "end to end", document.accuracy.end_to_end
        if document.accuracy.lowering is not None:
            yield "lowering", document.accuracy.lowering


def _problems(comparison: Comparison) -> Iterator[Fact]:
    """Yield each problem once, with the outputs that have it."""
    places: dict[tuple[str, Tone], list[str]] = {}
    for output in comparison.outputs:
        if output.problem or not output.informative:
            key: tuple[str, Tone] = (output.problem, "bad") if output.problem else ("constant or all zero", "warn")
            places.setdefault(key, []).append(f"{output.name or output.output} of input {output.input + 1}")
    for (problem, tone), named in places.items():
        more = f" and {len(named) - _PLACES:,} more" if len(named) > _PLACES else ""
        yield Fact("", f"Output {', '.join(named[:_PLACES])}{more}: {problem}.", tone)


# The program


def program(document: RunDocument) -> Section:
    """Return the size and the hashes of the program file."""
    artifact = document.artifact
    if artifact is None:
        return Section(title="Program")
    origin = "from the program cache" if artifact.cached else "built for this run"
    facts = [
        Fact("file", f"{artifact.kind}, {_size(document)} ({artifact.size_bytes:,} bytes), {origin}"),
        Fact("sha256", artifact.sha256),
        Fact("cache key", artifact.key),
    ]
    return Section(title="Program", facts=facts)


def delegation(document: RunDocument) -> Section:
    """Return the delegated share, the undelegated operators, and the known causes with their remedies."""
    facts = _node_counts(document)
    operators = document.delegation.undelegated_operators if document.delegation else {}
    if operators:
        by_count = sorted(operators.items(), key=lambda item: (-item[1], item[0]))
        facts.append(Fact("undelegated", ", ".join(f"{name} x{count}" for name, count in by_count)))
    for one in advice(document):
        facts.append(Fact("observed", one.seen))
        if one.what_to_do:
            facts.append(Fact("what to do", one.what_to_do))
    return Section(title="Delegation", facts=facts)


def memory(document: RunDocument) -> Section:
    """Return the memory use of the program and of eager."""
    ours, eager = document.memory, document.eager_memory
    rows = [
        [label, *(text.size(value) for value in values)]
        for label, values in (
            ("planned", _bytes("planned_bytes", ours, eager)),
            ("peak RSS", _bytes("peak_rss_bytes", ours, eager)),
            ("peak increase", [peak_increase(memory) for memory in (ours, eager)]),
            ("RSS after load", _bytes("load_rss_bytes", ours, eager)),
            ("RSS before load", _bytes("baseline_rss_bytes", ours, eager)),
        )
        if any(value is not None for value in values)
    ]
    return Section(
        title="Memory", remark="of loading and inference, in a separate process",
        table=Table(["", variant(document), "eager"], rows) if rows else None,
        facts=[Fact("", sentence, "muted") for sentence in _planned(document)],
    )  # fmt: skip


def peak_increase(memory: Memory | None) -> int | None:
    """Return by how many bytes the peak exceeds what the process used before it loaded anything; None if not known."""
    if memory is None or memory.peak_rss_bytes is None or memory.baseline_rss_bytes is None:
        return None
    return memory.peak_rss_bytes - memory.baseline_rss_bytes


def stages(document: RunDocument) -> Section:
    """Return the duration of each stage."""
    facts = [
        Fact(stage.name, f"{text.seconds(stage.seconds)}{', cached' if stage.cached else ''}")
        for stage in document.stages
    ]
    spent = sum(stage.seconds for stage in document.stages if not stage.cached)
    return Section(title="Stages", remark=f"{text.seconds(spent)} in this run, without cached stages", facts=facts)


def _size(document: RunDocument) -> str:
    return text.size(document.artifact.size_bytes if document.artifact else None)


def _node_counts(document: RunDocument) -> list[Fact]:
    found = document.delegation
    if found is None or (share := node_share(found)) is None:
        return []
    total = found.delegated_nodes + found.undelegated_nodes
    partitions = text.counted(found.subgraphs, "partition")
    return [Fact("delegated", f"{found.delegated_nodes:,} of {total:,} nodes ({part(share)}), in {partitions}")]


def _bytes(field: str, *memories: Memory | None) -> list[int | None]:
    return [getattr(memory, field, None) for memory in memories]


def _planned(document: RunDocument) -> Iterator[str]:
    found = document.memory
    if found is None or found.planned_bytes is None:
        return
    increase = peak_increase(found)
    if increase is not None and increase > found.planned_bytes and document.artifact is not None:
        yield (
            f"ExecuTorch plans {text.size(found.planned_bytes)} for activations; memory increases by"
            f" {text.size(increase)}. The difference is the program ({_size(document)}) and what the delegate"
            " allocates: packed weights and workspace."
        )
    else:
        yield "Planned is what ExecuTorch reserves; a delegate allocates packed weights and workspace in addition."


# What was measured, and where


def configuration(document: RunDocument) -> Section:
    """Return the model, what was done to it, and its weights and inputs."""
    model, weights, inputs = document.model, document.weights, document.inputs
    parameters = f", {model.parameters:,} parameters" if model.parameters else ""
    facts = [
        Fact("model", f"{text.shortened(model.name, text.WHOLE_CELLS)} ({model.family}, {model.source}{parameters})"),
        Fact("precision", document.precision),
        Fact("delegate", document.delegate),
        Fact("arithmetic", f"{document.arithmetic}, although the precision is {document.precision}")
        if document.arithmetic
        else None,
        Fact("kept in FP32", ", ".join(kept_fp32(document))),
        Fact("weights", f"{weights.kind}: {weights.detail}") if weights else None,
        Fact("inputs", f"{inputs.kind}: {inputs.detail}") if inputs else None,
        Fact("split", inputs.split) if inputs else None,
    ]
    return Section(title="Configuration", facts=_known(facts))


def measurement(document: RunDocument) -> Section:
    """Return how much was measured, when, and the ids of the run and its session."""
    stats = document.latency_ms
    parts = [document.preset]
    parts += [] if document.threads is None else [text.counted(document.threads, "thread")]
    parts += [text.counted(len(document.blocks), "block")] if document.blocks else []
    parts += [] if stats is None or stats.count is None else [text.counted(stats.count, "sample")]
    facts = [
        Fact("run", document.id),
        Fact("session", document.session.id),
        Fact("status", document.status),
        Fact("when", text.local_time(document.created_at)),
        Fact("preset", ", ".join(parts)),
        Fact("machine", document.environment.box) if document.environment else None,
        Fact("repeats", f"the program of run {document.repeats}, measured again in a duel")
        if document.repeats
        else None,
    ]
    return Section(title="Measurement", facts=_known(facts))


def machine(document: RunDocument) -> Section:
    """Return the facts about the machine."""
    environment = document.environment
    if environment is None:
        return Section(title="Machine")
    quota = environment.cgroup_cpus
    facts = [
        Fact("name", environment.box),
        Fact("system", environment.os),
        Fact("CPU", environment.cpu),
        Fact("cores", str(environment.cores)),
        Fact("memory", text.size(environment.memory_bytes)),
        Fact("governor", environment.governor or UNKNOWN),
        Fact("turbo", {None: UNKNOWN, True: "on", False: "off"}[environment.turbo]),
        Fact("virtual machine", {None: UNKNOWN, True: "yes", False: "no"}[environment.virtualized]),
        Fact("CPU quota", "none" if quota is None else f"{quota:g} CPUs"),
        Fact(UNKNOWN, ", ".join(environment.not_readable or [])),
    ]
    return Section(title="Machine", facts=_known(facts))


def software(document: RunDocument) -> Section:
    """Return the versions of Python, etui and the packages."""
    if document.environment is None:
        return Section(title="Software", facts=[Fact("etui", document.etui_version)])
    versions = sorted(document.environment.versions.items())
    facts = [Fact("Python", document.environment.python), Fact("etui", document.etui_version)]
    return Section(
        title="Software", facts=[*facts, *(Fact(name, version) for name, version in versions if name != "etui")]
    )


def process_settings(document: RunDocument) -> Section:
    """Return the settings of the measuring processes: threads, nice level, CPU affinity, environment variables."""
    environment = document.environment
    facts = [Fact("threads", "" if document.threads is None else str(document.threads))]
    if environment is not None:
        facts.append(Fact("nice level", "" if environment.nice is None else str(environment.nice)))
        facts.append(Fact("CPU affinity", "" if environment.affinity is None else text.ranges(environment.affinity)))
        facts += (Fact("", f"{name}={value}") for name, value in sorted((environment.variables or {}).items()))
    return Section(title="Process settings", facts=_known(facts))


def _known(facts: Iterable[Fact | None]) -> list[Fact]:
    return [fact for fact in facts if fact is not None and fact.value]


# Remarks


def warning_flags(document: RunDocument) -> Section:
    """Return the warning flags, each with its explanation, and the sensors that could not raise one."""
    facts = []
    for flag in document.flags:
        facts.append(Fact("", f"{flag.name}: {flag.detail}", "warn"))
        if explained := flag_wording.explained(flag.name):
            facts.append(Fact("", explained, "muted"))
    if not facts and document.latency_ms is not None and not document.summary_only:
        facts.append(Fact("", "none"))
    if blind := flag_wording.blind_spots(document):
        facts.append(Fact("", blind, "muted"))
    return Section(title="Warning flags", remark="conditions that affect the measurement quality", facts=facts)


def note(document: RunDocument) -> Section:
    """Return the user's note and tags."""
    return Section(title="Note", facts=_known([Fact("", document.note), Fact("tags", ", ".join(document.tags))]))


def figures(document: RunDocument) -> Section:
    """Return the main results, one line each."""
    stats, eager, ratio = document.latency_ms, document.eager_latency_ms, document.speedup
    facts: list[Fact] = []
    if stats is not None:
        median = f"{_ms(stats.median)}{_in_brackets(stats.ci95)}"
        facts.append(Fact("median latency", _with_eager(median, _ms(eager.median if eager else None))))
        facts += [Fact("p95", _ms(stats.p95)), Fact("p99", _ms(stats.p99))]
    if ratio is not None:
        verdict = f", {ratio.verdict}" if ratio.verdict else ""
        facts.append(Fact("speed-up", f"{text.ratio(ratio.value)} eager{_in_brackets(ratio.ci95)}{verdict}"))
    facts += start(document).facts
    if document.accuracy is not None:
        overall = document.accuracy.end_to_end.overall
        sqnr = "exact" if overall.exact else f"{text.number(overall.sqnr_db)} dB"
        facts.append(Fact("MAE", f"{text.number(overall.mae)}, max {text.number(overall.max_abs)}"))
        facts.append(Fact("SQNR", f"{sqnr}, cosine {text.number(overall.cosine, 5)}"))
        facts.append(Fact("accuracy", document.accuracy.verdict))
    if document.artifact is not None:
        facts.append(Fact("size", _size(document)))
    peaks = _bytes("peak_rss_bytes", document.memory, document.eager_memory)
    if peaks[0] is not None:
        facts.append(Fact("peak memory", _with_eager(*(text.size(peak) if peak else "" for peak in peaks))))
    return Section(title="Figures", facts=_known([*facts, *_node_counts(document)]))


def _in_brackets(bounds: tuple[float, float] | None) -> str:
    return f" (95 % interval {text.interval(bounds)})" if bounds else ""
