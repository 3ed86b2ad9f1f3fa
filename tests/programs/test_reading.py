"""Reading program files: the same content as ExecuTorch's reader, and robust to arbitrary bytes."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etui.errors import UsageError
from etui.insight import Section
from etui.programs.files import mapped, sections_of
from etui.programs.flatbuffer import DamagedFile
from etui.programs.program import Offsets, ProgramFile, Segment, read_program
from etui.programs.program_graph import read_graph
from etui.programs.sections import leaves, sections
from etui.wording.diagram import diagram

NAMES = ("xnnpack", "plain", "vulkan", "outside", "two")


def read(path: Path) -> tuple[ProgramFile, list[Section]]:
    with mapped(path) as buffer:
        program = read_program(buffer)
        return program, sections(program, buffer)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_reader_agrees_with_executorch(made: Path, name: str) -> None:
    from executorch.exir._serialize._program import deserialize_pte_binary

    data = (made / f"{name}.pte").read_bytes()
    theirs = deserialize_pte_binary(data).program
    ours, _ = read(made / f"{name}.pte")
    assert [method.name for method in ours.methods] == [plan.name for plan in theirs.execution_plan]
    for method, plan in zip(ours.methods, theirs.execution_plan, strict=True):
        assert [one.backend for one in method.delegates] == [one.id for one in plan.delegates]
        assert method.planned == plan.non_const_buffer_sizes
        assert method.instructions == sum(len(chain.instructions) for chain in plan.chains)
        for signatures, places in ((method.inputs, plan.inputs), (method.outputs, plan.outputs)):
            values = [plan.values[place].val for place in places]
            assert [one.shape for one in signatures] == [list(value.sizes) for value in values]
            assert {one.dtype for one in signatures} == {"float32"}
        called = [
            plan.operators[instruction.instr_args.op_index].name.replace("::", ".")
            for chain in plan.chains
            for instruction in chain.instructions
            if type(instruction.instr_args).__name__ == "KernelCall"
        ]
        assert sum(method.operators.values()) == len(called)
        assert {name.rpartition(".")[0] for name in method.operators} == set(called)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_sections_sum_to_the_file_size_and_parents_to_their_parts(made: Path, name: str) -> None:
    path = made / f"{name}.pte"
    file_sections = sections_of(path)
    assert sum(one.size_bytes for one in leaves(file_sections)) == path.stat().st_size
    for parent in file_sections:
        parts = [one for one in file_sections if one.path.rpartition("/")[0] == parent.path]
        assert not parts or sum(one.size_bytes for one in parts) == parent.size_bytes


@pytest.mark.slow
def test_section_paths_are_unique(made: Path) -> None:
    by_path = {one.path: one for one in sections_of(made / "two.pte")}
    assert len(by_path) == len(sections_of(made / "two.pte"))
    parts = [one for path, one in by_path.items() if path.startswith("delegates/")]
    assert {one.detail: one.path for one in parts} == {
        "of encode": "delegates/XnnpackBackend 0", "of forward": "delegates/XnnpackBackend 1",
    }  # fmt: skip
    weights = {32 * 24 * 4: "XnnpackBackend 1", 8 * 24 * 4: "XnnpackBackend 0"}
    named = {one.size_bytes: one.detail for path, one in by_path.items() if path.startswith("named data/")}
    assert {size: named[size] for size in weights} == {size: f"used by {name}" for size, name in weights.items()}


@pytest.mark.slow
def test_repeated_names_are_numbered(made: Path) -> None:
    program, _ = read(made / "xnnpack.pte")
    (name, first), (_, second) = program.named
    twice = msgspec.structs.replace(program, named=[(name, first), (name, second)])
    with mapped(made / "xnnpack.pte") as buffer:
        numbered = [one.path for one in sections(twice, buffer) if one.path.startswith("named data/")]
    assert numbered == [f"named data/{name}", f"named data/{name} (2)"]


@pytest.mark.slow
def test_weights_are_listed_in_their_section(made: Path) -> None:
    weights = 24 * 32 * 4
    by_path = {one.path: one for one in sections_of(made / "plain.pte")}
    assert any(one.size_bytes == weights and "[32, 24]" in one.detail for one in by_path.values())
    named = [one for one in sections_of(made / "xnnpack.pte") if one.path.startswith("named data/")]
    assert any(one.size_bytes == weights and one.detail == "used by XnnpackBackend 0" for one in named)
    program, file_sections = read(made / "outside.pte")
    assert sorted(program.methods[0].external) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    assert not any(one.size_bytes >= weights for one in file_sections if one.path != "program")


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_file_is_refused_or_sizes_are_consistent(made: Path, data: st.DataObject) -> None:
    whole = bytearray((made / data.draw(st.sampled_from(["xnnpack.pte", "plain.pte"]))).read_bytes())
    flatbuffer = int.from_bytes(whole[16:24], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, flatbuffer - 4))
        whole[place : place + 4] = data.draw(st.integers(0, 2**32 - 1)).to_bytes(4, "little")
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(whole))))
    view = memoryview(bytes(whole[:cut]))
    try:
        program = read_program(view)
        file_sections = sections(program, view)
    except DamagedFile as error:
        assert str(error).startswith(("is ", "has ", "cannot"))
    else:
        assert sum(one.size_bytes for one in leaves(file_sections)) == len(view)


def test_other_file_formats_are_named(tmp_path: Path) -> None:
    for content, message in (
        (b"", "is empty"),
        (b"PK\x03\x04 and so on, an archive", "zip archive"),
        (b"\0\0\0\0FT01" + bytes(60), ".ptd"),
        (b"\0\0\0\0BP08" + bytes(60), "bundled program"),
        (b"\0\0\0\0ET13" + bytes(60), "another file format (ET13; ExecuTorch 1.5 reads ET12)"),
        (b"neither this nor that, and long enough", "not an ExecuTorch program"),
    ):
        file = tmp_path / "file"
        file.write_bytes(content)
        with pytest.raises(DamagedFile, match=message.replace("(", r"\(").replace(")", r"\)")):
            sections_of(file)


def test_overlapping_data_is_damage_not_a_negative_size() -> None:
    tables, data = 20, 1000
    places = [4 * (tables - number) + 8 for number in range(tables)]  # all to the one table after the list
    shared = struct.pack("<HHHxxiI", 6, 8, 4, 8, 4) + struct.pack("<I", data) + bytes(data)
    root = struct.pack("<I4s5HxxiI", 20, b"ET12", 10, 8, 0, 0, 4, 12, 4)
    content = root + struct.pack(f"<I{tables}I", tables, *places) + shared
    view = memoryview(content)
    program = read_program(view)
    assert program.inline_constants == [data] * tables and sum(program.inline_constants) > len(content)
    with pytest.raises(DamagedFile, match="20,000 bytes of data overlap within the 1,"):
        sections(program, view)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (struct.pack("<I2i", 2, 2, 24), struct.pack("<I2i", 2, -2, 24), "a tensor with a dimension of -2"),
        (b"planned", b"", "plans a buffer of -5 bytes"),
    ],
)
def test_negative_sizes_are_damage(made: Path, old: bytes, new: bytes, message: str) -> None:
    content = (made / "xnnpack.pte").read_bytes()
    if old == b"planned":
        size = sum(read_program(memoryview(content)).methods[0].planned)
        old, new = struct.pack("<q", size), struct.pack("<q", -5)
    assert old in content
    with pytest.raises(DamagedFile, match=message):
        read_program(memoryview(content.replace(old, new)))


def test_mutable_data_segment_without_tensors_is_unnamed() -> None:
    program = ProgramFile(
        size=148,
        version=0,
        program_bytes=100,
        methods=[],
        segments=[Segment(100, 48)],
        constant=None,
        mutable=[Offsets(0, ())],
        named=[],
        inline_constants=[],
        inline_delegates=[],
    )
    sizes = {one.path: one.size_bytes for one in sections(program, memoryview(bytes(148)))}
    assert sizes["mutable data"] == sizes["mutable data/unnamed"] == 48


# The graph


def operators(file: Path, method: str | None = None) -> list[tuple[str, list[int], list[int]]]:
    graph = read_graph(memoryview(file.read_bytes()), file.name, method)
    return [(node.operator, node.inputs, node.model_inputs) for node in graph.nodes]


@pytest.mark.slow
def test_the_graph_of_a_partition_and_what_follows_it(made: Path) -> None:
    graph = read_graph(memoryview((made / "xnnpack.pte").read_bytes()), "xnnpack.pte")
    assert [(group.type, group.delegated) for group in graph.groups] == [("forward", False), ("XnnpackBackend", True)]
    assert operators(made / "xnnpack.pte") == [
        ("XnnpackBackend", [], [0]),
        ("aten.native_layer_norm.out", [0], []),
    ]
    assert graph.nodes[0].contents["FullyConnected"] == 1
    assert (graph.outputs[0].sources, graph.outputs[0].shape) == ([1], [2, 32])
    drawn = diagram(graph)
    assert [box.value for box in drawn.boxes] == ["", "delegated", "1 undelegated", ""]
    assert drawn.edges == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.slow
def test_the_graph_of_a_program_without_a_delegate(made: Path) -> None:
    chain = operators(made / "plain.pte")
    assert [name for name, _, _ in chain][-2:] == ["aten.relu.out", "aten.native_layer_norm.out"]
    assert chain[-1][1] == [len(chain) - 2]


@pytest.mark.slow
def test_the_graph_of_a_method(made: Path) -> None:
    assert [name for name, _, _ in operators(made / "two.pte", "encode")] == ["XnnpackBackend"]
    assert len(operators(made / "two.pte")) == 2
    with pytest.raises(UsageError, match="no method other"):
        operators(made / "two.pte", "other")


@pytest.mark.slow
def test_the_graph_of_a_damaged_program_is_refused(made: Path) -> None:
    whole = (made / "xnnpack.pte").read_bytes()
    for size in (0, 40, 200, len(whole) // 2):
        with pytest.raises(UsageError):
            read_graph(memoryview(whole[:size]), "xnnpack.pte")
    for position in range(32, 1200, 31):
        broken = bytearray(whole)
        broken[position] ^= 0xFF
        try:
            diagram(read_graph(memoryview(bytes(broken)), "xnnpack.pte"))
        except UsageError:
            continue
