"""The results and circumstances of a run as sections of labels and texts, which command line, screen, Markdown and
report lay out.

Every label and every format is here only. Texts are not escaped and have no styles; they may contain what an imported
file says, so whoever prints them removes control characters.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from etui import text
from etui.analysis import trust
from etui.analysis.delegation import advice, node_share
from etui.analysis.keep_fp32 import kept_fp32
from etui.analysis.trust import Trust
from etui.facts import RunSummary
from etui.results import Comparison, LatencyStats, Memory, Metrics, RunDocument
from etui.wording import flags as flag_wording
from etui.wording import run as run_wording
from etui.wording.verdict import part

Emphasis = Literal["", "good", "bad", "warn", "muted"]
UNKNOWN = "not readable"

_METRIC_FACTS = (
    RunSummary.mae, RunSummary.max_abs, RunSummary.rmse, RunSummary.sqnr_db, RunSummary.cosine, RunSummary.top1,
    RunSummary.top5,
)  # fmt: skip
METRICS = tuple(fact.text_heading for fact in _METRIC_FACTS)
"""The headings of the cells that ``metric_cells`` returns."""
OPTIONAL_METRICS = frozenset(
    fact.text_heading for fact in (RunSummary.max_abs, RunSummary.rmse, RunSummary.top1, RunSummary.top5)
)

_STATISTICS = {
    "median": "median", "mean": "mean", "min": "min", "max": "max", "std": "std", "mad": "MAD",
    "p90": "p90", "p95": "p95", "p99": "p99",
}  # fmt: skip
_SPREADS = ("std", "mad")
_FEWEST = {"p90": "100", "p95": "200", "p99": "1,000"}
_TRUST: dict[Trust, Emphasis] = {"good": "", "caution": "warn", "poor": "bad"}
_DIGITS = 4
_PLACES = 6


class Entry(msgspec.Struct, frozen=True):
    """A label and its text. An entry without ``label`` is a sentence; ``value`` may have several lines."""

    label: str
    value: str
    emphasis: Emphasis = ""


class SectionTable(msgspec.Struct, frozen=True):
    """Headings and rows; the first column names the row, all others hold numbers. Columns named in ``optional`` may be
    omitted if they do not fit, the last one first."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    optional: frozenset[str] = frozenset()


class RunSection(msgspec.Struct, frozen=True, kw_only=True):
    """A title with an optional remark, a table, and entries below it."""

    title: str
    remark: str = ""
    table: SectionTable | None = None
    entries: Sequence[Entry] = ()

    @property
    def heading(self) -> str:
        """The title and the remark as one line."""
        return f"{self.title}: {self.remark}" if self.remark else self.title

    def __bool__(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.table or self.entries)


def sections(document: RunDocument) -> list[RunSection]:
    """Return all sections of a run that are not empty, in the order of display."""
    # It builds its sections from the structures of this module.
    from etui.wording.task_evaluation import category_section, evaluation_section, image_section

    every = (
        latency, start, call, accuracy, evaluation_section, category_section, image_section, errors, program,
        delegation, remedies, memory, stages, configuration, measurement, machine, software, process_settings,
        warning_flags, note,
    )  # fmt: skip
    return [section for make in every if (section := make(document))]


def variant(document: RunDocument) -> str:
    """Return the name of a run's program in tables: precision and delegate."""
    return document.configuration


def _entries(*pairs: tuple[str, object]) -> list[Entry]:
    """Return an entry for each label whose value is neither None nor an empty text."""
    return [Entry(label, str(value)) for label, value in pairs if value is not None and value != ""]


def _sentences(*sentences: str, emphasis: Emphasis = "") -> list[Entry]:
    return [Entry("", sentence, emphasis) for sentence in sentences if sentence]


# Latency


def latency(document: RunDocument) -> RunSection:
    """Return the statistics of the program and of eager, in milliseconds, and the speed-up."""
    ours, eager, ratio = document.latency_ms, document.eager_latency_ms, document.speedup
    if ours is None and eager is None:
        return RunSection(title="Latency")
    rows = [_statistic(document, field) for field in _STATISTICS]
    rows.insert(
        1, ["95 % interval", _interval(ours), _interval(eager), text.ratio_interval(ratio.ci95) if ratio else ""]
    )
    rows.append(["samples", _count(ours), _count(eager), ""])
    headings = ["ms", variant(document), "eager", *(["eager / program"] if ours and eager else [])]
    rows = [row[: len(headings)] for row in rows if any(cell not in ("", text.MISSING) for cell in row[1:])]
    entries = [*_device_time(document), *(_width_of_interval(ours) if ours is not None else [])]
    missing = [f"{field} needs {count}" for field, count in _FEWEST.items() if ours and getattr(ours, field) is None]
    too_few = f"Not shown because there are too few samples: {', '.join(missing)}."
    return RunSection(
        title="Latency",
        table=SectionTable(headings, rows, frozenset({"eager / program"})),
        entries=[*entries, *(_sentences(too_few, emphasis="muted") if missing and not document.summary_only else [])],
    )


def _device_time(document: RunDocument) -> list[Entry]:
    """Return what the time of a run on a GPU is, and the wall time next to it."""
    timings = [block.device for block in document.blocks if block.device]
    if not timings:
        return []
    wall = statistics.median(timing.wall_ms for timing in timings)
    return _sentences(
        "The program's latency is the time of the GPU, by CUDA events around each call, with inputs and outputs on the"
        f" GPU: no copies are included. The median wall time of a call, until the GPU is done, is {_ms(wall)}."
    )


def _width_of_interval(stats: LatencyStats) -> list[Entry]:
    """Return a sentence about an interval that is so wide that the median has to be read with care."""
    share, trusted = trust.half_width(stats.median, stats.ci95), trust.of_interval(stats.median, stats.ci95)
    if share is None or trusted == "good":
        return []
    sides, remedy = f"{text.percent(share)} to each side", "measure more blocks, on an idle machine."
    if trusted == "caution":
        return [Entry("", f"The 95 % interval is wide, {sides}: {remedy}", "warn")]
    meaning = "so the median only gives the order of magnitude"
    return [Entry("", f"The 95 % interval is very wide, {sides}, {meaning}: {remedy}", "bad")]


def start(document: RunDocument) -> RunSection:
    """Return the times until the first result."""
    entries = _entries(
        ("program load", _ms(document.program_load_ms)),
        ("method load", _ms(document.method_load_ms)),
        ("first inference", _with_eager(_ms(document.first_inference_ms), _ms(document.eager_first_inference_ms))),
    )
    return RunSection(title="Start", entries=entries)


def call(document: RunDocument) -> RunSection:
    """Return the parts of the time of one call."""
    timing = document.call
    if timing is None:
        return RunSection(title="Time of a call")
    entries = _entries(
        ("whole call", _ms(timing.inputs_ms + timing.execute_ms + timing.outputs_ms)),
        ("copy inputs in", _ms(timing.inputs_ms)),
        ("execute", _ms(timing.execute_ms)),
        ("copy outputs out", _ms(timing.outputs_ms)),
        ("fixed call cost", _ms(timing.fixed_ms)),
    )
    return RunSection(title="Time of a call", remark="measured by extra calls after the samples", entries=entries)


def _statistic(document: RunDocument, field: str) -> list[str]:
    ours, eager = (getattr(stats, field, None) for stats in (document.latency_ms, document.eager_latency_ms))
    ratio = text.ratio(eager / ours) if ours and eager and field not in _SPREADS else ""
    if field == "median" and document.speedup is not None:
        ratio = text.speedup(document.speedup.value, document.speedup.verdict)
    return [_STATISTICS[field], text.number(ours, _DIGITS), text.number(eager, _DIGITS), ratio]


def _interval(stats: LatencyStats | None) -> str:
    return text.MISSING if stats is None else text.interval(stats.ci95)


def _count(stats: LatencyStats | None) -> str:
    return text.MISSING if stats is None or stats.count is None else f"{stats.count:,}"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{text.number(value)} ms"


def _with_eager(ours: str, eager: str) -> str:
    return ", ".join(side for side in (ours, eager and f"eager {eager}") if side)


# Accuracy


def accuracy(document: RunDocument) -> RunSection:
    """Return the tolerance, the reason of the verdict, and what the errors are about."""
    found = document.accuracy
    if found is None:
        return RunSection(title="Accuracy")
    entries = _sentences(run_wording.two_errors(found))
    entries += _entries(("tolerance", run_wording.tolerance(found.tolerance)), ("reason", found.reason))
    if found.task is not None:
        entries += _entries(
            *((f"metric {text.plain(name)}", value) for name, value in run_wording.task_metrics(found.task))
        )
    if document.weights is not None and document.weights.kind == "synthetic":
        meaning = "these errors describe the arithmetic, not the trained model"
        entries.append(Entry("caution", f"the weights are synthetic: {meaning}", "warn"))
    return RunSection(title="Accuracy", entries=entries)


def errors(document: RunDocument) -> RunSection:
    """Return the metrics of both errors, over all elements and of the worst output, and the outputs with problems."""
    found = document.accuracy
    compared = {"end to end": found.end_to_end, "lowering": found.lowering} if found else {}
    rows: list[list[str]] = []
    entries: list[Entry] = []
    problems: list[Entry] = []
    for label, comparison in compared.items():
        if comparison is not None:
            rows.append([label, *metric_cells(comparison.overall)])
            rows.append(["  worst output", *metric_cells(comparison.worst)])
            entries.append(Entry(label, f"against {comparison.against}"))
            problems += _problems(comparison)
    return RunSection(
        title="Errors",
        remark="in the unit of the outputs; over all elements, and of the worst output",
        table=SectionTable(["error", *METRICS], rows, OPTIONAL_METRICS) if rows else None,
        entries=[*entries, *problems],
    )


def metric_cells(metrics: Metrics | None) -> list[str]:
    """Return the cells of ``METRICS``."""
    cells = [fact.text(getattr(metrics, fact.name, None)) for fact in _METRIC_FACTS]
    if metrics is not None and metrics.exact:
        cells[_METRIC_FACTS.index(RunSummary.sqnr_db)] = "exact"
    return cells


def _problems(comparison: Comparison) -> Iterator[Entry]:
    """Yield each problem once, with the outputs that have it."""
    outputs: dict[tuple[str, Emphasis], list[str]] = {}
    for output in comparison.outputs:
        if output.problem or not output.informative:
            key: tuple[str, Emphasis] = (output.problem, "bad") if output.problem else ("constant or all zero", "warn")
            outputs.setdefault(key, []).append(f"{output.name or output.output} of input {output.input + 1}")
    for (problem, emphasis), named in outputs.items():
        more = f" and {len(named) - _PLACES:,} more" if len(named) > _PLACES else ""
        yield Entry("", f"Output {', '.join(named[:_PLACES])}{more}: {problem}.", emphasis)


# The program


def program(document: RunDocument) -> RunSection:
    """Return the size and the hashes of the program file."""
    artifact = document.artifact
    if artifact is None:
        return RunSection(title="Program")
    origin = "from the program cache" if artifact.cached else "built for this run"
    entries = _entries(
        ("file", f"{artifact.kind}, {text.size(artifact.size_bytes)} ({artifact.size_bytes:,} bytes), {origin}"),
        ("sha256", artifact.sha256),
        ("cache key", artifact.key),
    )
    return RunSection(title="Program", entries=entries)


def delegation(document: RunDocument) -> RunSection:
    """Return the delegated share and the undelegated operators."""
    operators = document.delegation.undelegated_operators if document.delegation else {}
    by_count = sorted(operators.items(), key=lambda item: (-item[1], item[0]))
    undelegated = ", ".join(f"{name} x{count}" for name, count in by_count)
    entries = _entries(("delegated", _node_counts(document)), ("undelegated", undelegated))
    return RunSection(title="Delegation", entries=entries)


def remedies(document: RunDocument) -> RunSection:
    """Return the known causes of a slow or inaccurate program that the run shows, and what to do about them."""
    entries: list[Entry] = []
    for one in advice(document):
        entries += [*_sentences(one.seen, emphasis="warn"), *_entries(("what to do", one.what_to_do))]
    return RunSection(title="Reasons and remedies", entries=entries)


def memory(document: RunDocument) -> RunSection:
    """Return the memory use of the program and of eager."""
    sides = (document.memory, document.eager_memory)
    rows = [
        [label, *(text.size(getattr(side, field, None)) for side in sides)]
        for label, field in (
            ("planned", "planned_bytes"),
            ("peak RSS", "peak_rss_bytes"),
            ("RSS after load", "load_rss_bytes"),
            ("RSS before load", "baseline_rss_bytes"),
            ("GPU peak", "device_peak_bytes"),
            ("GPU reserved, peak", "device_reserved_bytes"),
            ("GPU after load", "device_loaded_bytes"),
        )
    ]
    rows.insert(2, ["peak increase", *(text.size(_peak_increase(side)) for side in sides)])
    rows = [row for row in rows if row[1:] != [text.MISSING] * 2]
    return RunSection(
        title="Memory",
        remark="of loading and inference, in a separate process",
        table=SectionTable(["", variant(document), "eager"], rows) if rows else None,
        entries=_sentences(_planned(document), emphasis="muted"),
    )


def stages(document: RunDocument) -> RunSection:
    """Return the duration of each stage."""
    entries = [
        Entry(stage.name, f"{text.seconds(stage.seconds)}{', cached' if stage.cached else ''}")
        for stage in document.stages
    ]
    spent = sum(stage.seconds for stage in document.stages if not stage.cached)
    return RunSection(
        title="Stages", remark=f"{text.seconds(spent)} in this run, without cached stages", entries=entries
    )


def _node_counts(document: RunDocument) -> str:
    found = document.delegation
    if found is None or (share := node_share(found)) is None:
        return ""
    total = found.delegated_nodes + found.undelegated_nodes
    partitions = text.counted(found.subgraphs, "partition")
    return f"{found.delegated_nodes:,} of {total:,} nodes ({part(share)}), in {partitions}"


def _peak_increase(memory: Memory | None) -> int | None:
    """Return by how many bytes the peak exceeds what the process used before it loaded anything; None if not known."""
    if memory is None or memory.peak_rss_bytes is None or memory.baseline_rss_bytes is None:
        return None
    return memory.peak_rss_bytes - memory.baseline_rss_bytes


def _planned(document: RunDocument) -> str:
    found, increase = document.memory, _peak_increase(document.memory)
    if found is None or found.planned_bytes is None:
        return ""
    if increase is None or increase <= found.planned_bytes or document.artifact is None:
        return "Planned is what ExecuTorch reserves; a delegate allocates packed weights and workspace in addition."
    return (
        f"ExecuTorch plans {text.size(found.planned_bytes)} for activations; memory increases by {text.size(increase)}."
        f" The difference is the program ({text.size(document.artifact.size_bytes)}) and what the delegate allocates:"
        " packed weights and workspace."
    )


# What was measured, and where


def configuration(document: RunDocument) -> RunSection:
    """Return the model, what was done to it, and its weights and inputs."""
    model, weights, inputs = document.model, document.weights, document.inputs
    parameters = f", {model.parameters:,} parameters" if model.parameters else ""
    other = f"{document.arithmetic}, although the precision is {document.precision}"
    entries = _entries(
        ("model", f"{text.shortened(model.name, text.WHOLE_CELLS)} ({model.family}, {model.source}{parameters})"),
        ("precision", document.precision),
        ("delegate", document.delegate),
        ("arithmetic", document.arithmetic and other),
        ("kept in FP32", ", ".join(kept_fp32(document))),
        ("weights", weights and f"{weights.kind}: {weights.detail}"),
        ("inputs", inputs and f"{inputs.kind}: {inputs.detail}"),
        ("arguments", inputs and ", ".join(inputs.names)),
        ("dynamic shapes", inputs and ", ".join(inputs.dynamic)),
        ("split", inputs and inputs.split),
        ("labels", inputs and inputs.labels),
        ("evaluation", inputs and _counted_inputs(inputs.accuracy_count, inputs.accuracy_sha256)),
        ("calibration", inputs and _counted_inputs(inputs.calibration_count, inputs.calibration_sha256)),
    )
    return RunSection(title="Configuration", entries=entries)


def _counted_inputs(count: int | None, sha256: str | None) -> str:
    """Return the number of inputs of one split with their hash; empty if either is not known."""
    return f"{text.counted(count, 'input')}, SHA-256 {sha256[:12]}" if count and sha256 else ""


def measurement(document: RunDocument) -> RunSection:
    """Return how much was measured, when, and the ids of the run and its session."""
    stats = document.latency_ms
    counts = (
        (document.threads, "thread"),
        (len(document.blocks) or None, "block"),
        (stats.count if stats else None, "sample"),
    )
    measured = [text.counted(count, name) for count, name in counts if count is not None]
    entries = _entries(
        ("run", document.id),
        ("session", document.session.id),
        ("status", document.status),
        ("when", text.local_time(document.created_at)),
        ("preset", ", ".join([document.preset, *measured])),
        ("machine", document.environment and document.environment.box),
        ("repeats", document.repeats and f"the program of run {document.repeats}, measured again in a duel"),
    )
    return RunSection(title="Measurement", entries=entries)


def machine(document: RunDocument) -> RunSection:
    """Return what the machine is."""
    environment = document.environment
    if environment is None:
        return RunSection(title="Machine")
    quota = environment.cgroup_cpus
    entries = _entries(
        ("machine name", environment.box),
        ("system", environment.os),
        ("CPU", environment.cpu),
        ("GPU", next((block.device.name for block in document.blocks if block.device), None)),
        ("GPU clock", _gpu_clock(document)),
        ("cores", environment.cores),
        ("memory", text.size(environment.memory_bytes)),
        ("governor", environment.governor or UNKNOWN),
        ("turbo", {None: UNKNOWN, True: "on", False: "off"}[environment.turbo]),
        ("virtual machine", {None: UNKNOWN, True: "yes", False: "no"}[environment.virtualized]),
        ("CPU quota", "none" if quota is None else f"{quota:g} CPUs"),
        (UNKNOWN, ", ".join(environment.not_readable or [])),
    )
    return RunSection(title="Machine", entries=entries)


def _gpu_clock(document: RunDocument) -> str:
    clocks = [mhz for block in document.blocks if block.device for mhz in block.device.clock_mhz or ()]
    if not clocks:
        return ""
    low, high = min(clocks), max(clocks)
    return f"{low:,.0f} MHz" if low == high else f"{low:,.0f} to {high:,.0f} MHz"


def software(document: RunDocument) -> RunSection:
    """Return the versions of Python, etui and the packages."""
    environment = document.environment
    packages = sorted(environment.all_versions.items()) if environment else []
    entries = _entries(
        ("Python", environment and environment.python),
        ("etui", document.etui_version),
        *(package for package in packages if package[0] != "etui"),
    )
    return RunSection(title="Software", entries=entries)


def process_settings(document: RunDocument) -> RunSection:
    """Return the settings of the measuring processes: threads, nice level, CPU affinity, environment variables."""
    environment = document.environment
    entries = _entries(("threads", document.threads))
    if environment is not None:
        entries += _entries(
            ("nice level", environment.nice),
            ("CPU affinity", None if environment.affinity is None else text.ranges(environment.affinity)),
        )
        entries += [Entry(name, value) for name, value in sorted((environment.variables or {}).items())]
    return RunSection(title="Process settings", entries=entries)


# Remarks


def warning_flags(document: RunDocument) -> RunSection:
    """Return the warning flags, each with its explanation, and the sensors that could not raise one."""
    entries: list[Entry] = []
    for flag in document.flags:
        entries += _sentences(f"{flag.name}: {flag.detail}", emphasis="warn")
        entries += _sentences(flag_wording.explained(flag.name), emphasis="muted")
    if not entries and document.latency_ms is not None and not document.summary_only:
        entries += _sentences("none")
    entries += _sentences(flag_wording.blind_spots(document), emphasis="muted")
    return RunSection(title="Warning flags", remark="conditions that affect the measurement quality", entries=entries)


def note(document: RunDocument) -> RunSection:
    """Return the user's note and tags."""
    return RunSection(title="Note", entries=[*_sentences(document.note), *_entries(("tags", ", ".join(document.tags)))])


def figures(document: RunDocument) -> RunSection:
    """Return the main results, one line each."""
    stats, eager, ratio = document.latency_ms, document.eager_latency_ms, document.speedup
    entries: list[Entry] = []
    if stats is not None:
        trusted = trust.of_latency(stats.median, stats.ci95, [flag.name for flag in document.flags])
        median = f"{_ms(stats.median)}{_in_brackets(stats.ci95, _doubt(stats.median, stats.ci95, trusted))}"
        if stats.median is not None:
            shown = _with_eager(median, _ms(eager.median if eager else None))
            entries.append(Entry("median latency", shown, _TRUST[trusted]))
        entries += _entries(
            ("p95", _ms(stats.p95)),
            ("p99", _ms(stats.p99)),
        )
    if ratio is not None:
        verdict = f", {ratio.verdict}" if ratio.verdict else ""
        flags = [flag.name for flag in document.flags]
        trusted = trust.of_speedup(ratio.value, ratio.ci95, ratio.verdict, flags)
        bounds = _in_brackets(ratio.ci95, _doubt(ratio.value, ratio.ci95, trusted))
        entries.append(Entry("speed-up", f"{text.ratio(ratio.value)} eager{bounds}{verdict}", _TRUST[trusted]))
    entries += start(document).entries
    if document.accuracy is not None:
        overall = document.accuracy.end_to_end.overall
        sqnr = "exact" if overall.exact else f"{text.number(overall.sqnr_db)} dB"
        entries += _entries(
            ("MAE", f"{text.number(overall.mae)}, max {text.number(overall.max_abs)}"),
            ("SQNR", f"{sqnr}, cosine {text.number(overall.cosine, 5)}"),
            ("accuracy", document.accuracy.verdict),
        )
    peaks = [side.peak_rss_bytes if side else None for side in (document.memory, document.eager_memory)]
    entries += _entries(
        ("size", document.artifact and text.size(document.artifact.size_bytes)),
        ("peak memory", _with_eager(*("" if peak is None else text.size(peak) for peak in peaks))),
        ("delegated", _node_counts(document)),
    )
    return RunSection(title="Figures", entries=entries)


def _in_brackets(bounds: tuple[float, float] | None, remark: str = "") -> str:
    return f" (95 % interval {text.interval(bounds)}{remark and f', {remark}'})" if bounds else ""


def _doubt(value: float | None, bounds: tuple[float, float] | None, trusted: Trust) -> str:
    """Return in a word or two why a figure is not trusted; empty if it is."""
    if trusted == "good":
        return ""
    return {"good": "flagged", "caution": "wide", "poor": "very wide"}[trust.of_interval(value, bounds)]
