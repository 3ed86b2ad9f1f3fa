"""Program profiles: the ETDump is read as ExecuTorch reads it, and operators are attributed to their modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.engine.models.bundle import Bundle
from etui.engine.profile.etdump import DELEGATE, METHOD, TracedEvent, read_inferences
from etui.engine.profile.operator_events import OperatorEvents
from etui.engine.runtime.execution import LoadedProgram, RuntimeFailure
from etui.engine.runtime.input_dtypes import program_inputs
from etui.insight import Origin
from etui.programs.source_map import SourceMap, Subgraph, read_source_map
from etui.programs.xnnpack import match_events
from tests.engine.conftest import TINY, Workshop

CONVOLUTIONAL = f"{TINY}:convolutional"
INDEXED = f"{TINY}:indexed"


def traced(workshop: Workshop, model: str, precision: str, delegate: str, times: int = 2) -> tuple[Path, bytes]:
    """Return a program's folder and the ETDump of some of its inferences."""
    bundle = workshop.bundle(model)
    lowered = workshop.lower(model, bundle, precision, delegate)
    path = Path(lowered.path)
    program = LoadedProgram(path, delegate=delegate, trace=True)
    inputs = program_inputs(Bundle.open(Path(bundle.path), model).inputs()[0], precision)
    for _ in range(times):
        program(program.fit(inputs))
    dump = workshop.cache_dir / "program.etdp"
    program.write_etdump(dump)
    return path.parent, dump.read_bytes()


@pytest.mark.slow
def test_etdump_reader_agrees_with_executorch(workshop: Workshop) -> None:
    from executorch.devtools.etdump.serialize import deserialize_from_etdump_flatcc

    _, dump = traced(workshop, INDEXED, "int8", "xnnpack", times=3)
    theirs = [run.events or [] for run in deserialize_from_etdump_flatcc(dump).run_data if run.name == "Execute"]
    ours = read_inferences(dump)
    assert len(ours) == 3
    assert ours == [
        [
            TracedEvent(
                event.profile_event.name or "",
                event.profile_event.delegate_debug_id_str or "",
                event.profile_event.chain_index,
                event.profile_event.instruction_id,
                event.profile_event.start_time,
                event.profile_event.end_time,
            )
            for event in events
            if event.profile_event is not None
        ]
        for events in theirs
    ]


def test_other_data_than_an_etdump_is_refused() -> None:
    with pytest.raises(RuntimeFailure, match="no ETDump"):
        read_inferences(b"nothing of the kind")
    with pytest.raises(RuntimeFailure, match="cannot read"):
        read_inferences(b"\x10\x00\x00\x00ED00" + b"\xff" * 16)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_delegated_operators_are_attributed_to_their_modules_and_count_once(workshop: Workshop, precision: str) -> None:
    folder, dump = traced(workshop, CONVOLUTIONAL, precision, "xnnpack")
    operators = OperatorEvents(read_source_map(folder))
    inferences = read_inferences(dump)
    times = [operators.add(events) for events in inferences]
    by_name = {one.name.partition(" (")[0]: one for one in operators.operators}
    assert by_name["Convolution"].origin.module == "convolution"
    assert by_name["Convolution"].origin.module_type == "Conv2d"
    assert by_name["Convolution"].origin.operators == ["aten.conv2d.default"]
    assert by_name["Fully Connected"].origin.module == "head"
    inside = {one.key for one in operators.operators if one.delegate == "XnnpackBackend"}
    assert {by_name["Convolution"].key, by_name["Fully Connected"].key} <= inside
    assert operators.notes() == []
    for events, spent in zip(inferences, times, strict=True):
        calls = [event for event in events if event.name == DELEGATE]
        whole_ms = sum(event.end_ns - event.start_ns for event in calls) / 1e6
        assert sum(ms for key, (_, ms) in spent.items() if key in inside) == pytest.approx(whole_ms, rel=0.05)


@pytest.mark.slow
def test_undelegated_operators_are_attributed_to_their_modules(workshop: Workshop) -> None:
    folder, dump = traced(workshop, CONVOLUTIONAL, "fp32", "portable")
    operators = OperatorEvents(read_source_map(folder))
    (events,) = read_inferences(dump)[-1:]
    spent = operators.add(events)
    assert [(one.name, one.origin.module) for one in operators.operators if "permute" not in one.name] == [
        ("convolution.out", "convolution"),
        ("_native_batch_norm_legit_no_training.out", "norm"),
        ("relu.out", ""),
        ("mean.out", ""),
        ("addmm.out", "head"),
    ]
    assert all(one.origin.stack for one in operators.operators)
    (method,) = [event for event in events if event.name == METHOD]
    assert sum(ms for _, ms in spent.values()) <= (method.end_ns - method.start_ns) / 1e6
    spans = operators.spans(events)
    assert all(span.start_ns + span.duration_ns <= method.end_ns - method.start_ns for span in spans)


@pytest.mark.slow
def test_operators_are_listed_with_a_note_without_a_source_map(workshop: Workshop) -> None:
    _, dump = traced(workshop, CONVOLUTIONAL, "fp32", "xnnpack")
    operators = OperatorEvents(None)
    operators.add(read_inferences(dump)[0])
    assert any(one.name.startswith("Convolution") for one in operators.operators)
    assert all(not one.origin.module for one in operators.operators)
    assert "no source map" in operators.notes()[0]


def test_delegate_without_operator_times_is_one_row_with_a_note() -> None:
    origins = [Origin(module="body.first", module_type="Linear"), Origin(module="body.second", module_type="Linear")]
    source = SourceMap(
        origins=origins,
        instructions={},
        subgraphs=[Subgraph(instruction=0, backend="OpenvinoBackend", origins=[0, 1])],
    )
    operators = OperatorEvents(source)
    times = operators.add([TracedEvent(DELEGATE, "", 0, 0, 1_000_000, 3_000_000)])
    assert [(one.name, one.origin.module) for one in operators.operators] == [("OpenvinoBackend", "body")]
    assert list(times.values()) == [(1, 2.0)]
    (note,) = operators.notes()
    assert "OpenvinoBackend" in note


def matched(events: list[str], kinds: list[str]) -> list[int | None]:
    """Return the indices of the events among nodes that each have their own origin."""
    return match_events(events, [(kind, place) for place, kind in enumerate(kinds)])


def test_events_are_matched_to_nodes_despite_fused_and_inserted_operators() -> None:
    nodes = ["StaticTranspose", "Conv2d", "Clamp", "Add", "Clamp", "FullyConnected"]
    events = ["Transpose (ND, X32) #1", "Convolution (NHWC, F32) IGEMM #1", "Add (ND) #1", "Clamp (NC) #1",
              "Fully Connected (NC, F32) GEMM #1"]  # fmt: skip
    assert matched(events, nodes) == [0, 1, 3, 4, 5]
    # An inserted event that resembles a much later node must not take over the nodes before it.
    assert matched(["Fully Connected (NC, F32) GEMM #1", *events[:3]], nodes) == [None, 0, 1, 3]
    assert matched(["Something New (NC) #1"], nodes) == [None]


def test_convolution_run_as_matrix_multiplication_keeps_its_module() -> None:
    block = ["Conv2d", "Clamp", "DepthwiseConv2d", "Clamp", "Conv2d"]
    one, deep = "Fully Connected (NC, QS8, QC8W) GEMM", "Convolution (NHWC, QC8) DWConv"
    events = [one, deep, one, one, deep, one, f"{one} #5"]
    assert matched(events, [*block, *block, "FullyConnected"]) == [0, 2, 4, 5, 7, 9, 10]


def test_ambiguous_event_has_no_origin() -> None:
    kinds = ["Conv2d", "Clamp", "Clamp", "Add"]
    events = ["Convolution (NHWC, F32) IGEMM #1", "Clamp (NC) #1", "Add (ND) #1"]
    assert matched(events, kinds) == [0, None, 3]
    assert match_events(events, list(zip(kinds, [7, 8, 8, 9], strict=True))) == [7, 8, 9]
    # Also with an unknown event in between.
    assert matched([*events[:2], "Something New #1", events[2]], kinds) == [0, None, None, 3]
