"""The verdict on the runs of one model: which variant to ship, whether it became slower, or whether a run passed.

A recommendation needs an accuracy verdict of PASS and a speed verdict against every other candidate. Without them, the
verdict names what is missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from etui import text
from etui.analysis import trust
from etui.analysis.comparability import work_of
from etui.analysis.comparison import RunComparison, compare
from etui.analysis.disturbance import FEW, MOST, disturbed_share, session_share
from etui.analysis.session_variance import SessionLatency
from etui.results import ACCURACY_VERDICTS, LIVE_STATUSES, RunDocument
from etui.spec import Shape, shape_text
from etui.wording import caveat as caveat_wording
from etui.wording import comparison as comparison_wording
from etui.wording import run as run_wording
from etui.wording.differences import PROGRAM_HASH, differences
from etui.wording.run_sections import variant

Tone = Literal["good", "bad", "warn", "muted"]
SPEED_TONES: dict[str, Tone] = {
    "faster": "good", "slower": "bad", "equivalent": "muted", "inconclusive": "warn", "unreliable": "warn",
}  # fmt: skip
ACCURACY_TONES: dict[str, Tone] = {"PASS": "good", "FAIL": "bad", "UNPROVEN": "warn"}


_MOST_CHANGES = 6


class Badge(msgspec.Struct, frozen=True):
    """A short result: what it is about, the word, and whether that is good news."""

    about: str
    word: str
    tone: Tone


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer in one line, short results, the reasons as sentences, and what limits them. ``run`` is the id of the
    recommended run."""

    headline: str
    tone: Tone
    badges: list[Badge]
    reasons: list[str]
    caveats: list[str]
    run: str = ""


def verdict_on(
    runs: Sequence[RunDocument], named: dict[str, str], *, margin: float, levels: Sequence[SessionLatency] = ()
) -> Verdict:
    """Return the verdict on the runs of one model; ``named`` maps their ids to names.

    If every configuration was measured in two sessions or more, the verdict is on the change; otherwise on the choice.
    Runs with inputs of different shapes, or of different methods, are not alternatives: each gets its own verdict.
    """
    works = _by_work(runs)
    if len(works) == 1:
        return _verdict_on_one(runs, named, margin, levels)
    single = {name: _verdict_on_one(same, named, margin, levels) for name, same in works.items()}
    return Verdict(
        headline="; ".join(f"{name}: {one.headline}" for name, one in single.items()),
        tone=_worst([Badge(name, one.headline, one.tone) for name, one in single.items()]),
        badges=[
            msgspec.structs.replace(badge, about=f"{name}: {badge.about}")
            for name, one in single.items()
            for badge in one.badges
        ],
        reasons=[f"{name}: {reason}" for name, one in single.items() for reason in one.reasons],
        caveats=list(dict.fromkeys(line for one in single.values() for line in one.caveats)),
    )


def _by_work(runs: Sequence[RunDocument]) -> dict[str, list[RunDocument]]:
    """Return the runs by the name of what one inference does. A run that failed before its inputs were made is with
    those of the same requested shape."""
    known: dict[tuple[str, Shape], str] = {}
    for run in runs:
        shapes, method = work_of(run)
        if shapes:
            known.setdefault((method, _shape_of(run)), shapes)
    groups: dict[tuple[str, str], list[RunDocument]] = {}
    for run in runs:
        shapes, method = work_of(run)
        groups.setdefault((shapes or known.get((method, _shape_of(run)), ""), method), []).append(run)
    several = len({method for _, method in groups}) > 1
    names: dict[str, list[RunDocument]] = {}
    for (shapes, method), same in groups.items():
        requested = {shape_text(_shape_of(run)) for run in same} - {""}
        shown = requested.pop() if len(requested) == 1 else shapes or "inputs of unknown shape"
        names.setdefault(f"{method} {shown}" if several else shown, []).extend(same)
    return names


def _verdict_on_one(
    runs: Sequence[RunDocument], named: dict[str, str], margin: float, levels: Sequence[SessionLatency]
) -> Verdict:
    by_configuration: dict[str, list[RunDocument]] = {}
    for run in runs:
        by_configuration.setdefault(variant(run), []).append(run)
    if len(runs) == 1:
        return _single(runs[0])
    if all(len({run.session.id for run in same}) > 1 for same in by_configuration.values()):
        return _change(by_configuration, margin, levels)
    return _choice(runs, named, margin, levels)


def _shape_of(run: RunDocument) -> Shape:
    """Return the requested shape of a run."""
    return Shape(input_size=run.input_size, batch=run.batch, sequence=run.sequence)


# One run


def _single(run: RunDocument) -> Verdict:
    name = variant(run)
    reasons = [run_wording.speed(run, with_caveat=False), run_wording.accuracy(run), run_wording.size(run)]
    if not run.summary_only:
        reasons.insert(0, run_wording.ending(run))
    ratio, badges = run.speedup, [*_accuracy_badges([run])]
    if ratio is not None and ratio.verdict is not None:
        badges.append(Badge("speed against eager", ratio.verdict, SPEED_TONES[ratio.verdict]))
    caveats = _caveats([run])
    if _is_synthetic(run):
        badges.append(Badge("weights", "synthetic", "warn"))
        caveats.insert(0, caveat_wording.SYNTHETIC)
    if run.summary_only:
        badges.append(Badge("run", "summary without samples", "warn"))
    headline, tone = f"{name}: the accuracy was not measured", _worst(badges)
    if run.status != "done":
        headline, tone = f"{name}: the run {_ended(run)}", "bad" if run.status == "failed" else "warn"
    elif run.accuracy is not None:
        headline = (
            f"{name} is "
            + {
                "PASS": "within its accuracy tolerance",
                "FAIL": "out of its accuracy tolerance",
                "UNPROVEN": "not proven to be within its accuracy tolerance",
            }[run.accuracy.verdict]
        )
    if run.status == "done" and ratio is not None and ratio.verdict in ("faster", "slower", "equivalent"):
        headline += f", and {_against_eager(ratio.value, ratio.verdict)}"
    return Verdict(
        headline=headline,
        tone=tone,
        badges=badges,
        reasons=[reason for reason in reasons if reason],
        caveats=caveats,
    )


def _against_eager(ratio: float, verdict: str) -> str:
    if verdict == "equivalent":
        return "as fast as eager"
    if verdict == "faster":
        return f"{text.number(ratio)} times as fast as eager"
    return f"takes {text.number(1 / ratio)} times as long as eager"


# A change over time


def _change(by_configuration: dict[str, list[RunDocument]], margin: float, levels: Sequence[SessionLatency]) -> Verdict:
    """Compare the last run of each configuration with the first."""
    headlines: list[str] = []
    reasons: list[str] = []
    badges: list[Badge] = []
    caveats: list[str] = []
    changes: dict[str, list[str]] = {}
    for name, same in by_configuration.items():
        before, now = same[0], same[-1]
        (found,) = compare(before, [now], margin=margin, levels=levels)
        since = f"in the run of {text.local_time(before.created_at)}"
        headlines.append(f"{name} {_changed(found, since)}")
        named = comparison_wording.names(same)
        sentence, *more = [line for line in comparison_wording.sentences(found, named) if line not in found.cautions]
        accuracy = comparison_wording.accuracy(before, now, named)
        reasons.append(" ".join(filter(None, (sentence, accuracy, *more))))
        for one in differences(now, before):
            if one.name == PROGRAM_HASH:
                continue
            changes.setdefault(f"{one.name} from {one.before} to {one.now}", []).append(name)
        caveats += found.cautions
        word = found.verdict or "not comparable"
        badges.append(Badge(f"speed of {name}", word, SPEED_TONES.get(word, "warn")))
        badges += _accuracy_badges([now], f"accuracy of {name}")
    changed = [
        change if len(names) == len(by_configuration) else f"{change} ({_and(names)})"
        for change, names in changes.items()
    ]
    if changed:
        more_changes = f", and {len(changed) - _MOST_CHANGES} more" if len(changed) > _MOST_CHANGES else ""
        reasons.append(
            f"Between the runs these conditions changed: {', '.join(changed[:_MOST_CHANGES])}{more_changes}."
        )
    return Verdict(
        headline="; ".join(headlines),
        tone=_worst(badges),
        badges=badges,
        reasons=reasons,
        caveats=[
            *dict.fromkeys([*caveats, *_caveats([run for same in by_configuration.values() for run in reversed(same)])])
        ],
    )


def _changed(found: RunComparison, since: str) -> str:
    if found.verdict is None or found.ratio is None:
        return f"cannot be compared with what it was {since}"
    if found.verdict == "slower":
        return f"is slower: it takes {_more(1 / found.ratio)} {since}"
    if found.verdict == "faster":
        return f"is faster: it takes {_less(1 / found.ratio)} {since}"
    if found.verdict == "equivalent":
        return f"is as fast as {since}, within {100 * found.margin:g} %"
    return f"may have changed since {since.removeprefix('in ')}: the comparison is {found.verdict}"


def _more(factor: float) -> str:
    if factor >= 2:
        return f"{text.number(factor)} times as long as"
    return f"{100 * (factor - 1):.1f} % longer than"


def _less(factor: float) -> str:
    if factor <= 0.5:
        return f"1/{text.number(1 / factor)} of the time that it took"
    return f"{100 * (1 - factor):.1f} % less time than"


# Alternatives


def _choice(
    runs: Sequence[RunDocument], named: dict[str, str], margin: float, levels: Sequence[SessionLatency]
) -> Verdict:
    """Recommend the fastest of the variants whose accuracy is within tolerance, if the data support that."""
    passing = sorted((run for run in runs if _passes(run)), key=_median)
    badges, excluded = _accuracy_badges(runs), _excluded(runs, named)
    if not passing:
        return _without_candidate(runs, badges, excluded)
    best, others, found = _fastest(passing, margin, levels)
    tied = [best, *(other for other, one in zip(others, found, strict=True) if one.verdict == "equivalent")]
    unsure = [one for one in found if one.verdict not in ("slower", "equivalent")]
    chosen = max(tied, key=lambda run: (_closeness(run), -_size(run)))
    synthetic = any(map(_is_synthetic, passing))
    reasons = [_why_chosen(chosen, tied, others, named, margin)]
    if unsure:
        names = _and([named[one.other] for one in unsure])
        headline = f"No clear winner: {named[best.id]} has the lowest latency, but {names} may be as fast"
        if any(one.verdict is None for one in unsure):
            headline = f"No recommendation: {names} cannot be compared with {named[best.id]}"
        reasons = []
    else:
        names = " or ".join(named[run.id] for run in (tied if _is_undecided(tied) else [chosen]))
        headline = f"Fastest within tolerance: {names}" if synthetic else f"Ship {names}"
    reasons += [comparison_wording.sentences(one, named)[0] for one in (unsure or _closest(found))]
    if not unsure:
        reasons += [
            run_wording.speed(chosen, with_caveat=False),
            run_wording.accuracy(chosen),
            run_wording.size(chosen),
        ]
    caveats = _caveats([chosen, *(run for run in passing if run is not chosen)], named)
    if synthetic:
        badges.append(Badge("weights", "synthetic", "warn"))
        caveats.insert(
            0,
            caveat_wording.SYNTHETIC if unsure else f"{caveat_wording.SYNTHETIC} This is not a recommendation to ship.",
        )
    return Verdict(
        headline=headline,
        tone="warn" if unsure or synthetic or _is_doubtful(chosen) else "good",
        badges=badges,
        reasons=[reason for reason in reasons if reason],
        caveats=[*excluded, *caveats],
        run="" if unsure else chosen.id,
    )


def _fastest(
    passing: Sequence[RunDocument], margin: float, levels: Sequence[SessionLatency]
) -> tuple[RunDocument, list[RunDocument], list[RunComparison]]:
    """Return the run that no other one is faster than, the others, and their comparisons with it.

    ``passing`` are in the order of their medians. Within a session the ratios decide, which may have another order.
    """
    results = []
    for best in passing:
        others = [run for run in passing if run is not best]
        found = compare(best, others, margin=margin, levels=levels)
        results.append((best, others, found))
        if all(one.verdict != "faster" for one in found):
            return results[-1]
    return results[0]


def _why_chosen(
    chosen: RunDocument,
    tied: Sequence[RunDocument],
    others: Sequence[RunDocument],
    named: dict[str, str],
    margin: float,
) -> str:
    stats = chosen.latency_ms
    median = f"{text.number(_median(chosen))} ms"
    interval = f" (95 % interval {text.interval(stats.ci95)})" if stats is not None and stats.ci95 else ""
    if not others:
        return f"{named[chosen.id]} is the only variant within its accuracy tolerance: {median}{interval}."
    if len(tied) > 1:
        rivals = [run for run in tied if run is not chosen]
        equal = f"{named[chosen.id]} and {_and([named[run.id] for run in rivals])} are equally fast, within"
        equal += f" {100 * margin:g} %: {median}{interval}."
        if _is_undecided(tied):
            equal += " Nothing else that was measured decides between them."
        elif all(_closeness(run) < _closeness(chosen) for run in rivals):
            equal += f" {named[chosen.id]} is closer to the reference."
        else:
            equal += f" {named[chosen.id]} is smaller, and as close to the reference."
        smaller = [
            f"{named[run.id]} is smaller: {text.size(_size(run))}" for run in rivals if _size(run) < _size(chosen)
        ]
        return f"{equal} {_and(smaller)}." if smaller else equal
    count = len(others) + 1
    return f"{named[chosen.id]} is the fastest of the {count} variants within tolerance: {median}{interval}."


def _without_candidate(runs: Sequence[RunDocument], badges: list[Badge], excluded: list[str]) -> Verdict:
    ended = [run for run in runs if run.status == "done"]
    failing = [run for run in ended if run.accuracy is not None and run.accuracy.verdict == "FAIL"]
    headline, tone = "No recommendation: no variant is proven to be within its accuracy tolerance", "warn"
    if not ended:
        is_live = any(run.status in LIVE_STATUSES for run in runs)
        headline, tone = "No run was completed", "warn" if is_live else "bad"
    elif len(failing) == len(ended):
        headline, tone = "No variant is within its accuracy tolerance", "bad"
    return Verdict(
        headline=headline, tone="bad" if tone == "bad" else "warn", badges=badges, reasons=excluded,
        caveats=_caveats(ended),
    )  # fmt: skip


def _excluded(runs: Sequence[RunDocument], named: dict[str, str]) -> list[str]:
    """Return a sentence for each reason why runs are not candidates."""
    reasons: dict[str, list[str]] = {}
    for run in runs:
        if run.status != "done":
            error = f": {text.shortened(run.error, text.LINE_CELLS)}" if run.error else ""
            reasons.setdefault(f"{run.status}{error}", []).append(named[run.id])
        elif run.accuracy is None:
            reasons.setdefault("accuracy not measured", []).append(named[run.id])
        elif run.accuracy.verdict == "FAIL":
            reasons.setdefault("out of tolerance (FAIL)", []).append(named[run.id])
        elif run.accuracy.verdict == "UNPROVEN":
            reasons.setdefault("accuracy not proven (UNPROVEN)", []).append(named[run.id])
        elif not _passes(run):
            reasons.setdefault("without samples", []).append(named[run.id])
    return [f"Not a candidate: {_and(names)}: {reason.rstrip('.')}." for reason, names in reasons.items()]


def _passes(run: RunDocument) -> bool:
    stats = run.latency_ms
    judged = run.accuracy is not None and run.accuracy.verdict == "PASS"
    return run.status == "done" and judged and bool(run.blocks) and stats is not None and stats.median is not None


def _median(run: RunDocument) -> float:
    stats = run.latency_ms
    return stats.median if stats is not None and stats.median is not None else math.inf


def _closeness(run: RunDocument) -> float:
    """Return the SQNR in dB of the whole output, as far as it is printed; infinite if exact."""
    if run.accuracy is None:
        return -math.inf
    overall = run.accuracy.end_to_end.overall
    if overall.exact:
        return math.inf
    return float(f"{overall.sqnr_db:.3g}") if overall.sqnr_db is not None else -math.inf


def _is_undecided(tied: Sequence[RunDocument]) -> bool:
    """Whether neither accuracy nor size distinguishes the first two of several runs that are equally fast."""
    ranks = sorted(((_closeness(run), -_size(run)) for run in tied), reverse=True)
    return len(ranks) > 1 and ranks[0] == ranks[1]


def _size(run: RunDocument) -> int:
    return run.artifact.size_bytes if run.artifact is not None else 0


def _closest(found: Sequence[RunComparison]) -> list[RunComparison]:
    """Return the comparison with the runner-up."""
    known = [one for one in found if one.ratio is not None and one.verdict == "slower"]
    return sorted(known, key=lambda one: -(one.ratio or 0.0))[:1]


# Parts of all verdicts


def _accuracy_badges(runs: Sequence[RunDocument], about: str = "accuracy") -> list[Badge]:
    """Return a badge for each accuracy verdict and for runs that did not end well, with counts if there are several."""
    badges = []
    for verdict in ACCURACY_VERDICTS:
        ended = [run for run in runs if run.status == "done"]
        count = sum(run.accuracy is not None and run.accuracy.verdict == verdict for run in ended)
        if count:
            word = verdict if len(runs) == 1 else f"{verdict} {count} of {len(runs)}"
            badges.append(Badge(about, word, ACCURACY_TONES[verdict]))
    broken = [run for run in runs if run.status != "done"]
    if broken:
        word = broken[0].status if len(runs) == 1 else f"{len(broken)} of {len(runs)} not completed"
        is_live = all(run.status in LIVE_STATUSES for run in broken)
        badges.append(Badge("runs" if len(runs) > 1 else "run", word, "warn" if is_live else "bad"))
    return badges


def _caveats(runs: Sequence[RunDocument], named: dict[str, str] | None = None) -> list[str]:
    """Return what limits the results: summaries without samples, what disturbed or widens them, other arithmetic. Of
    the first run, which the verdict is about, every reason is named; of the others those that affect the order."""
    caveats = [caveat_wording.SUMMARY_ONLY] if any(run.summary_only for run in runs) else []
    everyone = list(dict.fromkeys(named[run.id] if named else variant(run) for run in runs))
    having: dict[str, list[str]] = {}
    for place, run in enumerate(runs):
        name = named[run.id] if named else variant(run)
        clauses = caveat_wording.reasons(run)
        if place == 0 or session_share(run.blocks, run.eager_blocks) >= FEW:
            for clause in clauses:
                having.setdefault(clause, []).append(name)
    # What several runs have in common is written once.
    clauses_of: dict[str, list[str]] = {}
    for clause, names in having.items():
        shared = text.members(names, everyone)
        if len(set(names)) == len(everyone) > 1:
            shared += " candidates" if named else " variants"
        clauses_of.setdefault(shared, []).append(clause)
    caveats += [f"{names}: {', '.join(clauses)}." for names, clauses in clauses_of.items()]
    for run in runs:
        name = named[run.id] if named else variant(run)
        if arithmetic := caveat_wording.arithmetic(run, name):
            caveats.append(arithmetic)
    return list(dict.fromkeys(caveats))


def _is_doubtful(run: RunDocument) -> bool:
    """Whether the latency or the speed-up of a run must not be relied on, or most of its blocks were disturbed."""
    stats, ratio, names = run.latency_ms, run.speedup, [flag.name for flag in run.flags]
    of_latency = trust.of_latency(stats.median, stats.ci95, names) if stats is not None else "good"
    of_speedup = trust.of_speedup(ratio.value, ratio.ci95, ratio.verdict, names) if ratio is not None else "good"
    return "poor" in (of_latency, of_speedup) or disturbed_share(run.blocks) > MOST


def _is_synthetic(run: RunDocument) -> bool:
    return run.weights is not None and run.weights.kind == "synthetic"


def _ended(run: RunDocument) -> str:
    """Return the status of a run as a predicate."""
    if run.status in LIVE_STATUSES:
        return f"is {run.status}"
    return {"cancelled": "was cancelled", "interrupted": "was interrupted"}.get(run.status, run.status)


def _worst(badges: Sequence[Badge]) -> Tone:
    tones = {badge.tone for badge in badges}
    order: tuple[Tone, ...] = ("bad", "warn", "good")
    return next((tone for tone in order if tone in tones), "muted")


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
