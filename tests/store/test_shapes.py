"""Runs with a requested shape, threads or method: stored, found by filters, and kept apart in a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.spec import SessionSpec, Variant
from etui.store import Store
from tests.documents import MODEL, make_block, make_document

VARIANTS = (
    Variant("fp32", "xnnpack"),
    Variant("fp32", "xnnpack", input_size=(160, 320), batch=4),
    Variant("fp32", "xnnpack", input_size=(160, 320), batch=4, dynamic=True),
    Variant("fp32", "xnnpack", sequence=64, threads=2),
    Variant("as-is", "as-is", method="decode"),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "runs.db")


def test_labels_are_unique_and_the_eager_baseline_is_that_of_shape_and_threads() -> None:
    assert len({variant.label for variant in VARIANTS}) == len(VARIANTS)
    plain, static, dynamic, sequence, method = VARIANTS
    assert static.eager_label == dynamic.eager_label
    assert len({plain.eager_label, static.eager_label, sequence.eager_label}) == 3
    assert plain.eager_label == method.eager_label == "eager"


def test_queued_session_has_its_variants_again(store: Store) -> None:
    queued = store.add_session(SessionSpec(model="resnet18", variants=VARIANTS), model=MODEL, box="", installation="")
    assert [variant for _, variant in store.session(queued.id).runs] == list(VARIANTS)


def test_blocks_of_a_live_run_are_those_of_its_shape(store: Store) -> None:
    queued = store.add_session(SessionSpec(model="resnet18", variants=VARIANTS), model=MODEL, box="", installation="")
    for index, variant in enumerate(VARIANTS):
        store.add_block(queued.id, make_block(variant.label, 0, 10.0 + index))
        store.add_block(queued.id, make_block(variant.eager_label, 0, 20.0 + index))
    for run_id, variant in queued.runs:
        document = store.document(run_id)
        assert {block.variant for block in document.blocks} == {variant.label}
        assert {block.variant for block in document.eager_blocks} == {variant.eager_label}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("input_size:160", {1, 2}), ("batch:4", {1, 2}), ("sequence>=64", {3}), ("threads:2", {3}),
        ("method:decode", {4}), ("dynamic:1", {2}), ("-has:batch", {0, 3, 4}),
    ],
)  # fmt: skip
def test_filters_find_shapes_and_methods(store: Store, text: str, found: set[int]) -> None:
    from etui.store.filter_language import parse

    queued = store.add_session(SessionSpec(model="resnet18", variants=VARIANTS), model=MODEL, box="", installation="")
    ids = [run_id for run_id, _ in queued.runs]
    assert {ids.index(run_id) for run_id in store.run_ids(parse(text))} == found


def test_a_filter_on_a_shape_tells_of_runs_at_the_own_shape_of_their_model(store: Store) -> None:
    from etui.services.own_shape import own_shape_note
    from etui.store.filter_language import parse

    store.add_session(SessionSpec(model="resnet18", variants=VARIANTS), model=MODEL, box="", installation="")
    assert "-has:batch" in own_shape_note(store, parse("batch:1"))
    assert "-has:input_size" in own_shape_note(store, parse("precision:fp32 input_size:160"))
    for complete in ("threads:2", "-has:batch", "batch!=4", "batch:4 input_size:160 delegate:openvino"):
        assert own_shape_note(store, parse(complete)) == ""


def test_document_keeps_its_shape(store: Store) -> None:
    document = make_document()
    document.variant, document.input_size, document.batch = "fp32/xnnpack 160x320 batch 4 dynamic", (160, 320), 4
    document.dynamic = True
    store.import_documents([document])
    assert store.document(document.id) == document
    (summary,) = store.summaries()
    assert summary.configuration == document.configuration
    assert (summary.input_size, summary.batch, summary.dynamic, summary.sequence) == ((160, 320), 4, True, None)


def test_deleting_one_shape_keeps_the_blocks_of_the_others(store: Store) -> None:
    queued = store.add_session(SessionSpec(model="resnet18", variants=VARIANTS), model=MODEL, box="", installation="")
    for variant in VARIANTS:
        store.add_block(queued.id, make_block(variant.label, 0))
        store.add_block(queued.id, make_block(variant.eager_label, 0))
    for run_id, _ in queued.runs:
        store.set_status(run_id, "failed", "")
    store.delete_runs([queued.runs[1][0]])
    for run_id, _ in (queued.runs[0], *queued.runs[2:]):
        document = store.document(run_id)
        assert document.blocks and document.eager_blocks
