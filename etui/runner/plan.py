"""Plan a session: the number of blocks, the order of variants in each, and the samples per block."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from etui.spec import PRESETS, Preset, SessionSpec

REPEAT_SHARE = 0.25
"""At most this share of a session's blocks is repeated because the canary kernel deviated."""

SAMPLES_PER_BLOCK = 20
"""With a fixed ``--repeat``, another block is only added if each block has at least this number of samples."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of one session. ``orders[i]`` is the order of variants in block i; ``samples[i]`` the number of timed
    inferences of each variant in it, or None if the preset's seconds decide."""

    preset: Preset
    orders: tuple[tuple[str, ...], ...]
    samples: tuple[int | None, ...]
    warmup: int | None
    min_samples: int
    min_warmup: int

    @property
    def blocks(self) -> int:
        """The largest number of blocks."""
        return len(self.orders)

    @property
    def block_limit_s(self) -> float:
        """Seconds after which a block takes no further sample, so that a slow variant has few samples per block."""
        return self.preset.budget_s / self.preset.blocks


def make_plan(spec: SessionSpec, variants: Sequence[str], *, repeat: int, warmup: int) -> Plan:
    """Plan a session. ``repeat`` and ``warmup`` are the model's own minimum counts, used if the specification fixes
    none."""
    preset = PRESETS[spec.preset]
    blocks = preset.blocks
    samples: tuple[int | None, ...] = (None,) * blocks
    if spec.repeat is not None:
        blocks = max(1, min(preset.blocks, spec.repeat // SAMPLES_PER_BLOCK))
        each, more = divmod(spec.repeat, blocks)
        samples = tuple(each + (1 if index < more else 0) for index in range(blocks))
    return Plan(
        preset=preset,
        orders=block_orders(variants, blocks, spec.seed),
        samples=samples,
        warmup=spec.warmup,
        min_samples=-(-repeat // blocks),
        min_warmup=warmup,
    )


def block_orders(variants: Sequence[str], blocks: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """Randomized complete blocks in counterbalanced order: each variant once per block, and every second block
    reverses the order of the previous one, so that each variant has the same mean position over a pair and linear drift
    cancels.
    """
    generator = random.Random(seed)
    orders: list[tuple[str, ...]] = []
    for index in range(blocks):
        if index % 2:
            orders.append(tuple(reversed(orders[-1])))
        else:
            order = list(variants)
            generator.shuffle(order)
            orders.append(tuple(order))
    return tuple(orders)
