"""A training check as Markdown."""

from __future__ import annotations

from etui.report import markdown
from etui.training_check import TrainingCheck
from etui.wording import training_check as wording


def training_markdown(check: TrainingCheck) -> str:
    """Return verdict, optimizers, failures, and how the model was trained."""
    numbers = [index for index, heading in enumerate(wording.HEADINGS) if heading not in ("optimizer", "verdict")]
    lines = [f"## {markdown.escaped(f'Training check of {check.model}: {check.title}')}", ""]
    lines += [markdown.escaped(f"{wording.verdict(check)}."), ""]
    lines += [*markdown.table(wording.HEADINGS, [wording.cells(one) for one in check.optimizers], right=numbers), ""]
    lines += [f"- {markdown.escaped(f'{entry.label}: {entry.value}')}" for entry in wording.failures(check)]
    lines += [
        f"- {markdown.escaped(f'{one.optimizer}: {sentence}')}"
        for one in check.optimizers
        for sentence in wording.sentences(one)
    ]
    lines += ["", *markdown.table(["", ""], [[entry.label, entry.value] for entry in wording.entries(check)]), ""]
    lines += [markdown.escaped(wording.CRITERION)]
    return "\n".join(lines) + "\n"
