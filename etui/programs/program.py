"""Read the structure of a ``.pte`` file (methods, segments, names) from its flatbuffer without importing ExecuTorch.

Field numbers are those of ExecuTorch 1.5's ``schema/program.fbs``; the file's header is described in its
``schema/extended_header.h``.
"""

from __future__ import annotations

import math
from collections import Counter

import msgspec

from etui.insight import TensorKind, TensorSignature
from etui.programs.flatbuffer import DamagedFile, Reader, Table

MAGIC = b"ET12"
SCHEMA_VERSION = 0
"""The newest version of the schema that ExecuTorch 1.5 reads."""

SCALAR_TYPES = {
    0: ("uint8", 1),
    1: ("int8", 1),
    2: ("int16", 2),
    3: ("int32", 4),
    4: ("int64", 8),
    5: ("float16", 2),
    6: ("float32", 4),
    7: ("float64", 8),
    8: ("complex32", 4),
    9: ("complex64", 8),
    10: ("complex128", 16),
    11: ("bool", 1),
    12: ("qint8", 1),
    13: ("quint8", 1),
    14: ("qint32", 4),
    15: ("bfloat16", 2),
    27: ("uint16", 2),
    28: ("uint32", 4),
    29: ("uint64", 8),
}
"""Name and size in bytes of each ScalarType of ExecuTorch (``schema/scalar_type.fbs``)."""

_VALUES = (
    "", "none", "int", "bool", "float", "tensor", "string", "int list", "float list", "bool list", "tensor list",
    "optional tensor list",
)  # fmt: skip
_TENSOR = _VALUES.index("tensor")
_KERNEL_CALL, _DELEGATE_CALL = 1, 2
_STATIC_SHAPE = 0
_IN_SEGMENT = _EXTERNAL = 1
_EXTENDED = b"eh00"

_OTHERS = (
    (b"FT", "a data file (.ptd) that belongs to a program, not a program"),
    (b"BP", "a bundled program (.bpte), which contains a program and test inputs, not a program alone"),
    (b"ED", "an ETDump written by a traced run, not a program"),
)


class Segment(msgspec.Struct, frozen=True):
    """A block of data after the flatbuffer: its offset in the file and its size, in bytes."""

    offset: int
    size: int


class DelegateData(msgspec.Struct, frozen=True, kw_only=True):
    """One subgraph of a backend: ``segment`` is the index of its data segment, ``inline`` that of inline data."""

    backend: str
    segment: int | None = None
    inline: int | None = None


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One method. ``operators`` counts undelegated operator calls; ``constants`` maps a constant's index in the file to
    its type and shape as text; ``external`` are the names of tensors with their data in another file; ``planned`` is
    the size of each buffer in bytes. ``fixed`` maps the index of an input that is None, a number or a boolean to its
    value: the runtime accepts no other."""

    name: str
    inputs: list[TensorSignature]
    outputs: list[TensorSignature]
    delegates: list[DelegateData]
    operators: dict[str, int]
    instructions: int
    planned: list[int]
    constants: dict[int, str]
    external: list[str]
    fixed: dict[int, bool | int | float | None] = {}


FORWARD = "forward"
"""The method that is measured unless another is requested; a program's only method is measured under any name."""


def signature_text(method: Method) -> str:
    """Return a method with its inputs, such as ``encode(float32 [1, 16])``."""
    inputs = (f"{each.dtype} {each.shape}" if each.shape is not None else each.dtype for each in method.inputs)
    return f"{method.name}({', '.join(inputs)})"


class Offsets(msgspec.Struct, frozen=True):
    """The tensors of one segment: its index, and the offset of each tensor in it."""

    segment: int
    offsets: tuple[int, ...]


class ProgramFile(msgspec.Struct, frozen=True, kw_only=True):
    """The structure of a file. ``program_bytes`` is the size of the flatbuffer with its header, before the segments;
    ``named`` pairs names with segment indices; the inline lists are sizes in bytes of data in the flatbuffer."""

    size: int
    version: int
    program_bytes: int
    methods: list[Method]
    segments: list[Segment]
    constant: Offsets | None
    mutable: list[Offsets]
    named: list[tuple[str, int]]
    inline_constants: list[int]
    inline_delegates: list[int]


def root_table(buffer: memoryview) -> tuple[Table, int, int]:
    """Return the root table of a program, the size of its flatbuffer, and the offset of its segments, in bytes.

    Raises:
        DamagedFile: it is not a program, has an unsupported format, or is truncated.
    """
    size = len(buffer)
    head = bytes(buffer[:64])
    if head[4:8] != MAGIC:
        raise DamagedFile(*_other_format(head))
    program_bytes, base, declared = _header(head, size)
    if declared > size:
        raise DamagedFile(f"is truncated: it has {size:,} of {declared:,} bytes", "copy it again")
    reader = Reader(buffer[:program_bytes])
    root = reader.root()
    version = root.number(0, "I")
    if version > SCHEMA_VERSION:
        raise DamagedFile(
            f"has a newer schema: version {version}; ExecuTorch 1.5 reads versions up to {SCHEMA_VERSION}",
            "lower the model again with ExecuTorch 1.5",
        )
    return root, program_bytes, base


def read_program(buffer: memoryview) -> ProgramFile:
    """Read the structure of a program without reading its data.

    Raises:
        DamagedFile: it is not a program, has an unsupported format, is truncated or inconsistent.
    """
    root, program_bytes, base = root_table(buffer)
    size = len(buffer)
    segments = [Segment(base + table.number(0, "Q"), table.number(1, "Q")) for table in root.tables(4)]
    for segment in segments:
        if segment.offset + segment.size > size:
            raise DamagedFile(
                f"is truncated or damaged: a segment ends at byte {segment.offset + segment.size:,} of {size:,}",
                "copy it again",
            )
    mutable = [_offsets(table) for table in root.tables(6)]
    constant = root.table(5)
    return ProgramFile(
        size=size,
        version=root.number(0, "I"),
        program_bytes=program_bytes,
        methods=[_method(plan) for plan in root.tables(1)],
        segments=segments,
        constant=_offsets(constant) if constant is not None else None,
        mutable=mutable,
        named=[(table.text(0), table.number(1, "I")) for table in root.tables(7)],
        inline_constants=[storage.data(0) for storage in root.tables(2)],
        inline_delegates=[data.data(0) for data in root.tables(3)],
    )


def _other_format(head: bytes) -> tuple[str, str]:
    """Describe a file that is not a program of this format, and return what to do."""
    if not head:
        return "is empty", "lower the model again"
    kind = head[4:8]
    if kind[:2] == b"ET" and kind[2:].isdigit():
        return (
            f"is a program in another file format ({kind.decode()}; ExecuTorch 1.5 reads {MAGIC.decode()})",
            "lower the model again with ExecuTorch 1.5",
        )
    for mark, name in _OTHERS:
        if kind[:2] == mark and kind[2:].isdigit():
            return f"is {name}", "give a .pte file"
    if head[:2] == b"PK":
        return "is a zip archive, such as torch.save and torch.export.save write, not a program", "give a .pte file"
    return "is not an ExecuTorch program (it has no file identifier ET12)", "give a .pte file"


def _header(head: bytes, size: int) -> tuple[int, int, int]:
    """Return the flatbuffer's size, the base offset of segments, and the declared file size, all in bytes; without an
    extended header the whole file is the flatbuffer."""
    if head[8:12] != _EXTENDED or len(head) < 32:
        return size, size, size
    length = int.from_bytes(head[12:16], "little")
    program, base = (int.from_bytes(head[place : place + 8], "little") for place in (16, 24))
    data = int.from_bytes(head[32:40], "little") if length > 24 else 0
    return program, base or program, max(program, base + data)


def _offsets(table: Table) -> Offsets:
    return Offsets(table.number(0, "I"), table.numbers(1, "Q"))


def _method(plan: Table) -> Method:
    constants: dict[int, str] = {}
    external: list[str] = []
    for value in plan.tables(2):
        if value.number(0, "B") != _TENSOR or (tensor := value.table(1)) is None:
            continue
        extra = tensor.table(9)
        if extra is not None and extra.number(2, "b") == _EXTERNAL:
            external.append(extra.text(1))
        elif (index := tensor.number(5, "I")) and tensor.table(6) is None:
            constants[index] = " ".join(map(str, _type_and_shape(tensor)[:2]))
    names = [_operator(table) for table in plan.tables(6)]
    calls: Counter[str] = Counter()
    instructions = 0
    for chain in plan.tables(5):
        for instruction in chain.tables(2):
            instructions += 1
            if instruction.number(0, "B") == _KERNEL_CALL and (call := instruction.table(1)) is not None:
                index = call.number(0)
                if not 0 <= index < len(names):
                    raise DamagedFile(f"is damaged: it calls operator {index} of {len(names)}", "lower the model again")
                calls[names[index]] += 1
    planned = list(plan.numbers(8, "q"))
    if any(size < 0 for size in planned):
        raise DamagedFile(f"is damaged: it plans a buffer of {min(planned):,} bytes", "lower the model again")
    return Method(
        name=plan.text(0),
        inputs=[_signature(plan, "input", number, place) for number, place in enumerate(plan.numbers(3, "i"))],
        outputs=[_signature(plan, "output", number, place) for number, place in enumerate(plan.numbers(4, "i"))],
        delegates=[_delegate(table) for table in plan.tables(7)],
        operators=dict(calls.most_common()),
        instructions=instructions,
        planned=planned,
        constants=constants,
        external=external,
        fixed=_fixed_inputs(plan),
    )


def _fixed_inputs(plan: Table) -> dict[int, bool | int | float | None]:
    fixed: dict[int, bool | int | float | None] = {}
    for number, place in enumerate(plan.numbers(3, "i")):
        value = plan.element(2, place)
        kind = _VALUES[value.number(0, "B")] if value is not None and value.number(0, "B") < len(_VALUES) else ""
        content = value.table(1) if value is not None else None
        if kind == "none":
            fixed[number] = None
        elif kind == "int" and content is not None:
            fixed[number] = content.number(0, "q")
        elif kind == "bool" and content is not None:
            fixed[number] = bool(content.number(0, "B"))
        elif kind == "float" and content is not None:
            fixed[number] = content.number(0, "d")
    return fixed


def _operator(table: Table) -> str:
    name, overload = table.text(0).replace("::", "."), table.text(1)
    return f"{name}.{overload}" if overload else name


def _delegate(table: Table) -> DelegateData:
    where = table.table(1)
    index = where.number(1, "I") if where is not None else None
    if where is not None and where.number(0, "b") == _IN_SEGMENT:
        return DelegateData(backend=table.text(0), segment=index)
    return DelegateData(backend=table.text(0), inline=index)


def _signature(plan: Table, kind: TensorKind, number: int, place: int) -> TensorSignature:
    value = plan.element(2, place)
    if value is None:
        raise DamagedFile(f"is damaged: {kind} {number} references a missing value", "lower the model again")
    type_ = value.number(0, "B")
    tensor = value.table(1) if type_ == _TENSOR else None
    if tensor is None:
        name = _VALUES[type_] if 0 < type_ < len(_VALUES) else "unknown"
        return TensorSignature(kind=kind, index=number, dtype=name)
    dtype, shape, size = _type_and_shape(tensor)
    dynamic = tensor.number(8, "b") != _STATIC_SHAPE
    return TensorSignature(kind=kind, index=number, dtype=dtype, shape=shape, size_bytes=size, dynamic=dynamic)


def _type_and_shape(tensor: Table) -> tuple[str, list[int], int | None]:
    """Return a tensor's dtype, its shape (the upper bound of dynamic dimensions), and its size in bytes."""
    scalar = tensor.number(0, "b")
    name, width = SCALAR_TYPES.get(scalar, (f"type {scalar}", 0))
    shape = list(tensor.numbers(2, "i"))
    if any(size < 0 for size in shape):
        raise DamagedFile(f"is damaged: it has a tensor with a dimension of {min(shape):,}", "lower the model again")
    return name, shape, math.prod(shape) * width if width else None
