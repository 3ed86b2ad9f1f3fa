"""What the screen offers before it starts a duel: the two runs, and the blocks and time of each preset."""

from __future__ import annotations

import msgspec

from etui.host.cpus import usable_cores
from etui.paths import cache_dir
from etui.services.duel import DuelOptions, DuelPlan, plan_duel
from etui.services.time_estimate import durations, estimate
from etui.spec import PRESETS, PresetName
from etui.store import Store
from etui.text import LINE_CELLS, shortened

DEFAULT = DuelOptions().preset


class DuelChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One preset, with the number of blocks and the estimated time as text."""

    preset: PresetName
    text: str


class DuelOffer(msgspec.Struct, frozen=True, kw_only=True):
    """The names of the two runs, the threads that both are measured with (None: one per core), and what can be
    chosen."""

    names: tuple[str, str]
    threads: int | None
    choices: list[DuelChoice]


def offer(store: Store, first: str, second: str, *, trusted_files: tuple[str, ...] = ()) -> DuelOffer:
    """Return what a duel of two runs takes with each preset. Raises the errors of ``plan_duel``."""
    plan = plan_duel(store, first, second, DuelOptions(trusted_files=trusted_files))
    names = [f"{run.id[:6]} {shortened(f'{run.model.name} {run.configuration}', LINE_CELLS)}" for run in plan.runs]
    presets: tuple[PresetName, ...] = ("quick", "default", "rigorous")
    choices = [_choice(plan, preset) for preset in presets]
    return DuelOffer(names=(names[0], names[1]), threads=plan.spec.threads, choices=choices)


def _choice(plan: DuelPlan, preset_name: PresetName) -> DuelChoice:
    spec = msgspec.structs.replace(plan.spec, preset=preset_name)
    cache = cache_dir()
    similar_runs = {
        variant: durations(document, spec, cache) for variant, document in zip(spec.variants, plan.runs, strict=True)
    }
    time = estimate(spec, plan.models[spec.variants[0]], similar_runs, usable_cores())
    preset = PRESETS[preset_name]
    at_most = "up to " if preset.stop_at_relative_ci is not None else ""
    return DuelChoice(
        preset=preset_name, text=f"{at_most}{preset.blocks} blocks of {preset.block_s:g} s, {at_most}{time.text}"
    )
