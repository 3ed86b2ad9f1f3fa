"""The rows of a model's summary: its modules as a tree, in the order of the model, with their shares of the whole."""

from __future__ import annotations

from collections.abc import Callable

from etui.model_summary import ModelSummary, ModuleSummary
from etui.tui.details.bars import percent
from etui.tui.details.tree_rows import Column, Node, Rows, Tone
from etui.wording import model_summary as wording

_LINES_OPENED = 26
"""The modules with most work are expanded at first, up to this number of rows: about a screen."""
_LEAST_OPENED = 0.02


def module_rows(summary: ModelSummary) -> Rows:
    """Return the tree of modules."""
    nodes: dict[str, Node] = {}
    root: Node | None = None
    for number, module in enumerate(summary.modules):
        node = _node(summary, module, number)
        nodes[module.path] = node
        if root is None:
            root = node
        else:
            nodes[module.path.rpartition(".")[0]].add(node)
    rows = Rows([root] if root is not None else [], _columns(), sort="name")
    rows.open_heaviest("weight", lines=_LINES_OPENED, least=_LEAST_OPENED)
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
        value = node.figures[name]
        return value if isinstance(value, float) else None

    return figure


def _tone(node: Node) -> Tone:
    module = module_of(node)
    return "warn" if module is not None and module.unknown_calls else ""


def _part(part: int, whole: int) -> float | None:
    return part / whole if whole and part else None
