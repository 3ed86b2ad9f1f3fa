"""The measured peaks of machines: one file for each host, CPU and number of threads in the state folder."""

from __future__ import annotations

import contextlib
import hashlib

import msgspec

from etui.files import private as private_files
from etui.files.atomic import write_file
from etui.machine_peaks import MachinePeaks
from etui.paths import state_dir

_FOLDER = "peaks"


def kept_peaks(host: str | None = None) -> list[MachinePeaks]:
    """Return the peaks that were measured on a host, by number of threads; on all hosts if it is None. Those that are
    not readable are omitted."""
    found = []
    for file in sorted((state_dir() / _FOLDER).glob("*.json")):
        with contextlib.suppress(OSError, ValueError, msgspec.MsgspecError):
            found.append(msgspec.json.decode(file.read_bytes(), type=MachinePeaks))
    return sorted(
        (peaks for peaks in found if host is None or peaks.host == host), key=lambda peaks: (peaks.host, peaks.threads)
    )


def peaks_for(host: str, cpu: str, threads: int) -> MachinePeaks | None:
    """Return the peaks of a host with this CPU and number of threads; None if they were not measured."""
    return next((peaks for peaks in kept_peaks(host) if (peaks.cpu, peaks.threads) == (cpu, threads)), None)


def keep(peaks: MachinePeaks) -> None:
    """Store peaks instead of the earlier ones of the same host, CPU and number of threads.

    Raises EtuiError or OSError if the state folder is not writable.
    """
    folder = state_dir() / _FOLDER
    name = hashlib.sha256(f"{peaks.host} {peaks.cpu} {peaks.threads}".encode()).hexdigest()[:16]
    private_files.make_folder(folder, own=True)
    write_file(folder / f"{name}.json", msgspec.json.encode(peaks), force=True, private=True)
