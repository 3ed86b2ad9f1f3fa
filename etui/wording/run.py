"""A run's verdict in words: how fast against eager, how far the numbers moved, how big, and what stands in the way."""

from __future__ import annotations

from etui import text
from etui.analysis.accuracy import OF_ARITHMETIC
from etui.magnitudes import is_ratio
from etui.results import LIVE_STATUSES, Accuracy, Comparison, Ratio, RunDocument, Tolerance

BYTES_PER_FP32 = 4
MANY_UNDELEGATED = 0.2
"""From this share of nodes left outside its delegate on, a program owes its time to them."""


def verdict(document: RunDocument) -> list[str]:
    """Two to four sentences, what matters first. A run that did not end well says that before anything else."""
    sentences = [ending(document), speed(document), accuracy(document), size(document)]
    return [sentence for sentence in sentences if sentence]


def ending(document: RunDocument) -> str:
    """How the run ended, or how far it is; nothing for one that is done."""
    if document.status == "done":
        if document.summary_only:
            return "Only a summary of this run was imported; no samples stand behind its figures."
        return ""
    if document.status in LIVE_STATUSES:
        measured = len(document.blocks)
        so_far = f"; {_blocks(measured)} measured so far" if measured else ""
        return f"The run is {document.status}{so_far}."
    stage = next((line.stage for line in reversed(document.log) if line.stage and not line.of_session), None)
    during = f" in the stage {text.plain(stage)}" if stage else ""
    reason = f": {text.plain(document.error)}" if document.error else ""
    words = {
        "failed": "The run failed",
        "cancelled": "The run was cancelled",
        "timed out": "The run timed out",
        "interrupted": "The run was interrupted",
    }[document.status]
    return _sentence(f"{words}{during}{reason}")


def speed(document: RunDocument) -> str:
    """How fast the program is against eager PyTorch, with the interval and the medians."""
    stats, eager, ratio = document.latency_ms, document.eager_latency_ms, document.speedup
    if stats is None or stats.median is None:
        return ""
    name = _name(document)
    median = f"{text.number(stats.median)} ms"
    if ratio is None or not is_ratio(ratio.value):
        interval = f" (95 % interval {text.interval(stats.ci95)})" if stats.ci95 else ""
        why = "there is no eager measurement to compare it with"
        if ratio is not None:
            why = f"what is stored as its ratio to eager, {text.number(ratio.value)}, cannot be one"
        return f"{name} takes {median} an inference{interval}; {why}."
    medians = f": {median} against {text.number(eager.median)} ms" if eager and eager.median is not None else ""
    behind = _behind(ratio)
    if ratio.verdict == "unreliable":
        return (
            f"How fast {name} is against eager PyTorch is unreliable: {ratio.reason or 'most blocks were disturbed'}. "
            f"As measured: {text.ratio(ratio.value)}{_in_brackets(ratio.ci95, behind)}{medians}. "
            "Measure again on a quiet machine."
        )
    if ratio.verdict == "faster":
        return f"{name} is {_times(ratio.value)} as fast as eager PyTorch{_in_brackets(ratio.ci95, behind)}{medians}."
    if ratio.verdict == "slower":
        bounds = (1 / ratio.ci95[1], 1 / ratio.ci95[0]) if ratio.ci95 and min(ratio.ci95) > 0 else None
        return (
            f"{name} takes {_times(1 / ratio.value)} as long as eager PyTorch{_in_brackets(bounds, behind)}{medians}."
        )
    if ratio.verdict == "equivalent":
        return f"{name} is as fast as eager PyTorch, within 2 %{_in_brackets(ratio.ci95, behind)}{medians}."
    looks = f"{name} looks {_times(ratio.value)} as fast as eager PyTorch{medians}"
    if ratio.ci95 is None:
        return f"{looks}. With so few blocks there is no interval: take it as a hint."
    return (
        f"{looks}. Whether that holds is open: the 95 % interval goes from {text.interval(ratio.ci95)}{behind}; "
        "more blocks would tell."
    )


def accuracy(document: RunDocument) -> str:
    """Whether the outputs are near enough to the reference, and what shows it; with synthetic weights, of what."""
    found = document.accuracy
    if found is None:
        return "" if document.status != "done" else "How far its outputs moved was not measured."
    said = _moved(found)
    untrained = document.weights is not None and document.weights.kind == "synthetic"
    if untrained and OF_ARITHMETIC not in said:
        said += f" {OF_ARITHMETIC.capitalize()}."
    return said


def _moved(found: Accuracy) -> str:
    if found.verdict == "FAIL":
        return _sentence(f"Its outputs moved too far (FAIL): {text.plain(found.reason)}")
    if found.verdict == "UNPROVEN":
        return _sentence(f"Whether its outputs are right is unproven: {text.plain(found.reason)}")
    if found.end_to_end.worst.exact:
        return f"Its outputs are exactly those of {text.plain(found.end_to_end.against)} (PASS)."
    shown = _closeness(found.end_to_end)
    return _sentence(f"Its outputs stay within tolerance (PASS){': ' + shown if shown else ''}")


def size(document: RunDocument) -> str:
    """The program's size, beside that of its weights in FP32 where the number of parameters is known."""
    if document.artifact is None:
        return ""
    count = document.artifact.size_bytes
    words = f"The program is {text.size(count)}"
    if not document.model.parameters or not count:
        return f"{words}."
    full = document.model.parameters * BYTES_PER_FP32
    if full / count >= 1.15:
        return f"{words}, {_times(full / count)} smaller than its weights in FP32 ({text.size(full)})."
    if count / full >= 1.15:
        return f"{words}, {_times(count / full)} the size of its weights in FP32 ({text.size(full)})."
    return f"{words}, the size of its weights in FP32."


def hints(document: RunDocument) -> list[str]:
    """What may explain a speed that disappoints: operators outside the delegate, arithmetic, threads."""
    found = []
    delegation = document.delegation
    if delegation is not None and document.delegate != "portable":
        total = delegation.delegated_nodes + delegation.undelegated_nodes
        if total and delegation.undelegated_nodes / total >= MANY_UNDELEGATED:
            found.append(
                f"{delegation.undelegated_nodes} of {total} nodes stay outside the delegate, in "
                f"{delegation.subgraphs} {'subgraph' if delegation.subgraphs == 1 else 'subgraphs'}: "
                "each change of hands costs time."
            )
    if document.delegate == "portable":
        found.append("Without a delegate convolutions run on reference kernels, which are slow by design.")
    if document.arithmetic:
        found.append(f"The delegate computes in {text.plain(document.arithmetic)}, whatever the precision says.")
    counts = {block.threads for block in (*document.blocks, *document.eager_blocks)}
    if len(counts) > 1:
        found.append(f"Thread counts differ between blocks ({', '.join(map(str, sorted(counts)))}): not comparable.")
    return found


def two_errors(found: Accuracy) -> str:
    """What of the error came from the precision and what from lowering."""
    if found.lowering is None:
        return ""
    whole, lowered = found.end_to_end.overall, found.lowering.overall
    if lowered.exact:
        return "Lowering changed nothing: all of the error comes from the precision."
    if whole.rmse and lowered.rmse is not None:
        share = lowered.rmse / whole.rmse
        if share < 0.01:
            return "All but a hundredth of the error comes from the precision; lowering adds next to nothing."
        part = text.percent(share)
        return f"The error that lowering adds is {part} of the whole (RMSE); the rest comes from the precision."
    return ""


def tolerance(wanted: Tolerance | None) -> str:
    """What an output must reach, in words."""
    if wanted is None:
        return "none is known for this model and precision"
    parts = [
        f"{label} {sign} {limit:g}{unit}"
        for label, sign, limit, unit in (
            ("SQNR", "at least", wanted.sqnr_db_min, " dB"),
            ("cosine", "at least", wanted.cosine_min, ""),
            ("top-1 agreement", "at least", wanted.top1_min, ""),
            ("MAE", "at most", wanted.mae_max, ""),
        )
        if limit is not None
    ]
    source = f" ({text.plain(wanted.source)})" if wanted.source else ""
    return (", ".join(parts) or "nothing is asked for") + source


def _closeness(comparison: Comparison) -> str:
    overall, worst = comparison.overall, comparison.worst
    parts = []
    if overall.sqnr_db is not None:
        parts.append(f"SQNR {text.number(overall.sqnr_db)} dB")
    if worst.cosine is not None and overall.sqnr_db is None:
        parts.append(f"cosine {text.number(worst.cosine, 5)} at the worst")
    if overall.top1 is not None:
        parts.append("top-1 always agrees" if overall.top1 == 1 else f"top-1 agrees on {text.agreement(overall.top1)}")
    if not parts and overall.mae is not None:
        parts.append(f"MAE {text.number(overall.mae)}")
    return ", ".join(parts)


def _behind(ratio: Ratio) -> str:
    return f" over {ratio.blocks} pairs of blocks" if ratio.blocks > 1 else ""


def _in_brackets(bounds: tuple[float, float] | None, behind: str) -> str:
    return f" (95 % interval {text.interval(bounds)}{behind})" if bounds else ""


def _times(value: float) -> str:
    return f"{text.number(value)} times"


def _blocks(count: int) -> str:
    return "1 block" if count == 1 else f"{count} blocks"


def _name(document: RunDocument) -> str:
    return text.plain(f"{document.precision}/{document.delegate}")


def _sentence(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."
