"""Where a program's bytes go: its sections as a tree whose leaves sum to the file's size."""

from __future__ import annotations

from collections.abc import Iterable

from etui.insight import Section
from etui.programs.flatbuffer import DamagedFile
from etui.programs.program import Offsets, ProgramFile
from etui.text import counted

MOST_CHILDREN = 100
"""The largest entries of one section are listed; those beyond are summed in one line."""

_CHUNK = 1 << 22


class _Tree:
    """Sections in the order they are put in. A parent's size is the sum of what is put below it."""

    def __init__(self) -> None:
        self.sections: list[Section] = []

    def leaf(self, path: str, size: int, detail: str = "") -> None:
        """A section without parts, unless it is empty."""
        if size:
            self.sections.append(Section(path=path, size_bytes=size, detail=detail))

    def parent(self, path: str, parts: list[tuple[str, int, str]], detail: str) -> None:
        """A section of parts, given as name, bytes and detail; the largest first. Of parts with the same name those
        behind the first have a number behind it, for a path names one section alone."""
        if not parts:
            return
        self.sections.append(Section(path=path, size_bytes=sum(size for _, size, _ in parts), detail=detail))
        ordered = sorted(parts, key=lambda part: -part[1])
        rest = ordered[MOST_CHILDREN:]
        taken = {"others"} if rest else set()
        for whole, size, words in ordered[:MOST_CHILDREN]:
            name = _part(whole)
            names = (name, *(f"{name} ({number})" for number in range(2, MOST_CHILDREN + 3)))
            name = next(one for one in names if one not in taken)
            taken.add(name)
            self.leaf(f"{path}/{name}", size, words)
        self.leaf(f"{path}/others", sum(size for _, size, _ in rest), f"{len(rest)} smaller ones")


def sections(program: ProgramFile, buffer: memoryview) -> list[Section]:
    """The sections of a program's file. ``buffer`` is the file's bytes, looked through for the names of named data in
    the delegates' data, which tells whose they are.

    Raises:
        DamagedFile: sections overlap.
    """
    tree = _Tree()
    inline = sum(program.inline_constants) + sum(program.inline_delegates)
    if inline > program.program_bytes:
        raise DamagedFile(
            f"is damaged: {inline:,} bytes of data overlap within the {program.program_bytes:,} of its program",
            "lower it again",
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
        (f"segment {index}", segment.size, "nothing in the program names it")
        for index, segment in enumerate(program.segments)
        if index not in owner
    ]
    tree.parent("others", [part for part in others if part[1]], counted(len(others), "segment"))
    known = sum(section.size_bytes for section in tree.sections if "/" not in section.path)
    if known > program.size:
        raise DamagedFile(
            f"is damaged: its sections overlap, and hold {known:,} bytes of {program.size:,}", "lower it again"
        )
    tree.leaf("padding", program.size - known, "between the sections, so that each can be mapped")
    return tree.sections


def _constants(tree: _Tree, program: ProgramFile, owner: dict[int, str]) -> None:
    """Weights that operators outside of delegates use, and tensors that change but begin with a value."""
    words = {index: shape for method in program.methods for index, shape in method.constants.items()}
    parts: list[tuple[str, int, str]] = []
    if program.constant is not None and program.constant.offsets:
        owner[program.constant.segment] = "constants"
        parts = _tensors(program, program.constant, words)
    parts += [
        (f"inline tensor {index}", size, words.get(index, ""))
        for index, size in enumerate(program.inline_constants)
        if size
    ]
    tree.parent("constants", parts, counted(len(parts), "tensor"))
    changing: list[tuple[str, int, str]] = []
    for number, offsets in enumerate(program.mutable):
        if offsets.segment not in owner:
            owner[offsets.segment] = "mutable"
            several = f"{number} " if len(program.mutable) > 1 else ""
            changing += [(f"{several}{name}", size, told) for name, size, told in _tensors(program, offsets, {})]
    tree.parent("mutable data", changing, counted(len(changing), "tensor"))


def _tensors(program: ProgramFile, offsets: Offsets, words: dict[int, str]) -> list[tuple[str, int, str]]:
    """The tensors of a segment; each with the room up to the next one's begin."""
    size = program.segments[offsets.segment].size if offsets.segment < len(program.segments) else 0
    ends = [*offsets.offsets, size][1:]
    parts = [
        (f"tensor {index}", end - start, words.get(index, ""))
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
            words = f"of {method.name}" if several else ""
            if delegate.segment is not None and delegate.segment < len(program.segments):
                if delegate.segment in owner:
                    continue
                owner[delegate.segment] = name
                parts.append((name, program.segments[delegate.segment].size, words))
            elif delegate.inline is not None and -1 - delegate.inline not in owner:
                owner[-1 - delegate.inline] = name  # below zero, where no segment's number is
                parts.append((name, dict(enumerate(program.inline_delegates)).get(delegate.inline, 0), words))
    loose = [(f"inline {index}", size, "nothing names it") for index, size in enumerate(program.inline_delegates)
             if size and -1 - index not in owner]  # fmt: skip
    tree.parent("delegates", [*parts, *loose], counted(len(parts), "subgraph"))


def _named(tree: _Tree, program: ProgramFile, buffer: memoryview, owner: dict[int, str]) -> None:
    """Data under a name: a delegate's weights, found by the name in its own data."""
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
        mark = name.encode()
        # A program of hundreds of subgraphs and weights would be searched for minutes.
        by = [user for user, blob in blobs.items() if mark in blob] if len(blobs) * len(program.named) < 50_000 else []
        told = f"used by {by[0]}" + (f" and {len(by) - 1} more" if len(by) > 1 else "") if by else ""
        parts.append((name, program.segments[index].size, told))
    tree.parent("named data", parts, counted(len(parts), "blob"))


def _part(name: str) -> str:
    """A name as one part of a path."""
    return name.replace("/", "|") or "unnamed"


def leaves(found: Iterable[Section]) -> list[Section]:
    """The sections that have no parts; their sizes sum to the file's."""
    listed = list(found)
    parents = {section.path.rpartition("/")[0] for section in listed}
    return [section for section in listed if section.path not in parents]
