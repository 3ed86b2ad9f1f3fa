"""The sections of a program's file by size, as a tree whose leaves sum to the file's size."""

from __future__ import annotations

from collections.abc import Iterable

from etui.insight import Section
from etui.programs.flatbuffer import DamagedFile
from etui.programs.program import Offsets, ProgramFile
from etui.text import counted

MOST_CHILDREN = 100
"""The number of largest entries of one section that are listed; the others are summed in one entry."""

_CHUNK = 1 << 22


class _Tree:
    """Sections in the order they are added. A parent's size is the sum of its parts."""

    def __init__(self) -> None:
        self.sections: list[Section] = []

    def leaf(self, path: str, size: int, detail: str = "") -> None:
        """Add a section without parts, unless it is empty."""
        if size:
            self.sections.append(Section(path=path, size_bytes=size, detail=detail))

    def parent(self, path: str, parts: list[tuple[str, int, str]], detail: str) -> None:
        """Add a section of parts, given as name, size in bytes and detail, the largest first. Repeated names get a
        number, since a path must identify one section."""
        if not parts:
            return
        self.sections.append(Section(path=path, size_bytes=sum(size for _, size, _ in parts), detail=detail))
        ordered = sorted(parts, key=lambda part: -part[1])
        rest = ordered[MOST_CHILDREN:]
        taken = {"others"} if rest else set()
        for full_name, size, part_detail in ordered[:MOST_CHILDREN]:
            name = _part(full_name)
            names = (name, *(f"{name} ({number})" for number in range(2, MOST_CHILDREN + 3)))
            name = next(candidate for candidate in names if candidate not in taken)
            taken.add(name)
            self.leaf(f"{path}/{name}", size, part_detail)
        self.leaf(f"{path}/others", sum(size for _, size, _ in rest), f"{len(rest)} smaller ones")


def sections(program: ProgramFile, buffer: memoryview) -> list[Section]:
    """Return the sections of a program's file. ``buffer`` is the file's bytes; the delegates' data is searched for the
    names of named data to find which delegate uses it.

    Raises:
        DamagedFile: sections overlap.
    """
    tree = _Tree()
    inline = sum(program.inline_constants) + sum(program.inline_delegates)
    if inline > program.program_bytes:
        raise DamagedFile(
            f"is damaged: {inline:,} bytes of data overlap within the {program.program_bytes:,} of its program",
            "lower the model again",
        )
    methods, instructions = len(program.methods), sum(method.instructions for method in program.methods)
    tree.leaf(
        "program",
        program.program_bytes - inline,
        f"{counted(methods, 'method')}, {counted(instructions, 'instruction')}",
    )
    owner: dict[int, str] = {}
    _constants(tree, program, owner)
    _delegates(tree, program, owner)
    _named(tree, program, buffer, owner)
    others = [
        (f"segment {index}", segment.size, "not referenced by the program")
        for index, segment in enumerate(program.segments)
        if index not in owner
    ]
    tree.parent("others", [part for part in others if part[1]], counted(len(others), "segment"))
    known = sum(section.size_bytes for section in tree.sections if "/" not in section.path)
    if known > program.size:
        raise DamagedFile(
            f"is damaged: its sections overlap: they take {known:,} of {program.size:,} bytes", "lower the model again"
        )
    tree.leaf("padding", program.size - known, "alignment between the sections")
    return tree.sections


def _constants(tree: _Tree, program: ProgramFile, owner: dict[int, str]) -> None:
    """Add the constants of undelegated operators, and the mutable tensors that have an initial value."""
    shapes = {index: shape for method in program.methods for index, shape in method.constants.items()}
    parts: list[tuple[str, int, str]] = []
    if program.constant is not None and program.constant.offsets:
        owner[program.constant.segment] = "constants"
        parts = _tensors(program, program.constant, shapes)
    parts += [
        (f"inline tensor {index}", size, shapes.get(index, ""))
        for index, size in enumerate(program.inline_constants)
        if size
    ]
    tree.parent("constants", parts, counted(len(parts), "tensor"))
    mutable: list[tuple[str, int, str]] = []
    for number, offsets in enumerate(program.mutable):
        if offsets.segment not in owner:
            owner[offsets.segment] = "mutable"
            prefix = f"{number} " if len(program.mutable) > 1 else ""
            mutable += [(f"{prefix}{name}", size, detail) for name, size, detail in _tensors(program, offsets, {})]
    tree.parent("mutable data", mutable, counted(len(mutable), "tensor"))


def _tensors(program: ProgramFile, offsets: Offsets, shapes: dict[int, str]) -> list[tuple[str, int, str]]:
    """Return the tensors of a segment as name, size up to the start of the next tensor, and shape."""
    size = program.segments[offsets.segment].size if offsets.segment < len(program.segments) else 0
    ends = [*offsets.offsets, size][1:]
    parts = [
        (f"tensor {index}", end - start, shapes.get(index, ""))
        for index, (start, end) in enumerate(zip(offsets.offsets, ends, strict=True))
        if 0 <= start < end <= size
    ]
    missing = size - sum(part[1] for part in parts)
    if missing < 0:
        return [("tensors", size, "")]
    return [*parts, ("unnamed", missing, "")] if missing else parts


def _delegates(tree: _Tree, program: ProgramFile, owner: dict[int, str]) -> None:
    parts: list[tuple[str, int, str]] = []
    several = len(program.methods) > 1
    numbers: dict[str, int] = {}
    for method in program.methods:
        for delegate in method.delegates:
            number = numbers[delegate.backend] = numbers.get(delegate.backend, -1) + 1
            name = f"{delegate.backend} {number}"
            detail = f"of {method.name}" if several else ""
            if delegate.segment is not None and delegate.segment < len(program.segments):
                if delegate.segment in owner:
                    continue
                owner[delegate.segment] = name
                parts.append((name, program.segments[delegate.segment].size, detail))
            elif delegate.inline is not None and -1 - delegate.inline not in owner:
                owner[-1 - delegate.inline] = name  # negative keys cannot collide with segment indices
                parts.append((name, dict(enumerate(program.inline_delegates)).get(delegate.inline, 0), detail))
    unreferenced = [(f"inline {index}", size, "not referenced by the program")
                    for index, size in enumerate(program.inline_delegates)
                    if size and -1 - index not in owner]  # fmt: skip
    tree.parent("delegates", [*parts, *unreferenced], counted(len(parts), "partition"))


def _named(tree: _Tree, program: ProgramFile, buffer: memoryview, owner: dict[int, str]) -> None:
    """Add named data (delegates' weights); the user of a blob is the delegate whose data contains its name."""
    users = {
        index: name
        for index, name in owner.items()
        if index >= 0 and name not in {"constants", "mutable"} and program.segments[index].size <= _CHUNK
    }
    blobs = {
        name: bytes(buffer[program.segments[index].offset :][: program.segments[index].size])
        for index, name in users.items()
    }
    parts: list[tuple[str, int, str]] = []
    for name, index in program.named:
        if index >= len(program.segments) or index in owner:
            continue
        owner[index] = "named"
        key = name.encode()
        # Searching a program with hundreds of subgraphs and weights would take minutes.
        by = [user for user, blob in blobs.items() if key in blob] if len(blobs) * len(program.named) < 50_000 else []
        detail = f"used by {by[0]}" + (f" and {len(by) - 1} more" if len(by) > 1 else "") if by else ""
        parts.append((name, program.segments[index].size, detail))
    tree.parent("named data", parts, counted(len(parts), "blob"))


def _part(name: str) -> str:
    """Return a name without path separators."""
    return name.replace("/", "|") or "unnamed"


def leaves(all_sections: Iterable[Section]) -> list[Section]:
    """Return the sections that have no parts; their sizes sum to the file's size."""
    listed = list(all_sections)
    parents = {section.path.rpartition("/")[0] for section in listed}
    return [section for section in listed if section.path not in parents]
