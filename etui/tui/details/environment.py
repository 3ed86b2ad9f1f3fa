"""The Environment tab of the details: the machine, the software, and what changed since the previous run."""

from __future__ import annotations

from rich.text import Text

from etui import text
from etui.analysis.differences import differences
from etui.results import Environment, RunDocument
from etui.tui.text_layout import Column, Sheet, Styles


def environment_page(document: RunDocument, previous: RunDocument | None, width: int, styles: Styles) -> Text:
    """Return the tab's text; ``previous`` is the last similar run before it."""
    sheet = Sheet(width, styles)
    _changes(sheet, document, previous)
    environment = document.environment
    if environment is None:
        sheet.gap()
        sheet.say("The machine and the software of this run are not known.", styles.muted)
        return sheet.text
    sheet.heading("Machine")
    for label, value in _machine(environment):
        sheet.fact(label, value)
    if document.threads is not None:
        sheet.fact("threads", str(document.threads))
    sheet.heading("Software")
    sheet.fact("Python", environment.python)
    sheet.fact("etui", document.etui_version)
    for name, version in sorted(environment.versions.items()):
        if name != "etui":
            sheet.fact(name, version)
    if environment.variables:
        sheet.heading("Environment variables")
        for name, value in sorted(environment.variables.items()):
            sheet.say(f"{name}={value}")
    if environment.cpu_flags:
        sheet.heading("CPU flags")
        sheet.say(" ".join(environment.cpu_flags), styles.muted)
    return sheet.text


def _changes(sheet: Sheet, document: RunDocument, previous: RunDocument | None) -> None:
    styles = sheet.styles
    if previous is None:
        sheet.say("This is the first run of this model, precision and delegate.", styles.muted)
        return
    when = text.local_time(previous.created_at)
    changed = differences(document, previous)
    if not changed:
        sheet.say(f"No difference from the previous run, {previous.id} of {when}.", styles.good, glyph=styles.ok)
        return
    count = text.counted(len(changed), "difference")
    sheet.say(f"{count} from the previous run, {previous.id} of {when}:", styles.strong)
    columns = [Column("", right=False), Column("before", right=False), Column("now", right=False)]
    sheet.table(columns, [[difference.name, difference.before, difference.now] for difference in changed])


def _machine(environment: Environment) -> list[tuple[str, str]]:
    unknown = "not readable"
    answers = {None: unknown, True: "yes", False: "no"}
    quota = environment.cgroup_cpus
    return [
        ("name", environment.box),
        ("system", environment.os),
        ("CPU", environment.cpu),
        ("cores", str(environment.cores)),
        ("memory", text.size(environment.memory_bytes)),
        ("governor", environment.governor or unknown),
        ("turbo", {None: unknown, True: "on", False: "off"}[environment.turbo]),
        ("virtual machine", answers[environment.virtualized]),
        ("CPU quota", "none" if quota is None else f"{quota:g} CPUs"),
        *([] if environment.affinity is None else [("CPU affinity", text.ranges(environment.affinity))]),
        *([] if environment.nice is None else [("nice level", str(environment.nice))]),
        *((name, unknown) for name in environment.not_readable or ()),
    ]
