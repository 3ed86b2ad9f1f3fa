"""Batches of labelled images, prepared by threads ahead of the training."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from etui.engine.training.augmentation import augmented
from etui.task_data.labelled_images import LabelledImages
from etui.task_data.preprocessing import Preprocessing, image_array, open_picture

_AHEAD = 2
"""The number of batches that are prepared while one is used."""


class Batch(NamedTuple):
    """Images [N, 3, H, W], their targets ([N, C] of 0 and 1, or [N] classes), and the seconds waited for them."""

    images: torch.Tensor
    targets: torch.Tensor
    waited_s: float


class Batches:
    """Makes the batches of a split with a number of threads; decoding and resizing run without Python's lock."""

    def __init__(self, folder: Path, data: LabelledImages, preprocessing: Preprocessing, threads: int) -> None:
        self._folder, self._data, self._preprocessing = folder, data, preprocessing
        self._threads = max(1, threads)

    def training(
        self, size: int, *, seed: int, epoch: int, first: int, flip: bool, least_area: float
    ) -> Iterator[Batch]:
        """Yield the batches of an epoch from number ``first`` on, in an order drawn from seed and epoch. A batch at the
        end that is smaller than ``size`` is left out if there is another."""
        order = np.random.default_rng([seed, epoch]).permutation(len(self._data.images)).tolist()
        full = len(order) // size * size or len(order)
        groups = [order[begin : begin + size] for begin in range(first * size, full, size)]

        def made(index: int) -> NDArray[np.float32]:
            picture = open_picture(self._folder / self._data.images[index].path)
            return augmented(
                picture, self._preprocessing, seed=seed, epoch=epoch, index=index, flip=flip, least_area=least_area
            )

        return self._prepared(groups, made)

    def evaluation(self, size: int) -> Iterator[Batch]:
        """Yield all images in their order, prepared as for a program."""
        count = len(self._data.images)
        groups = [list(range(begin, min(begin + size, count))) for begin in range(0, count, size)]
        return self._prepared(
            groups, lambda index: image_array(self._folder / self._data.images[index].path, self._preprocessing)
        )

    def drawn(self, count: int, seed: int) -> Iterator[torch.Tensor]:
        """Yield ``count`` images [1, 3, H, W], at most all, drawn by the seed and prepared as for a program."""
        order = np.random.default_rng(seed).permutation(len(self._data.images))[:count].tolist()
        for index in order:
            values = image_array(self._folder / self._data.images[index].path, self._preprocessing)
            yield torch.from_numpy(values).unsqueeze(0)

    def _prepared(self, groups: Sequence[list[int]], made: Callable[[int], NDArray[np.float32]]) -> Iterator[Batch]:
        with ThreadPoolExecutor(self._threads) as pool:
            waiting: deque[tuple[list[int], list[Future[NDArray[np.float32]]]]] = deque()
            rest = iter(groups)
            try:
                while True:
                    while len(waiting) <= _AHEAD and (group := next(rest, None)) is not None:
                        waiting.append((group, [pool.submit(made, index) for index in group]))
                    if not waiting:
                        return
                    group, futures = waiting.popleft()
                    start = time.perf_counter()
                    images = torch.from_numpy(np.stack([future.result() for future in futures]))
                    yield Batch(images, self._targets(group), time.perf_counter() - start)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _targets(self, group: Sequence[int]) -> torch.Tensor:
        labels = [self._data.images[index].labels for index in group]
        if self._data.kind == "single-label":
            return torch.tensor([one[0] for one in labels])
        targets = torch.zeros(len(group), len(self._data.categories))
        for row, ones in enumerate(labels):
            targets[row, list(ones)] = 1
        return targets
