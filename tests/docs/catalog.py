"""The page of what can be selected: models, precisions, delegates, presets and tolerances."""

from __future__ import annotations

from etui.catalog.delegates import baselines, delegates
from etui.catalog.diffusion_models import DIFFUSION, INSTALL
from etui.catalog.models import MODELS, TOLERANCES, ModelEntry
from etui.catalog.precisions import PRECISIONS, recipe
from etui.results import Tolerance
from etui.spec import PRESETS, Preset
from tests.docs.markdown import code, make_page, table


def page() -> str:
    """The text of ``docs/reference/catalog.md``."""
    return make_page(
        "Models, precisions, delegates",
        "## Models",
        "Besides these, `etui run` takes [your own models](../own-models.md). `int8` is the recipe that the precision"
        " `int8` means for the model on XNNPACK.",
        table(("name", "model", "parameters", "output", "int8"), map(_model, (*MODELS.values(), *DIFFUSION.values()))),
        f"{' and '.join(map(code, DIFFUSION))} need the package diffusers: `{INSTALL}`.",
        "## Precisions",
        table(("name", "meaning"), [(code(one.name), one.title) for one in PRECISIONS.values()]),
        "## Delegates",
        "`etui delegates` says which of them work on your machine, and why the others do not.",
        table(("name", "delegate"), [(code(one.name), one.title) for one in delegates().values()]),
        "## Baselines",
        "Other runtimes to compare with: `etui run --baseline`. `etui delegates` says which work here.",
        table(("name", "baseline"), [(code(one.name), one.title) for one in baselines().values()]),
        "## Presets",
        "A variant that is too slow for its preset gets fewer samples, and its run says so.",
        table(("name", "blocks", "seconds per block", "seconds per variant", "stops"), map(_preset, PRESETS.values())),
        "## Tolerances",
        "What the worst output must reach for PASS, by precision, or by the arithmetic that a delegate uses instead"
        " (such as bf16). Top-1 is the share of agreeing classes, over all inputs, for models whose output is classes."
        " `etui show RUN` prints the tolerance that was used.",
        table(
            ("precision", "SQNR dB", "cosine", "top-1", "reason"),
            [
                (code(name), *_limits(one), ", ".join(sorted(_top1(name))), one.source)
                for name, one in TOLERANCES.items()
            ],
        ),
        "Models with other limits:",
        table(("precision", "SQNR dB", "cosine", "reason", "models"), _others()),
    )


def _model(entry: ModelEntry) -> tuple[str, ...]:
    name = recipe(entry, "int8").partition("/")[0]
    return code(entry.name), entry.title, f"{entry.parameters / 1e6:.1f} million", entry.outputs, code(name)


def _preset(preset: Preset) -> tuple[str, ...]:
    limit = preset.stop_at_relative_ci
    blocks = f"{'up to ' if limit else ''}{preset.blocks}"
    stops = f"once every interval is within {100 * limit:g} %" if limit else "after its blocks"
    return code(preset.name), blocks, f"{preset.block_s:g}", f"{preset.budget_s:g}", stops


def _limits(tolerance: Tolerance) -> tuple[str, str]:
    return _number(tolerance.sqnr_db_min), _number(tolerance.cosine_min)


def _top1(precision: str) -> set[str]:
    """The limits of all models whose output is classes: one, unless models come to differ in it."""
    limits = {model.tolerances[precision].top1_min for model in MODELS.values() if precision in model.tolerances}
    return {_number(limit) for limit in limits if limit is not None}


def _others() -> list[tuple[str, ...]]:
    """The limits on SQNR and cosine that differ from the usual ones, each with the models that have them."""
    found: dict[tuple[str, ...], list[str]] = {}
    for model in MODELS.values():
        for name, one in model.tolerances.items():
            if _limits(one) != _limits(TOLERANCES[name]):
                found.setdefault((code(name), *_limits(one), one.source), []).append(code(model.name))
    return [(*limits, ", ".join(names)) for limits, names in found.items()]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
