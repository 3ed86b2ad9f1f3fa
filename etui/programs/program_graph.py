"""Read the graph of a method of a ``.pte`` file: its undelegated operators and its partitions with their data flow.

The format names no results. Every value is written before it is read, so the tensors that an instruction is the first
to use are its results, except inputs and constants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from etui.insight import TensorSignature
from etui.model_graph import GraphTensor, GroupCall, ModelGraph, OperatorNode
from etui.programs.flatbuffer import DamagedFile, Table
from etui.programs.program import FORWARD, DelegateData, Method, ProgramFile, read_program, root_table
from etui.programs.xnnpack import node_kinds

_TENSOR, _TENSOR_LIST, _OPTIONAL_TENSOR_LIST = 5, 10, 11
_KERNEL_CALL, _DELEGATE_CALL, _MOVE_CALL, _JUMP = 1, 2, 3, 4
_XNNPACK = "XnnpackBackend"

PARTITION = "partition "
"""The beginning of the path of a partition in a graph, before its number."""


def read_graph(buffer: memoryview, name: str, method: str | None = None) -> ModelGraph:
    """Return the graph of a method: the requested one, or that of an inference.

    Raises:
        DamagedFile: it is not a program, it is damaged, or it has no such method.
    """
    program = read_program(buffer)
    number = _chosen(program.methods, method)
    root, _, _ = root_table(buffer)
    plan = root.element(1, number)
    if plan is None:
        raise DamagedFile("is damaged: a method is missing", "lower the model again")
    return _Reader(program, program.methods[number], plan, buffer).graph(name)


def _chosen(methods: list[Method], requested: str | None) -> int:
    names = [method.name for method in methods]
    wanted = requested or (FORWARD if FORWARD in names or len(names) != 1 else names[0])
    if wanted not in names:
        raise DamagedFile(f"has no method {wanted}; it has {', '.join(names) or 'none'}")
    return names.index(wanted)


class _Reader:
    """Reads the instructions of one method."""

    def __init__(self, program: ProgramFile, method: Method, plan: Table, buffer: memoryview) -> None:
        self._program = program
        self._method = method
        self._buffer = buffer
        self._values = list(plan.tables(2))
        self._operators = [_operator_name(table) for table in plan.tables(6)]
        self._plan = plan
        self._groups: list[GroupCall] = [GroupCall(path="", type=method.name)]
        self._nodes: list[OperatorNode] = []
        self._notes: dict[str, None] = {}
        self._inputs = list(plan.numbers(3, "i"))
        self._input_of = {place: number for number, place in enumerate(self._inputs)}
        self._writer: dict[int, int] = {}
        self._known = set(self._inputs) | self._constants()

    def graph(self, name: str) -> ModelGraph:
        """Return the graph."""
        for chain in self._plan.tables(5):
            for instruction in chain.tables(2):
                self._instruction(instruction.number(0, "B"), instruction.table(1))
        signatures = zip(self._method.outputs, self._plan.numbers(4, "i"), strict=True)
        return ModelGraph(
            name=name,
            title=f"method {self._method.name}",
            of="program",
            groups=self._groups,
            nodes=self._nodes,
            inputs=[_tensor(each, f"input {number}") for number, each in enumerate(self._method.inputs, 1)],
            outputs=[self._output(each, place, number) for number, (each, place) in enumerate(signatures, 1)],
            notes=list(self._notes),
        )

    def _instruction(self, kind: int, call: Table | None) -> None:
        if call is None:
            return
        if kind == _KERNEL_CALL:
            index = call.number(0)
            if not 0 <= index < len(self._operators):
                raise DamagedFile(f"is damaged: it calls operator {index}", "lower the model again")
            self._add(self._operators[index], 0, call.numbers(1, "i"))
        elif kind == _DELEGATE_CALL:
            self._partition(call.number(0), call.numbers(1, "i"))
        elif kind == _MOVE_CALL:
            source, target = call.number(0), call.number(1)
            if source in self._writer:
                self._writer[target] = self._writer[source]
            self._known.add(target)
        elif kind == _JUMP:
            self._notes["The program has branches or loops, which the diagram does not show."] = None

    def _partition(self, index: int, args: tuple[int, ...]) -> None:
        delegates = self._method.delegates
        if not 0 <= index < len(delegates):
            raise DamagedFile(f"is damaged: it calls partition {index} of {len(delegates)}", "lower the model again")
        backend = delegates[index].backend
        self._groups.append(GroupCall(path=f"{PARTITION}{index}", type=backend, parent=0, delegated=True))
        self._add(backend, len(self._groups) - 1, args, contents=self._contents(index))

    def _add(self, operator: str, group: int, args: tuple[int, ...], contents: dict[str, int] | None = None) -> None:
        tensors = list(dict.fromkeys(value for place in args for value in self._tensors(place)))
        read = [value for value in tensors if value in self._known]
        node = len(self._nodes)
        self._nodes.append(
            OperatorNode(
                operator=operator,
                group=group,
                inputs=list(dict.fromkeys(self._writer[value] for value in read if value in self._writer)),
                model_inputs=[self._input_of[value] for value in read if self._is_unchanged_input(value)],
                contents=contents or {},
            )
        )
        # The name of an operator that changes its first argument in place ends with an underscore.
        changed = tensors[:1] if any(part.endswith("_") for part in operator.split(".")) else []
        for value in (*changed, *(value for value in tensors if value not in self._known)):
            self._writer[value] = node
        self._known.update(tensors)

    def _is_unchanged_input(self, value: int) -> bool:
        return value in self._input_of and value not in self._writer

    def _output(self, signature: TensorSignature, place: int, number: int) -> GraphTensor:
        sources = list(dict.fromkeys(self._writer[value] for value in self._tensors(place) if value in self._writer))
        inputs = [self._input_of[place]] if self._is_unchanged_input(place) else []
        return _tensor(signature, f"output {number}", sources=sources, model_inputs=inputs)

    def _constants(self) -> set[int]:
        """Return the tensors that have data in the file, or that an earlier inference may have changed."""
        found = set()
        for index, value in enumerate(self._values):
            tensor = value.table(1) if value.number(0, "B") == _TENSOR else None
            if tensor is not None and (tensor.number(5, "I") or tensor.table(9) is not None):
                found.add(index)
        return found

    def _tensors(self, place: int) -> Iterator[int]:
        """Yield the tensors of a value: itself, or those of a list."""
        if not 0 <= place < len(self._values):
            return
        kind = self._values[place].number(0, "B")
        if kind == _TENSOR:
            yield place
        elif kind in (_TENSOR_LIST, _OPTIONAL_TENSOR_LIST) and (items := self._values[place].table(1)) is not None:
            for item in items.numbers(0, "i"):
                if 0 <= item < len(self._values) and self._values[item].number(0, "B") == _TENSOR:
                    yield item

    def _contents(self, index: int) -> dict[str, int]:
        """Return the operators inside a partition of XNNPACK; empty for other backends, whose formats are their own."""
        data = xnnpack_data(self._program, self._method.delegates[index], self._buffer)
        if data is None:
            return {}
        try:
            kinds = node_kinds(data)
        except DamagedFile:
            return {}
        return dict(Counter(kind or "other" for kind, _ in kinds).most_common())


def xnnpack_data(program: ProgramFile, partition: DelegateData, buffer: memoryview) -> bytes | None:
    """Return the serialized subgraph of a partition of XNNPACK; None for other backends, whose formats are their own,
    and if it is not in a segment of the file."""
    if partition.backend != _XNNPACK or partition.segment is None:
        return None
    if not 0 <= partition.segment < len(program.segments):
        return None
    segment = program.segments[partition.segment]
    return bytes(buffer[segment.offset : segment.offset + segment.size])


def _operator_name(table: Table) -> str:
    name, overload = table.text(0).replace("::", "."), table.text(1)
    return f"{name}.{overload}" if overload else name


def _tensor(
    signature: TensorSignature, name: str, *, sources: list[int] | None = None, model_inputs: list[int] | None = None
) -> GraphTensor:
    return GraphTensor(
        name=name,
        dtype=signature.dtype,
        shape=list(signature.shape or ()),
        sources=sources or [],
        model_inputs=model_inputs or [],
    )
