"""What each warning flag means and what to do about it, and which sensors could not be read."""

from __future__ import annotations

from collections.abc import Sequence

from etui import text
from etui.results import Environment, Flag, RunDocument

_EXPLANATIONS: dict[str, tuple[str, str]] = {
    "few blocks": (
        "The confidence interval is based on fewer blocks than planned.",
        "Raise the time limit, or choose a smaller model.",
    ),
    "few samples": (
        "There are too few samples for a distribution.",
        "Measure with more samples per block, or with the number of the preset.",
    ),
    "spread": (
        "Single inferences vary widely, so single values such as the minimum are not meaningful.",
        "Use the median and its interval, and stop other programs on this machine.",
    ),
    "wide spread": (
        "Single inferences vary so much that the median depends on when they were taken.",
        "Stop other programs, fix the CPU frequency, and measure again.",
    ),
    "autocorrelation": (
        "Samples are autocorrelated, so the effective sample size is small.",
        "Rely on the differences between blocks: more blocks help, more samples per block do not.",
    ),
    "two modes": (
        "The latency distribution has two modes, and the median may jump between them.",
        "See the histogram; two kinds of cores, another program or a changing frequency are common causes.",
    ),
    "drift": (
        "Latency rose or fell steadily over the session: temperature, frequency or memory.",
        "Compare within this session only, and let the machine cool down before the next.",
    ),
    "canary": (
        "A fixed kernel timed before and after a block differed by over 5 % from the session: the machine changed.",
        "Stop other programs, and measure again on an idle machine.",
    ),
    "foreign load": (
        "Other programs used the cores during the measurement.",
        "Stop them, or use fewer threads than cores, and measure again.",
    ),
    "steal": (
        "The hypervisor gave CPU time to other virtual machines.",
        "Compare only runs of one session, or measure on a dedicated machine.",
    ),
    "throttled": (
        "The CPU quota of the cgroup paused the process, so latencies include pauses.",
        "Raise the CPU limit of the container, or use fewer threads than it allows.",
    ),
    "CPU pressure": (
        "Tasks waited for a core during the measurement.",
        "Stop other programs, or use fewer threads.",
    ),
    "memory pressure": (
        "Tasks waited for memory during the measurement.",
        "Stop other programs, or choose a smaller model.",
    ),
    "frequency": (
        "The CPU frequency changed between blocks.",
        "Set the governor to performance, disable turbo, and let the machine warm up.",
    ),
    "thermal": (
        "The CPU was throttled because of its temperature.",
        "Improve the cooling, and let the machine cool down between runs.",
    ),
    "governor": (
        "The CPU frequency governor changes the frequency with the load.",
        "Set the governor to performance: cpupower frequency-set -g performance.",
    ),
    "page faults": (
        "Pages of the program or its data were read from disk during inferences.",
        "Free memory, and measure again with the files in the page cache.",
    ),
    "parallelism": (
        "CPU time over wall time shows that the number of busy cores varied.",
        "Compare with one thread, or see in a profile which operators run on one core.",
    ),
    "unsettled": (
        "Latency had not settled at the end of warm-up, so the first samples may be slow.",
        "Measure with more warm-up inferences.",
    ),
    "threads": (
        "Not every block had or used the requested number of threads, so their latencies are not comparable.",
        "Measure again with one thread, or with one thread per physical core.",
    ),
    "eager": (
        "The program's own latency is not affected, but the ratio against eager is.",
        "Measure again on an idle machine before you rely on the speed-up.",
    ),
    "busy start": (
        "Other programs used the cores and did not stop within the time that etui waits for an idle machine.",
        "Stop them, or let etui wait longer.",
    ),
    "bf16": (
        "The program computes in another arithmetic than the precision states.",
        "Its latency and error are those of that arithmetic.",
    ),
}


def explained(name: str) -> str:
    """Return what a flag means and what to do about it; empty for an unknown name."""
    return " ".join(_EXPLANATIONS.get(name, _EXPLANATIONS["bf16"] if name == "fp16" else ()))


def grouped(flags: Sequence[tuple[str, Flag]], everyone: Sequence[str]) -> list[str]:
    """Return one line per kind of flag with what has it: ``CPU pressure: all 4: ..``.

    ``flags`` are pairs of a variant, or an eager baseline, and its flag; ``everyone`` are all variants without eager,
    in the order of display. The measured values are given if they are the same for all; otherwise what the flag means.
    """
    by_name: dict[str, dict[str, str]] = {}
    for variant, flag in flags:
        by_name.setdefault(flag.name, {})[variant] = flag.detail
    lines = []
    for name, details in by_name.items():
        about = next(iter(details.values()))
        if len(set(details.values())) > 1:
            about = explained(name) or f"{about}, and other values for the others"
        who = [text.members(list(details), everyone), *(name for name in details if name not in everyone)]
        lines.append(f"{name}: {' and '.join(filter(None, who))}: {about}")
    return lines


def not_readable(environment: Environment | None) -> list[str]:
    """Return the sensors that could not be read during the run, so that they could not raise a flag."""
    if environment is None or environment.not_readable is None:
        return []
    governor = [] if environment.governor else ["governor"]
    turbo = [] if environment.turbo is not None else ["turbo"]
    return [*governor, *turbo, *environment.not_readable]


def blind_spots(document: RunDocument) -> str:
    """Return a sentence that names the sensors that could not be read; empty if there are none or it is not known."""
    names = not_readable(document.environment)
    return text.plain(f"Not readable on this machine, so not monitored: {', '.join(names)}.") if names else ""
