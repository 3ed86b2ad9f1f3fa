"""How a session is measured: how many blocks, in which order, with how many samples each."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from etui.spec import PRESETS, Preset, SessionSpec

SAMPLES_A_BLOCK = 20
"""With a fixed ``--repeat``, a block has at least this many samples before there is another block."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The measuring of one session. ``orders[i]`` is the order of variants in block i; ``samples[i]`` how many timed
    inferences each takes there, or None where the preset's seconds decide."""

    preset: Preset
    orders: tuple[tuple[str, ...], ...]
    samples: tuple[int | None, ...]
    warmup: int | None
    min_samples: int
    min_warmup: int

    @property
    def blocks(self) -> int:
        """How many blocks there are at most."""
        return len(self.orders)

    @property
    def block_limit_s(self) -> float:
        """Seconds after which a block takes no further sample: a slow variant has few samples in each block."""
        return self.preset.budget_s / self.preset.blocks


def make_plan(spec: SessionSpec, variants: Sequence[str], *, repeat: int, warmup: int) -> Plan:
    """Plan a session. ``repeat`` and ``warmup`` are the model's own fewest counts, used where the spec fixes none."""
    preset = PRESETS[spec.preset]
    blocks = preset.blocks
    samples: tuple[int | None, ...] = (None,) * blocks
    if spec.repeat is not None:
        blocks = max(1, min(preset.blocks, spec.repeat // SAMPLES_A_BLOCK))
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
    """Randomized complete blocks in counterbalanced order: each variant once a block, and every second block runs the
    order before it backwards, so that over a pair each variant stands equally early and late and linear drift cancels.
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
