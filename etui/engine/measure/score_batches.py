"""Run a model or a program on prepared images in batches of its own size: the loop of every evaluation on images."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from etui.errors import EtuiError
from etui.task_data.prefetch import Prefetch

Run = Callable[[torch.Tensor], torch.Tensor]
"""Returns the first output for a batch of images."""

_EVERY_S = 0.5
_IMAGES_AT_ONCE = 8


class Scored(NamedTuple):
    """The first outputs, [N, C], of ``images`` images. ``begin_s`` and ``end_s`` are the times of the clock
    ``time.perf_counter`` at which the first images were ready and the last output was; ``running_s`` is the time that
    was spent in ``run``."""

    scores: torch.Tensor
    images: int
    begin_s: float
    end_s: float
    running_s: float


def images_at_once(batch: int) -> int:
    """Return the number of images that a process reads at once: whole batches, and several of a small one."""
    return batch * max(1, _IMAGES_AT_ONCE // batch)


def score_batches(
    run: Run,
    images: Prefetch,
    batch: int,
    columns: int,
    refusal: Callable[[list[int]], EtuiError],
    progress: Callable[[int], None],
) -> Scored:
    """Return the first output of ``run`` for all images. The last image fills the rest of a batch.

    ``refusal`` gives the error for an output of another shape than [batch, columns]. ``progress`` is called with the
    number of images that are done, at most twice a second.
    """
    rows: list[torch.Tensor] = []
    done, shown, begin_s, end_s, running_s = 0, 0.0, 0.0, 0.0, 0.0
    for prepared in images:
        begin_s = begin_s or time.perf_counter()
        end_s = end_s or begin_s
        tensors = torch.from_numpy(prepared)
        for at in range(0, len(tensors), batch):
            part = tensors[at : at + batch]
            started_s = time.perf_counter()
            missing = batch - len(part)
            output = run(torch.cat([part, part[-1:].expand(missing, -1, -1, -1)]) if missing else part)
            if list(output.shape) != [batch, columns]:
                raise refusal(list(output.shape))
            # A copy: the runtime may use the memory of the output again.
            rows.append(output[: len(part)].float().cpu().clone())
            end_s = time.perf_counter()
            running_s += end_s - started_s
        done += len(tensors)
        now = time.monotonic()
        if now - shown > _EVERY_S:
            shown = now
            progress(done)
    return Scored(torch.cat(rows) if rows else torch.empty(0, columns), done, begin_s, end_s, running_s)
