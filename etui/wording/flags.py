"""What each flag means and what to do about it, and what could not be watched at all."""

from __future__ import annotations

from etui import text
from etui.results import Environment, RunDocument

_WORDS: dict[str, tuple[str, str]] = {
    "few blocks": (
        "The interval rests on fewer processes than planned.",
        "Give the run more time, or choose a smaller model.",
    ),
    "few samples": ("A handful of samples is no distribution.", "Measure with a higher --repeat, or with the preset."),
    "spread": (
        "Single inferences differ a good deal, so single figures such as the minimum say little.",
        "Go by the median and its interval, and end other programs on the box.",
    ),
    "wide spread": (
        "Single inferences differ so much that the median depends on when they were taken.",
        "End other programs, hold the CPU's frequency, and measure again.",
    ),
    "autocorrelation": (
        "The pace wandered within blocks, so many samples tell little more than a few.",
        "Go by the differences between blocks, not the number of samples: more blocks help, more samples do not.",
    ),
    "two modes": (
        "The program runs at two paces, and the median jumps between them.",
        "Look at the histogram; cores of two kinds, a second program or a changing frequency are the usual causes.",
    ),
    "drift": (
        "The pace went one way over the session: heat, frequency or memory.",
        "Compare within this session only, and let the box rest before the next.",
    ),
    "canary": (
        "A fixed piece of work took over 5 % more or less round a block than in the whole session: the box changed.",
        "See what ran then with etui doctor --watch, and measure again on a calmer box.",
    ),
    "foreign load": (
        "Something else worked on the cores while this was timed.",
        "End it (etui doctor --watch shows it), or ask for fewer threads than there are cores, and measure again.",
    ),
    "steal": (
        "The host gave the cores to other virtual machines.",
        "Compare only runs of one session, measure at a calmer hour, or on a box of its own.",
    ),
    "throttled": (
        "The cgroup's quota stopped the process, so latencies hold pauses that the program does not have.",
        "Raise the container's CPU limit, or ask for fewer threads than it allows.",
    ),
    "CPU pressure": (
        "Tasks stood in line for the cores while this was timed.",
        "End other programs, or ask for fewer threads.",
    ),
    "memory pressure": (
        "Tasks waited for memory, and this one perhaps too.",
        "End other programs, or choose a smaller model.",
    ),
    "frequency": (
        "The CPU's clock changed, so blocks were not timed on the same machine, as it were.",
        "Set the governor to performance, switch turbo off, and let the box warm up.",
    ),
    "thermal": (
        "The CPU protected itself from heat and was slower for it.",
        "See to the cooling, and let the box cool between runs.",
    ),
    "governor": (
        "The CPU clocks itself up and down as it sees fit.",
        "Set the governor to performance: cpupower frequency-set -g performance.",
    ),
    "page faults": (
        "Pages of the program or its data came from disk during inferences.",
        "Free memory, and measure again with the files in the page cache.",
    ),
    "parallelism": (
        "CPU time over wall time says that not the same number of cores worked each time.",
        "Compare at --threads 1 to leave it out, or see etui profile for what runs on one core.",
    ),
    "unsettled": (
        "Warm-up ended before the pace was steady, so the first samples may be slow ones.",
        "Measure with a higher --warmup.",
    ),
    "threads": (
        "Not every block had, or used, the number of threads that was asked for, so their times are not comparable.",
        "Measure again with --threads 1, or with as many threads as there are physical cores.",
    ),
    "eager": (
        "The program's own latency is not affected, but the ratio against eager is.",
        "Measure again on a quieter machine before going by the speed-up.",
    ),
    "busy start": (
        "Other programs were using the cores, and did not stop within the time that --wait-quiet allows.",
        "End them, or wait longer for them with --wait-quiet MIN.",
    ),
    "bf16": (
        "The delegate computes in another arithmetic than the precision says.",
        "Read its speed and its error as those of that arithmetic.",
    ),
}


def explained(name: str) -> str:
    """What a flag means and what to do about it; nothing for a name that is not known here."""
    return " ".join(_WORDS.get(name, _WORDS["bf16"] if name == "fp16" else ()))


def not_readable(environment: Environment | None) -> list[str]:
    """What this run's box did not tell while it was measured, so that no flag could come of it."""
    if environment is None or environment.not_readable is None:
        return []
    governor = [] if environment.governor else ["governor"]
    turbo = [] if environment.turbo is not None else ["turbo"]
    return [*governor, *turbo, *environment.not_readable]


def blind_spots(document: RunDocument) -> str:
    """A sentence on what no flag could come of; nothing where all could be read, or where that is not known."""
    names = not_readable(document.environment)
    return text.plain(f"Not readable on this box, so not watched: {', '.join(names)}.") if names else ""
