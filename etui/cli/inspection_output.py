"""The contents of a program as text: methods, sections as a tree, lowering stages and undelegated nodes of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from etui import text
from etui.analysis.delegation import advice
from etui.analysis.lowering import StageChange, changes
from etui.cli.section_text import run_title, section_lines
from etui.cli.table import Column, table
from etui.insight import (
    DynamicDimension,
    ExportedInfo,
    ExportedTensor,
    MethodInfo,
    ProgramInfo,
    Section,
    TensorSignature,
    UndelegatedNode,
)
from etui.results import RunDocument
from etui.wording import run_sections
from etui.wording import verdict as verdict_wording

_LABEL_WIDTH = 13
_FEW = 6
_LONG_NAME = 44


def program_text(info: ProgramInfo, *, whole: bool) -> str:
    """Return all facts about a program file."""
    parts = [list(_heading(info)), *(list(_method(method)) for method in info.methods)]
    parts.append(list(tree(info.sections, info.size_bytes, whole=whole)))
    return _joined(parts)


def run_text(document: RunDocument, info: ProgramInfo | None, *, whole: bool) -> str:
    """Return the lowering, the undelegated nodes and the program of a run; ``info`` if the file still exists."""
    parts = [
        [run_title(document), *filter(None, [verdict_wording.delegated(document)])],
        list(_stages(document)),
        list(_undelegated(document)),
        list(section_lines(run_sections.remedies(document))),
        list(section_lines(run_sections.memory(document))),
    ]
    if info is not None:
        parts += [list(_heading(info)), *(list(_method(method)) for method in info.methods)]
    artifact = document.artifact
    sections = info.sections if info is not None else artifact.sections if artifact is not None else []
    size = info.size_bytes if info is not None else artifact.size_bytes if artifact is not None else 0
    parts.append(list(tree(sections, size, whole=whole)))
    if info is None and artifact is not None:
        parts.append(["The program is no longer in the cache; these facts were stored with the run."])
    return _joined(parts)


def run_as_json(document: RunDocument, info: ProgramInfo | None) -> dict[str, object]:
    """Return the same as one JSON object."""
    return {
        "run": document.id,
        "model": document.model.name,
        "precision": document.precision,
        "delegate": document.delegate,
        "graph_stages": document.graph_stages,
        "delegation": document.delegation,
        "advice": advice(document),
        "planned_bytes": document.memory.planned_bytes if document.memory else None,
        "peak_rss_bytes": document.memory.peak_rss_bytes if document.memory else None,
        "sections": document.artifact.sections if document.artifact else [],
        "program": info,
    }


def tree(sections: Sequence[Section], size: int, *, whole: bool) -> Iterator[str]:
    """Yield the sections as an indented table with the largest parts of each; shares are of the file."""
    if not sections:
        return
    rows: list[tuple[str, str, str, str]] = []
    children: dict[str, list[Section]] = {}
    for section in sections:
        children.setdefault(section.path.rpartition("/")[0], []).append(section)

    def put(parent: str, depth: int) -> None:
        listed = children.get(parent, [])
        few = len(listed) if whole or depth == 0 else _FEW
        for section in listed[:few]:
            name = _short(section.path.rpartition("/")[2])
            share = _share(section.size_bytes, size)
            rows.append((f"{'  ' * depth}{name}", text.size(section.size_bytes), share, section.detail))
            put(section.path, depth + 1)
        rest = listed[few:]
        if rest:
            left = sum(section.size_bytes for section in rest)
            rows.append((f"{'  ' * depth}{len(rest):,} more", text.size(left), _share(left, size), "--all lists them"))

    put("", 0)
    rows.append(("file", text.size(size), "100 %", f"{size:,} bytes"))
    columns = [Column("section"), Column("size", right=True), Column("share", right=True), Column("", wraps=True)]
    yield from table(columns, rows).splitlines()


def _heading(info: ProgramInfo) -> Iterator[str]:
    yield f"{info.name}  {text.size(info.size_bytes)}  sha256 {info.sha256[:16]}"
    if info.loads:
        yield from _labelled("loads here", "yes")
    else:
        yield from _labelled("loads here", f"no: {info.problem}" if info.problem else "not known")
    for note in info.notes:
        yield from _labelled("note", note)


def _method(method: MethodInfo) -> Iterator[str]:
    count = text.counted(method.instructions, "instruction")
    yield f"method {method.name}: {count}, plans {text.size(method.planned_bytes)} of memory"
    for signature in (*method.inputs, *method.outputs):
        yield from _labelled(f"  {signature.kind} {signature.index}", _signature(signature))
    if not method.backends:
        yield from _labelled("  backends", "none: all operators run on ExecuTorch's own kernels")
    for need in method.backends:
        partitions = text.counted(need.subgraphs, "partition")
        here = "available" if need.here else f"not available here: {need.hint}"
        yield from _labelled("  backend", f"{need.name}, {partitions}, {here}")
    listed = ", ".join(f"{name} x{count}" for name, count in method.operators.items())
    yield from _labelled("  operators", listed or "none outside delegates")


def _signature(signature: TensorSignature) -> str:
    if signature.shape is None:
        return signature.dtype
    bound = " at most (dynamic)" if signature.dynamic else ""
    return f"{signature.dtype} {signature.shape}{bound}  {text.size(signature.size_bytes)}"


def exported_text(info: ExportedInfo, *, whole: bool) -> str:
    """Return all facts about an exported program."""
    made = f", exported by torch {info.torch_version}" if info.torch_version else ""
    head = [f"{info.name}  {text.size(info.size_bytes)}  sha256 {info.sha256[:16]}{made}"]
    for label, tensors in (("input", info.inputs), ("output", info.outputs)):
        head += [
            line for number, tensor in enumerate(tensors) for line in _labelled(f"{label} {number}", _exported(tensor))
        ]
    for dimension in info.dimensions:
        head += _labelled("dynamic", _bounds(dimension))
    head += _labelled("parameters", f"{info.parameters:,}, {text.size(info.parameter_bytes)}")
    if info.buffers:
        head += _labelled("buffers", f"{info.buffers:,} buffers and constants, {text.size(info.buffer_bytes)}")
    listed = ", ".join(f"{name} x{count}" for name, count in info.operators.items())
    head += _labelled("operators", listed or "none")
    if info.unsafe:
        head += _labelled("note", f"loading it would run code: {info.unsafe}; etui run needs --allow-pickle")
    return _joined([head, list(tree(info.sections, info.size_bytes, whole=whole))])


def _exported(tensor: ExportedTensor) -> str:
    shape = "" if tensor.shape is None else f" [{', '.join(map(str, tensor.shape))}]"
    return f"{tensor.name}: {tensor.dtype}{shape}" if tensor.name else f"{tensor.dtype}{shape}"


def _bounds(dimension: DynamicDimension) -> str:
    low = "0" if dimension.minimum is None else f"{dimension.minimum:,}"
    high = "no upper bound" if dimension.maximum is None else f"{dimension.maximum:,}"
    bounds = f"{low} or more, {high}" if dimension.maximum is None else f"{low} to {high}"
    example = f", {dimension.example:,} in the example" if dimension.example is not None else ""
    of = f" ({', '.join(dimension.inputs)})" if dimension.inputs else ""
    return f"{dimension.name} is {bounds}{example}{of}"


def _stages(document: RunDocument) -> Iterator[str]:
    rows = [
        (
            change.name,
            f"{change.nodes:,}",
            text.MISSING if change.seconds is None else text.number(change.seconds),
            _changed(change),
        )
        for change in changes(document.graph_stages)
    ]
    if rows:
        columns = [
            Column("stage"),
            Column("nodes", right=True),
            Column("seconds", right=True),
            Column("changes", wraps=True),
        ]
        yield from table(columns, rows).splitlines()


def _changed(change: StageChange) -> str:
    if change.first:
        return ""
    parts = [f"-{count:,} {name}" for name, count in list(change.removed.items())[:_FEW]]
    parts += [f"+{count:,} {name}" for name, count in list(change.added.items())[:_FEW]]
    left = len(change.removed) + len(change.added) - len(parts)
    return (", ".join(parts) or "nothing") + (f", {left} more" if left else "")


def _undelegated(document: RunDocument) -> Iterator[str]:
    delegation = document.delegation
    if delegation is None or not delegation.outside:
        return
    groups: dict[str, list[UndelegatedNode]] = {}
    for node in delegation.outside:
        groups.setdefault(node.operator, []).append(node)
    rows = [
        (name, f"{len(nodes):,}", f"{sum(node.breaks for node in nodes):,}", _places(nodes))
        for name, nodes in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    columns = [
        Column("undelegated"),
        Column("nodes", right=True),
        Column("breaks", right=True),
        Column("from", wraps=True),
    ]
    yield from table(columns, rows).splitlines()
    yield "breaks: nodes between delegated ones, which split the graph; each forces a delegate/CPU transition."


def _places(nodes: Sequence[UndelegatedNode]) -> str:
    """Return the modules with most nodes, repeated layers as one, and the source line of the first."""
    named = Counter(_starred(node) for node in nodes)
    modules = ", ".join(f"{name} x{count}" if count > 1 else name for name, count in named.most_common(2))
    more = f" and {len(named) - 2} more" if len(named) > 2 else ""
    first = named.most_common(1)[0][0]
    line = next((node.origin.stack[-1] for node in nodes if node.origin.stack and _starred(node) == first), "")
    return f"{modules}{more}" + (f"; {line}" if line else "")


def _starred(node: UndelegatedNode) -> str:
    module = ".".join("*" if part.isdecimal() else part for part in node.origin.module.split("."))
    return f"{module or 'the model'} ({node.origin.module_type})" if node.origin.module_type else module or "not known"


def _labelled(label: str, value: str) -> Iterator[str]:
    yield f"{label:<{_LABEL_WIDTH}}{value}"


def _share(count: int, size: int) -> str:
    return verdict_wording.part(count / size) if size else text.MISSING


def _short(name: str) -> str:
    return name if len(name) <= _LONG_NAME else f"{name[:16]}.."


def _joined(parts: Sequence[Sequence[str]]) -> str:
    return text.plain("\n\n".join("\n".join(part) for part in parts if part), keep_lines=True)
