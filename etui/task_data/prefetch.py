"""Prepare images in processes of their own while a program runs: the runtime keeps the interpreter's lock meanwhile."""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from etui.errors import PreparationError
from etui.task_data.preprocessing import Preprocessing, open_picture, picture_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_AHEAD = 3
"""Batches that each process has waiting for it or done."""


class _Prepared(NamedTuple):
    """A batch of images, and the message and the hint of those that cannot be read, by their place in the batch.
    Exceptions do not survive pickling."""

    images: NDArray[np.float32]
    unreadable: dict[int, tuple[str, str]]
    read_s: float
    prepare_s: float


class Prefetch:
    """Batches of images in their order, of shape [n, 3, height, width]; the last may be smaller.

    ``waiting_s`` is the time that was spent waiting for them, without that for the first, in which the processes start.
    ``read_s`` and ``prepare_s`` are the sums, over all processes, of the times of decoding files and of resizing and
    normalizing images. With ``skip_unreadable`` batches do not have the images that cannot be read: ``unreadable`` has
    the reason for each by its place in ``paths``.
    """

    def __init__(
        self,
        folder: Path,
        paths: Sequence[str],
        preprocessing: Preprocessing,
        batch: int,
        readers: int,
        *,
        skip_unreadable: bool = False,
    ) -> None:
        """``readers`` is the number of processes, at least one."""
        self.waiting_s = self.read_s = self.prepare_s = 0.0
        self.unreadable: dict[int, str] = {}
        self._batch, self._skip, self._done = batch, skip_unreadable, 0
        self._parts = [[str(folder / path) for path in paths[at : at + batch]] for at in range(0, len(paths), batch)]
        self._preprocessing = preprocessing
        self._readers = max(1, min(readers, len(self._parts)))

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Yield the batches.

        Raises:
            PreparationError: an image cannot be read, or a process ended, probably for lack of memory.
        """
        waiting: deque[Future[_Prepared]] = deque()
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

    def _next(self, waiting: deque[Future[_Prepared]], *, first: bool) -> NDArray[np.float32]:
        begin = time.perf_counter()
        found = waiting.popleft().result()
        if not first:
            self.waiting_s += time.perf_counter() - begin
        if found.unreadable and not self._skip:
            raise PreparationError(*next(iter(found.unreadable.values())))
        self.unreadable |= {self._done * self._batch + place: why for place, (why, _) in found.unreadable.items()}
        self._done += 1
        self.read_s += found.read_s
        self.prepare_s += found.prepare_s
        return found.images


def _prepared(paths: Sequence[str], preprocessing: Preprocessing) -> _Prepared:
    import numpy

    images: list[NDArray[np.float32]] = []
    unreadable: dict[int, tuple[str, str]] = {}
    read_s = prepare_s = 0.0
    for place, path in enumerate(paths):
        begin = time.perf_counter()
        try:
            picture = open_picture(Path(path))
        except PreparationError as error:
            unreadable[place] = error.message, error.hint
            continue
        read = time.perf_counter()
        images.append(picture_array(picture, preprocessing))
        read_s += read - begin
        prepare_s += time.perf_counter() - read
    stacked = numpy.stack(images) if images else numpy.empty((0, 3, *preprocessing.size), numpy.float32)
    return _Prepared(stacked, unreadable, read_s, prepare_s)
