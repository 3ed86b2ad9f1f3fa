"""The verdict in words: only what the facts bear, each sentence with the place it comes from."""

from __future__ import annotations

import msgspec

from etui.insight import Origin
from etui.results import Delegation, RunDocument
from etui.wording.verdict import Sentence, delegated, fp32_sibling, verdict
from tests.analysis.comparisons import measured
from tests.documents import make_document
from tests.insights import look_inside


def said(document: RunDocument, *siblings: RunDocument) -> dict[str, Sentence]:
    return {sentence.source: sentence for sentence in verdict(document, siblings)}


def test_a_run_looked_into_says_where_each_sentence_comes_from() -> None:
    document = look_inside(make_document())
    found = said(document)
    assert list(found) == ["latency", "delegation", "operators", "accuracy", "numbers", "artifact"]
    assert found["delegation"].text.startswith("94 % of the graph is delegated, in 3 subgraphs, with 9")
    assert "of the time is convolution." in found["operators"].text and found["operators"].row == "convolution"
    layer = next(one for one in (document.gap.layers if document.gap else []) if one.contribution == 0.81)
    assert found["numbers"].text == f"{layer.origin.module} adds most of the error (81 %)."
    assert found["numbers"].row == layer.name


def test_nothing_is_said_of_what_was_not_looked_at() -> None:
    document = make_document()
    document.delegation = None
    assert list(said(document)) == ["latency", "accuracy", "artifact"]


def test_two_kinds_share_the_time_where_none_has_half() -> None:
    document = look_inside(make_document())
    assert document.profile is not None
    program = document.profile.program
    operators = [
        msgspec.structs.replace(program.operators[0], name=name, median_ms=ms, origin=Origin())
        for name, ms in (("aten.convolution.out", 4.0), ("aten.addmm.out", 3.0), ("aten.gelu.out", 3.0))
    ]
    document.profile = msgspec.structs.replace(
        document.profile, program=msgspec.structs.replace(program, operators=operators)
    )
    assert said(document)["operators"].text == "40 % of the time is convolution, 30 % linear layers."


def test_the_first_layer_past_the_threshold_where_contributions_are_not_known() -> None:
    document = look_inside(make_document())
    assert document.gap is not None
    layers = [msgspec.structs.replace(layer, contribution=None) for layer in document.gap.layers]
    document.gap = msgspec.structs.replace(document.gap, layers=layers)
    assert said(document)["numbers"].text.startswith("The first layer below 20 dB is layer")
    document.gap = msgspec.structs.replace(document.gap, first_past=None)
    assert said(document)["numbers"].text == "Every layer stays above 20 dB against FP32 eager."


def test_the_fp32_run_of_its_session_is_compared_in_pairs_and_as_the_analysis_says() -> None:
    base = measured("aaaaaaaaaaa1", seed=1, median=16.0)
    faster = measured("bbbbbbbbbbb2", seed=2, median=5.0, precision="int8")
    slower = measured("bbbbbbbbbbb3", seed=3, median=40.0, precision="int8")
    same = measured("bbbbbbbbbbb4", seed=4, median=16.0, precision="int8")
    assert said(faster, base)["comparison"].row == base.id
    words = said(faster, base)["comparison"].text
    assert words.startswith("INT8 is 3.1") and "x as fast as FP32" in words and "6 paired blocks" in words
    assert "INT8 takes 2.5" in said(slower, base)["comparison"].text
    assert "as long as FP32" in said(slower, base)["comparison"].text
    assert "is as fast as FP32, within 2 %" in said(same, base)["comparison"].text
    open_ = measured("bbbbbbbbbbb5", seed=5, median=15.0, block_sd=0.2, precision="int8")
    assert "Whether INT8 is faster than FP32 is inconclusive" in said(open_, base)["comparison"].text
    assert fp32_sibling(base, [faster]) is None
    for other in (
        measured("ccccccccccc1", seed=1, median=16.0, session_id="0therSession"),
        measured("ccccccccccc2", seed=1, median=16.0, delegate="portable"),
    ):
        assert fp32_sibling(faster, [other]) is None and "comparison" not in said(faster, other)


def test_delegation_in_words() -> None:
    document = make_document()

    def words(delegated_nodes: int, left: int, subgraphs: int) -> str:
        document.delegation = Delegation(
            delegated_nodes=delegated_nodes, undelegated_nodes=left, subgraphs=subgraphs, undelegated_operators={}
        )
        return delegated(document)

    assert words(68, 0, 1) == "100 % of the graph is delegated, in one subgraph."
    assert words(9999, 1, 2) == "99.9 % of the graph is delegated, in 2 subgraphs."
    assert words(1, 999, 1) == "under 1 % of the graph is delegated, in one subgraph."
    assert words(0, 5, 0) == "xnnpack took nothing of the graph: all of it runs on ExecuTorch's own kernels."
    document.delegate = "portable"
    assert words(0, 5, 0).startswith("Nothing is delegated: all of it runs on ExecuTorch's portable kernels")
