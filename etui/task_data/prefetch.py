"""Prepare images in processes of their own while a program runs: the runtime keeps the interpreter's lock meanwhile."""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

from etui.errors import PreparationError
from etui.task_data.preprocessing import Preprocessing, image_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_AHEAD = 3
"""Batches that each process has waiting for it or done."""


class Prefetch:
    """Batches of images in their order, of shape [n, 3, height, width]; the last may be smaller. ``waiting_s`` is the
    time that was spent waiting for them, without that for the first, in which the processes start."""

    def __init__(self, folder: Path, paths: Sequence[str], preprocessing: Preprocessing, batch: int, readers: int):
        """``readers`` is the number of processes, at least one."""
        self.waiting_s = 0.0
        self._parts = [[str(folder / path) for path in paths[at : at + batch]] for at in range(0, len(paths), batch)]
        self._preprocessing = preprocessing
        self._readers = max(1, min(readers, len(self._parts)))

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Yield the batches.

        Raises:
            PreparationError: an image cannot be read, or a process ended, probably for lack of memory.
        """
        waiting: deque[Future[NDArray[np.float32] | tuple[str, str]]] = deque()
        # Forking a process with the threads of torch is not safe.
        pool = ProcessPoolExecutor(self._readers, mp_context=multiprocessing.get_context("spawn"))
        try:
            for number, part in enumerate(self._parts):
                waiting.append(pool.submit(_prepared, part, self._preprocessing))
                if len(waiting) > _AHEAD * self._readers:
                    yield self._next(waiting, first=number == _AHEAD * self._readers)
            first = len(self._parts) <= _AHEAD * self._readers
            while waiting:
                yield self._next(waiting, first=first)
                first = False
        except BrokenProcessPool as error:
            raise PreparationError(
                "a process that reads images ended, probably for lack of memory", "free memory on the machine"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)

    def _next(
        self, waiting: deque[Future[NDArray[np.float32] | tuple[str, str]]], *, first: bool
    ) -> NDArray[np.float32]:
        begin = time.perf_counter()
        found = waiting.popleft().result()
        if not first:
            self.waiting_s += time.perf_counter() - begin
        if isinstance(found, tuple):
            raise PreparationError(*found)
        return found


def _prepared(paths: Sequence[str], preprocessing: Preprocessing) -> NDArray[np.float32] | tuple[str, str]:
    """Return a batch, or message and hint of the error, which does not survive pickling."""
    import numpy

    try:
        return numpy.stack([image_array(Path(path), preprocessing) for path in paths])
    except PreparationError as error:
        return error.message, error.hint
