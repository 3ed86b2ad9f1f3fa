"""The rows of a model's summary: its modules as a tree, in the order of the model, with their shares of the whole, or
with their places in the roofline of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from etui.analysis.roofline import Roofline, RooflinePoint
from etui.model_summary import ModelSummary, ModuleSummary
from etui.tui.details.bars import percent
from etui.tui.details.tree_rows import Column, Node, Rows, Tone
from etui.wording import model_summary as wording
from etui.wording import roofline as roofline_wording

_LINES_OPENED = 26
"""The modules with most work are expanded at first, up to this number of rows: about a screen."""
_LEAST_OPENED = 0.02


def module_rows(summary: ModelSummary, roofline: Roofline | None = None) -> Rows:
    """Return the tree of modules: what was counted, or, with a roofline, what was measured and how that compares."""
    points = {point.path: point for point in roofline.points} if roofline is not None else {}
    nodes: dict[str, Node] = {}
    root: Node | None = None
    for number, module in enumerate(summary.modules):
        node = _node(summary, module, number)
        if roofline is not None and (point := points.get(module.path)) is not None:
            node.figures |= _measured(roofline, point)
        nodes[module.path] = node
        if root is None:
            root = node
        else:
            nodes[module.path.rpartition(".")[0]].add(node)
    columns = _columns() if roofline is None else _roofline_columns(roofline, points)
    rows = Rows([root] if root is not None else [], columns, sort="name")
    rows.open_heaviest("weight" if roofline is None else "share", lines=_LINES_OPENED, least=_LEAST_OPENED)
    return rows


def module_of(node: Node) -> ModuleSummary | None:
    """Return the module of a row."""
    return node.item if isinstance(node.item, ModuleSummary) else None


def _node(summary: ModelSummary, module: ModuleSummary, number: int) -> Node:
    work = _part(module.macs, summary.macs)
    memory = _part(module.activation_bytes, summary.forward_bytes)
    size = _part(module.parameters, summary.parameters)
    return Node(
        module.path,
        module.name or summary.model,
        figures={
            "order": float(number),
            "calls": float(module.calls),
            "parameters": float(module.parameters),
            "size": size,
            "macs": float(module.macs),
            "work": work,
            "bytes": float(module.activation_bytes),
            "memory": memory,
            "weight": max(work or 0.0, size or 0.0),
        },
        search_text=f"{module.path} {module.type}".casefold(),
        item=module,
    )


def _measured(roofline: Roofline, point: RooflinePoint) -> dict[str, float | str | None]:
    return {
        "time": point.time_ms,
        "share": roofline_wording.share_of(roofline, point),
        "rate": point.gops_per_s,
        "bandwidth": point.gbytes_per_s,
        "intensity": point.intensity,
        "of_limit": point.of_limit,
    }


def _roofline_columns(roofline: Roofline, points: Mapping[str, RooflinePoint]) -> list[Column]:
    def cell(text: Callable[[RooflinePoint], str]) -> Callable[[Node], str]:
        return lambda node: text(points[node.key]) if node.key in points else ""

    def tone(node: Node) -> Tone:
        point = points.get(node.key)
        if point is None or point.attribution != "measured":
            return "faint"
        return "warn" if point.of_limit is not None and point.of_limit > 1 else ""

    return [
        Column(
            name="name", title="module", width=0, right=False, cell=lambda node: node.label, tree=True, sorts="order",
            descends=False,
        ),
        Column(name="type", title="type", width=18, right=False, spare=6, cell=_cell(wording.kind)),
        Column(name="time", title="ms", width=7, sorts="time", cell=cell(roofline_wording.time)),
        Column(name="share", title="% time", width=6, spare=3, sorts="share",
               cell=lambda node: percent(share) if (share := _figure("share")(node)) else "-"),
        Column(name="bar", title="", width=8, right=False, spare=5, cell=lambda _node: "", share=_figure("share")),
        Column(name="rate", title=roofline_wording.unit(roofline), width=7, sorts="rate",
               cell=cell(roofline_wording.rate)),
        Column(name="bandwidth", title="GB/s", width=6, spare=2, sorts="bandwidth",
               cell=cell(roofline_wording.bandwidth)),
        Column(name="intensity", title=roofline_wording.intensity_unit(roofline), width=9, spare=4, sorts="intensity",
               cell=cell(roofline_wording.intensity)),
        Column(name="bound", title="limited by", width=14, right=False, spare=1, cell=cell(roofline_wording.bound),
               tone=tone),
        Column(name="of_limit", title="of limit", width=8, sorts="of_limit", cell=cell(roofline_wording.of_limit),
               tone=tone),
    ]  # fmt: skip


def _columns() -> list[Column]:
    return [
        Column(
            name="name", title="module", width=0, right=False, cell=lambda node: node.label, tree=True, sorts="order",
            descends=False,
        ),
        Column(name="type", title="type", width=18, right=False, spare=4, cell=_cell(wording.kind)),
        Column(name="calls", title="calls", width=5, spare=8, sorts="calls", cell=_cell(wording.calls)),
        Column(name="output", title="output", width=16, right=False, spare=6,
               cell=_cell(lambda module: wording.tensors(module.outputs))),
        Column(name="parameters", title="params", width=8, sorts="parameters", cell=_cell(wording.parameters)),
        Column(name="size", title="% par", width=6, spare=7, sorts="parameters", cell=_share("size")),
        Column(name="macs", title="MACs", width=10, sorts="macs", cell=_cell(wording.macs), tone=_tone),
        Column(name="work", title="% MACs", width=6, sorts="macs", cell=_share("work")),
        Column(name="bar", title="", width=8, right=False, spare=5, cell=lambda _node: "", share=_figure("work")),
        Column(name="bytes", title="activat.", width=8, spare=2, sorts="bytes", cell=_cell(wording.activations)),
        Column(name="memory", title="% act", width=6, spare=9, sorts="bytes", cell=_share("memory")),
    ]  # fmt: skip


def _cell(text: Callable[[ModuleSummary], str]) -> Callable[[Node], str]:
    def cell(node: Node) -> str:
        module = module_of(node)
        return text(module) if module is not None else ""

    return cell


def _share(figure: str) -> Callable[[Node], str]:
    share = _figure(figure)
    return lambda node: percent(share(node)) if share(node) else "-"


def _figure(name: str) -> Callable[[Node], float | None]:
    def figure(node: Node) -> float | None:
        value = node.figures.get(name)
        return value if isinstance(value, float) else None

    return figure


def _tone(node: Node) -> Tone:
    module = module_of(node)
    return "warn" if module is not None and module.unknown_calls else ""


def _part(part: int, whole: int) -> float | None:
    return part / whole if whole and part else None
