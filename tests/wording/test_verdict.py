"""The verdict in words: only what the facts bear, each sentence with the place it comes from."""

from __future__ import annotations

import msgspec

from etui.insight import Origin
from etui.results import Delegation, RunDocument
from etui.wording.verdict import Sentence, delegated, fp32_sibling, verdict
from tests.analysis.comparisons import measured
from tests.documents import make_document
from tests.golden import Golden
from tests.insights import look_inside


def said(document: RunDocument, *siblings: RunDocument) -> dict[str, Sentence]:
    return {sentence.source: sentence for sentence in verdict(document, siblings)}


def test_a_run_looked_into_says_where_each_sentence_comes_from() -> None:
    document = look_inside(make_document())
    found = said(document)
    assert list(found) == ["latency", "delegation", "operators", "accuracy", "gap", "artifact"]
    assert all(fact in found["delegation"].text for fact in ("94 %", "3 partitions", "9"))
    assert "convolution" in found["operators"].text and found["operators"].row == "convolution"
    layer = next(one for one in (document.gap.layers if document.gap else []) if one.contribution == 0.81)
    assert layer.origin.module in found["gap"].text and "81 %" in found["gap"].text
    assert found["gap"].row == layer.name


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
    text = said(document)["operators"].text
    assert text.index("40 %") < text.index("convolution") < text.index("30 %") < text.index("linear layers")


def test_the_first_layer_past_the_threshold_where_contributions_are_not_known() -> None:
    document = look_inside(make_document())
    assert document.gap is not None
    layers = [msgspec.structs.replace(layer, contribution=None) for layer in document.gap.layers]
    document.gap = msgspec.structs.replace(document.gap, layers=layers)
    first = layers[document.gap.first_past or 0]
    assert "20 dB" in said(document)["gap"].text and first.origin.module in said(document)["gap"].text
    document.gap = msgspec.structs.replace(document.gap, first_past=None)
    text = said(document)["gap"].text
    assert "20 dB" in text and "FP32 eager" in text and not any(one.origin.module in text for one in layers)


def test_the_fp32_run_of_its_session_is_compared_in_pairs_and_as_the_analysis_says(golden: Golden) -> None:
    base = measured("aaaaaaaaaaa1", seed=1, median=16.0)
    faster = measured("bbbbbbbbbbb2", seed=2, median=5.0, precision="int8")
    slower = measured("bbbbbbbbbbb3", seed=3, median=40.0, precision="int8")
    same = measured("bbbbbbbbbbb4", seed=4, median=16.0, precision="int8")
    assert said(faster, base)["comparison"].row == base.id
    open_ = measured("bbbbbbbbbbb5", seed=5, median=15.0, block_sd=0.2, precision="int8")
    texts = [said(other, base)["comparison"].text for other in (faster, slower, same, open_)]
    for text, fact in zip(texts, ("3.1", "2.5", "2 %", "inconclusive"), strict=True):
        assert fact in text and text.index("INT8") < text.index("FP32")
    assert "6 paired blocks" in texts[0]
    golden("verdicts", "\n".join([*texts, *(one.text for one in verdict(look_inside(make_document()), ()))]))
    assert fp32_sibling(base, [faster]) is None
    for other in (
        measured("ccccccccccc1", seed=1, median=16.0, session_id="0therSession"),
        measured("ccccccccccc2", seed=1, median=16.0, delegate="portable"),
    ):
        assert fp32_sibling(faster, [other]) is None and "comparison" not in said(faster, other)


def test_the_fp32_run_that_is_compared_has_the_same_shape_and_threads() -> None:
    small, large, threaded = (measured(letter * 12, seed=place) for place, letter in enumerate("abc"))
    small.input_size, large.input_size = (128, 128), (224, 224)
    threaded.input_size, threaded.threads = (224, 224), 1
    quantized = measured("d" * 12, precision="int8", median=8.0)
    quantized.input_size = (224, 224)
    assert fp32_sibling(quantized, [small, threaded, large]) is large
    assert fp32_sibling(quantized, [small, threaded]) is None


def test_delegation_in_words(golden: Golden) -> None:
    document = make_document()

    def words(delegated_nodes: int, left: int, subgraphs: int) -> str:
        document.delegation = Delegation(
            delegated_nodes=delegated_nodes, undelegated_nodes=left, subgraphs=subgraphs, undelegated_operators={}
        )
        return delegated(document)

    whole, most, little, nothing = words(68, 0, 1), words(9999, 1, 2), words(1, 999, 1), words(0, 5, 0)
    assert "100 %" in whole and "one partition" in whole
    assert "99.9 %" in most and "2 partitions" in most
    assert "under 1 %" in little
    assert "xnnpack" in nothing and "%" not in nothing
    document.delegate = "portable"
    portable = words(0, 5, 0)
    assert "portable kernels" in portable and "xnnpack" not in portable
    golden("delegation", "\n".join([whole, most, little, nothing, portable]))
