"""The rows and texts of the evaluation on the Accuracy tab: the categories, and the images with other categories."""

from __future__ import annotations

from rich.text import Text

from etui.analysis.task_changes import category_value, changes_within
from etui.charts.grid import Canvas
from etui.charts.palette import Palette
from etui.charts.precision_recall import precision_recall
from etui.results import CategoryEvaluation, ChangedImage, RunDocument, TaskEvaluation
from etui.tui.details.tree_rows import Column, Node, Rows, Tone
from etui.tui.text_layout import Sheet, Styles
from etui.wording import task_evaluation as wording

_LEAST_CHART = 7


def category_rows(found: TaskEvaluation) -> Rows:
    """Return one row for each category, the largest loss against eager first."""
    nodes = []
    for number, one in enumerate(found.categories):
        program, eager = category_value(found, one.program), category_value(found, one.eager)
        nodes.append(
            Node(
                f"category {number}",
                one.name,
                figures={
                    "name": one.name.casefold(), "images": float(one.positives), "program": program, "eager": eager,
                    "change": None if program is None or eager is None else program - eager,
                },
                search_text=one.name.casefold(),
                item=one,
            )
        )  # fmt: skip
    metric = "AP" if found.metric == "mAP" else "recall"
    columns = [
        Column(
            name="name", title="category", width=0, right=False, tree=True, sorts="name", descends=False,
            cell=lambda node: node.label,
        ),
        Column(name="images", title="images", width=7, spare=4, sorts="images", cell=_images),
        Column(
            name="program", title=f"{metric} %", width=8, sorts="program", cell=lambda node: _figure(node, "program")
        ),
        Column(
            name="bar", title="program", width=8, right=False, spare=2, cell=lambda _node: "",
            share=lambda node: _share(node, "program"),
        ),
        Column(
            name="eager", title="eager %", width=8, spare=1, sorts="eager", cell=lambda node: _figure(node, "eager")
        ),
        Column(
            name="eager bar", title="eager", width=8, right=False, spare=3, cell=lambda _node: "",
            share=lambda node: _share(node, "eager"), tone=lambda _node: "faint",
        ),
        Column(
            name="change", title="change", width=7, sorts="change", descends=False, tone=_tone,
            cell=lambda node: _figure(node, "change", "+"),
        ),
    ]  # fmt: skip
    return Rows(nodes, columns, sort="change")


def image_rows(found: TaskEvaluation) -> Rows:
    """Return one row for each image that has other categories in the program than in eager, the largest change of a
    probability first."""
    nodes = [
        Node(
            f"image {number}",
            one.path,
            figures={"path": one.path, "change": one.change},
            search_text=" ".join((one.path, *one.labels, *one.eager, *one.program)).casefold(),
            item=one,
        )
        for number, one in enumerate(found.changed)
    ]
    columns = [
        Column(
            name="path", title="image", width=0, right=False, tree=True, sorts="path", descends=False,
            cell=lambda node: node.label,
        ),
        Column(name="eager", title="eager", width=16, right=False, cell=lambda node: wording.tags(_image(node).eager)),
        Column(
            name="program", title="program", width=16, right=False, cell=lambda node: wording.tags(_image(node).program)
        ),
        Column(
            name="labels", title="labels", width=16, right=False, spare=2,
            cell=lambda node: wording.tags(_image(node).labels),
        ),
        Column(
            name="change", title="change", width=7, spare=1, sorts="change", cell=lambda node: _figure(node, "change")
        ),
    ]  # fmt: skip
    return Rows(nodes, columns, sort="change")


def evaluation_head(document: RunDocument, found: TaskEvaluation, width: int, styles: Styles) -> Text:
    """Return the text above the rows: the metric of program and eager, their difference, the data, the changed
    images."""
    sheet = Sheet(width, styles)
    sheet.say(
        f"{found.metric} of {document.configuration} {wording.estimate(found.program)}, of eager"
        f" {wording.estimate(found.eager)}: {wording.estimate(found.difference, '+')} percentage points.",
        styles.strong,
    )
    sheet.say(", ".join(f"{label} {value}" if label != "data" else value for label, value in wording.facts(found)))
    sheet.say(wording.images_changed(changes_within(found)))
    sheet.say("")
    return sheet.text


def category_foot(
    node: Node | None, found: TaskEvaluation, palette: Palette, width: int, height: int, styles: Styles
) -> Text:
    """Return the figures of the category under the cursor, and its precision-recall curve if ``height`` allows it."""
    sheet = Sheet(width, styles)
    if node is None:
        return sheet.text
    one = _category(node)
    # Without room for the curve, precision and recall are on two lines.
    sheet.line(f"{one.name}: {wording.counted_images(one.positives)}", styles.strong)
    if height >= 2:
        sheet.line(_at_threshold(one))
    canvas = Canvas(width=width, height=height - 2, palette=palette)
    if canvas.height < _LEAST_CHART or not (one.program.precisions and one.eager.precisions):
        return sheet.text
    return Text("\n", no_wrap=True).join(
        [sheet.text, precision_recall(one.program.precisions, one.eager.precisions, canvas)]
    )


def image_foot(node: Node | None, width: int, styles: Styles, most: int) -> Text:
    """Return all categories of the image under the cursor, in at most ``most`` lines."""
    sheet = Sheet(width, styles)
    if node is not None:
        one = _image(node)
        parts = [("program", one.program), ("eager", one.eager), ("labels", one.labels)]
        if most < len(parts) + 1:
            sheet.line("; ".join(f"{label}: {', '.join(names) or 'none'}" for label, names in parts))
        else:
            sheet.line(one.path, styles.strong)
            for label, names in parts:
                sheet.line(f"{label}: {', '.join(names) or 'none'}")
    return sheet.text


def _at_threshold(one: CategoryEvaluation) -> str:
    pairs = (
        ("precision", one.program.precision, one.eager.precision),
        ("recall", one.program.recall, one.eager.recall),
        ("F1", one.program.f1, one.eager.f1),
    )
    parts = [f"{name} {wording.points(program)} / {wording.points(eager)}" for name, program, eager in pairs]
    return f"program / eager: {', '.join(parts)} %"


def _category(node: Node) -> CategoryEvaluation:
    assert isinstance(node.item, CategoryEvaluation)
    return node.item


def _image(node: Node) -> ChangedImage:
    assert isinstance(node.item, ChangedImage)
    return node.item


def _images(node: Node) -> str:
    return f"{_category(node).positives:,}"


def _figure(node: Node, name: str, sign: str = "") -> str:
    value = node.figures[name]
    return wording.points(value if isinstance(value, float) else None, sign)


def _share(node: Node, name: str) -> float | None:
    value = node.figures[name]
    return value if isinstance(value, float) else None


def _tone(node: Node) -> Tone:
    return "bad" if node.figures["change"] is not None and _figure(node, "change", "+").startswith("-") else ""
