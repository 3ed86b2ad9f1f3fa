"""A training check as labels and texts, a table of optimizers, and sentences on failures; the same for every front
end."""

from __future__ import annotations

from collections.abc import Iterator

from etui import text
from etui.training_check import FALL, CheckSummary, Failure, FailureKind, OptimizerCheck, TrainingCheck, TrainingStep
from etui.wording.run_sections import Entry

HEADINGS = ("optimizer", "rate", "verdict", "steps", "first loss", "last loss", "time per step", "peak memory")
"""The headings of ``cells``."""

CRITERION = (
    f"PASS: the mean loss of the last quarter of the steps is below {FALL:g} of the first quarter's; every trainable"
    " parameter gets a finite gradient that is not zero, and changes, unless its gradient is a rounding error; no layer"
    " makes only zeros. Times and memory are those of this check, not a benchmark."
)
_MOST_PLACES = 8
_NOT_ENDED = "-"

_TEXTS: dict[FailureKind, str] = {
    "loss not finite": "the loss is not finite",
    "gradient not finite": "gradients are not finite",
    "loss does not fall": "the loss does not fall enough",
    "no gradient": "no gradient reaches",
    "zero gradient": "the gradient is zero in every step in",
    "weights do not change": "weights do not change in",
    "weights are overwritten": "the forward pass sets weights to their initial values again in",
    "outputs are zero": "all outputs are zero in the last quarter of the steps in",
}


def verdict(check: TrainingCheck) -> str:
    """Return whether the model trains, as a sentence without a period."""
    failed = ", ".join(one.optimizer for one in check.optimizers if not one.passed)
    passed = ", ".join(one.optimizer for one in check.optimizers if one.passed)
    if not failed:
        return f"PASS: the model trains with {passed}"
    return f"FAIL with {failed}" + (f"; PASS with {passed}" if passed else "")


LIST_HEADINGS = ("id", "checked", "model", "verdict", "machine", "error")
"""The headings of ``list_cells``."""


def list_cells(stored: CheckSummary) -> list[str]:
    """Return the cells of a stored check in a list."""
    verdict = "error" if stored.passed is None else "PASS" if stored.passed else "FAIL"
    return [stored.id, text.local_time(stored.created_at), stored.model, verdict, stored.box, stored.error or ""]


def sentences(one: OptimizerCheck) -> list[str]:
    """Return what else is known of the loop with an optimizer."""
    return list(filter(None, (tried(one), negligible(one), gradients(one))))


def entries(check: TrainingCheck) -> list[Entry]:
    """Return what was trained and how."""
    return list(_entries(check))


def _entries(check: TrainingCheck) -> Iterator[Entry]:
    yield Entry("input", "; ".join(check.inputs))
    yield Entry("loss", "; ".join(check.losses))
    yield Entry("targets", check.targets)
    items = text.counted(check.batch, "item")
    yield Entry("steps", f"{check.steps:,} on the same batch of {items}; seed {check.seed}")
    tensors = text.counted(check.trainable_parameters, "tensor")
    yield Entry("trainable", f"{check.trainable_elements:,} parameters in {tensors}")
    if check.frozen:
        yield Entry("frozen", f"by the model: {_listed(check.frozen)}")
    for note in check.notes:
        yield Entry("note", note)
    yield Entry("checked", f"{text.local_time(check.at)}, torch {check.torch_version}")


def cells(one: OptimizerCheck) -> list[str]:
    """Return the cells of one optimizer."""
    return [
        one.optimizer,
        f"{one.learning_rate:g}",
        "PASS" if one.passed else "FAIL",
        f"{len(one.losses):,}",
        _loss(one.losses[0] if one.losses else None),
        _loss(one.losses[-1] if one.losses else None),
        _NOT_ENDED if one.step_ms is None else f"{text.number(one.step_ms)} ms",
        _NOT_ENDED if one.peak_rss_bytes is None else text.size(one.peak_rss_bytes),
    ]


def step_text(step: TrainingStep) -> str:
    """Return a step of a check in progress with the time left."""
    left = f", about {text.clock(step.left_s)} left" if step.left_s >= 1 else ""
    return f"{step.text}: step {step.step:,} of {step.steps:,}, loss {_loss(step.loss)}{left}"


def failures(check: TrainingCheck) -> list[Entry]:
    """Return the failed checks, each with the optimizers that it failed with."""
    optimizers: dict[str, list[str]] = {}
    for one in check.optimizers:
        for each in one.failures:
            optimizers.setdefault(failure(each, one), []).append(one.optimizer)
    return [Entry(f"FAIL {', '.join(names)}", sentence, "bad") for sentence, names in optimizers.items()]


def tried(one: OptimizerCheck) -> str:
    """Return the other learning rates that were tried; empty if there are none."""
    if not one.tried:
        return ""
    rates = ", ".join(
        f"{each.learning_rate:g} ({_loss(each.begin_loss)} to {_loss(each.end_loss)})" for each in one.tried
    )
    return f"learning rate {one.learning_rate:g}; others failed (mean loss of the first to the last quarter): {rates}"


def negligible(one: OptimizerCheck) -> str:
    """Return the parameters whose gradient is too small to change them; empty if there are none."""
    if not one.negligible:
        return ""
    return (
        "not changed, because the gradient is only a rounding error (as of a bias before batch normalization):"
        f" {_listed(one.negligible)}"
    )


def gradients(one: OptimizerCheck) -> str:
    """Return the gradient norms of an optimizer; empty if there are none."""
    norms = [norm for norm in one.gradient_norms if norm is not None]
    if not norms:
        return ""
    ordered = sorted(norms)
    total = (
        f"gradient norm {text.number(norms[0])} at first, median {text.number(ordered[len(ordered) // 2])},"
        f" largest {text.number(ordered[-1])}"
    )
    by_module = sorted(one.module_gradient_norms.items(), key=lambda pair: pair[1])
    if len(by_module) < 2:
        return total
    (low, least), (high, most) = by_module[0], by_module[-1]
    return (
        f"{total}; by layer from {text.number(least)} ({low or 'the model itself'}) to {text.number(most)}"
        f" ({high or 'the model itself'})"
    )


def failure(one: Failure, check: OptimizerCheck) -> str:
    """Return a failed check as a sentence without a period."""
    line = _TEXTS[one.kind]
    if one.kind == "loss does not fall" and check.begin_loss is not None and check.end_loss is not None:
        line = (
            f"the loss does not fall below {FALL:g} of its beginning: {_loss(check.begin_loss)} in the first quarter of"
            f" the steps, {_loss(check.end_loss)} in the last"
        )
        return _with_hint(f"{line}; {one.detail}" if one.detail else line, one, check)
    if one.kind in {"loss not finite", "gradient not finite"}:
        line += f" at step {one.step}"
        if one.detail == "weights are not finite":
            line += f"; the weights are not finite in {_listed(one.places)}"
        elif one.kind == "gradient not finite":
            line += f" in {_listed(one.places)}"
        elif one.places:
            line += f"; the first layer that makes values that are not finite is {_listed(one.places)}"
        elif one.detail:
            line += f"; {one.detail}"
        return _with_hint(line, one, check)
    line = f"{line} {_listed(one.places)}"
    return _with_hint(line, one, check) if one.kind == "weights do not change" else line


def _with_hint(line: str, one: Failure, check: OptimizerCheck) -> str:
    if check.half is not None and (one.step is None or one.step > 1):
        overflows = " and the state of optimizers overflows or vanishes" if check.half == "FP16" else ""
        return (
            f"{line}; the parameters are {check.half}, in which small updates are lost{overflows}: keep them in FP32,"
            " and compute in 16 bits with torch.autocast"
        )
    if one.kind == "weights do not change":
        return f"{line}; the learning rate {check.learning_rate:g} may be too small"
    rising = one.kind == "loss does not fall" and one.step is not None
    diverged = one.kind != "loss does not fall" and one.step is not None and one.step > 1
    if rising or diverged:
        return f"{line}; the learning rate {check.learning_rate:g} may be too large"
    if one.kind == "loss does not fall" and check.tried:
        return f"{line}; more --steps may help"
    if one.kind == "loss does not fall":
        return f"{line}; more --steps or another --learning-rate may help"
    return line


def _listed(names: list[str]) -> str:
    rest = len(names) - _MOST_PLACES
    return "; ".join(names[:_MOST_PLACES]) + (f"; and {rest:,} more" if rest > 0 else "")


def _loss(value: float | None) -> str:
    return "not finite" if value is None else text.number(value)
