"""``etui peaks``: measure the peaks of this machine, which the roofline of a run is compared with."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import click

from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.section_text import section_lines
from etui.cli.status_line import status_line
from etui.errors import EXIT_DONE, UsageError
from etui.formats.json_text import printable_json
from etui.text import counted

if TYPE_CHECKING:
    from etui.machine_peaks import MachinePeaks


@click.command(epilog=examples("etui peaks", "etui peaks --threads 1", "etui peaks --show", "etui peaks --show --json"))
@click.option("--threads", type=Count(min=1), metavar="N",
              help="Number of threads.  [default: as many as there are cores]")  # fmt: skip
@click.option("--show", is_flag=True, help="Print what was measured on this machine, without measuring.")
@click.option("--wait-quiet", type=Number(min=0.0), metavar="MINUTES",
              help="Longest wait for other programs to become idle.  [default: ETUI_WAIT_QUIET, or 10]")  # fmt: skip
@click.option("--timeout", type=Number(min=0.1), default=300.0, show_default=True, metavar="S",
              help="Time limit in seconds, without waiting.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print every rate as JSON.")
@click.pass_obj
def peaks(
    settings: Settings, threads: int | None, show: bool, wait_quiet: float | None, timeout: float, as_json: bool
) -> int:
    """Measure how fast this machine computes and reads memory at most, for rooflines (`etui summary RUN --roofline`).

    Products of matrices and convolutions in FP32, FP16 and INT8 on XNNPACK, products in FP32 in PyTorch, and reading,
    copying and triad of arrays larger than the caches. The peaks are those of the libraries that execute models, not of
    the hardware: the upper quartile of the repetitions of the fastest work. It takes about a minute under the machine
    lock, and is stored for the host and number of threads.
    """
    from etui.services.peaks import measure_peaks
    from etui.services.request import check_threads, wait_quiet_min
    from etui.store.kept_peaks import kept_peaks

    del settings
    check_threads(threads)
    if show:
        host = socket.gethostname()
        found = [each for each in kept_peaks(host) if threads in (None, each.threads)]
        if not found:
            with_threads = f" with {counted(threads, 'thread')}" if threads is not None else ""
            raise UsageError(f"no peaks were measured on {host}{with_threads}", "measure them with `etui peaks`")
    else:
        with status_line() as line:
            quiet_min = wait_quiet_min(wait_quiet)
            found = [measure_peaks(threads, wait_quiet_min=quiet_min, limit_s=timeout, progress=line.show)]
    if as_json:
        click.echo(printable_json(found if show else found[0]))
    else:
        click.echo("\n\n".join(map(_as_text, found)))
    return EXIT_DONE


def _as_text(found: MachinePeaks) -> str:
    from etui.text import plain
    from etui.wording.peaks import peak_entries, title
    from etui.wording.run_sections import RunSection

    lines = [title(found), *section_lines(RunSection(title="", entries=peak_entries(found)))]
    return plain("\n".join(lines), keep_lines=True)
