"""Memory traffic as in the STREAM benchmark (McCalpin 1995): copy and triad, and reading alone, on arrays that do not
fit into the caches."""

from __future__ import annotations

import torch

from etui.engine.peaks.timing import rate_of, timed
from etui.errors import EtuiError
from etui.machine_peaks import Rate

_LIBRARY = "PyTorch"


def memory_rates(array_bytes: int, repeat_s: float) -> list[Rate]:
    """Return the rates of reading one array, copying one to another, and ``a = b + s * c``, with the bytes of each
    array counted once, as STREAM counts (a processor may read what it overwrites, which is not counted).

    Raises EtuiError if the arrays do not fit into memory, or ``array_bytes`` is 0: they would fit into the caches.
    """
    if not array_bytes:
        raise EtuiError("too little free memory for arrays larger than the caches")
    count = array_bytes // 4
    try:
        target, first, second = (torch.full((count,), value) for value in (0.0, 1.0, 2.0))
    except RuntimeError as error:  # torch's own error for memory that cannot be allocated
        raise EtuiError("not enough memory for arrays larger than the caches") from error
    size = f"{array_bytes / 1e6:.0f} MB"
    read = rate_of("memory", _LIBRARY, f"read {size}", 4 * count, timed(first.sum), repeat_s)
    copy = rate_of("memory", _LIBRARY, f"copy {size}", 8 * count, timed(lambda: target.copy_(first)), repeat_s)
    triad = rate_of(
        "memory",
        _LIBRARY,
        f"triad of 3 x {size}",
        12 * count,
        timed(lambda: torch.add(first, second, alpha=3.0, out=target)),
        repeat_s,
    )
    return [read, copy, triad]
