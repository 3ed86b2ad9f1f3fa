"""The table at the end of a session: whose flags stand where."""

from __future__ import annotations

from etui.cli.session_table import session_table
from etui.results import Flag, Ratio
from tests.documents import make_document, make_evaluation, with_evaluation


def test_eagers_flags_stand_in_eagers_row_and_once_below() -> None:
    foreign = Flag(name="foreign load", detail="something else used up to 1.90 cores in 3 of 3 blocks")
    of_eager = Flag(name="eager", detail="eager, and so the ratio to it, is flagged: foreign load")
    documents = [make_document("aaaaaaaaaaa1"), make_document("bbbbbbbbbbb2", precision="int8")]
    for document in documents:
        document.flags, document.eager_flags = [Flag(name="drift", detail="it drifted"), of_eager], [foreign]
    lines = session_table(documents).splitlines()
    (eager,) = [line for line in lines if line.startswith("eager ")]
    assert eager.endswith("foreign load")
    rows = [line for line in lines if line.startswith(("aaaaaa", "bbbbbb"))]
    assert len(rows) == 2 and all(row.endswith("drift") for row in rows)
    assert lines.count(f"! foreign load: eager: {foreign.detail}") == 1
    assert not any("ratio to it" in line for line in lines)


def test_the_metric_of_the_task_is_a_column_with_that_of_eager() -> None:
    documents = [make_document("aaaaaaaaaaa1"), make_document("bbbbbbbbbbb2", precision="int8")]
    assert "mAP" not in session_table(documents)
    documents = [with_evaluation(run, make_evaluation(drop=0.06 * place)) for place, run in enumerate(documents)]
    lines = session_table(documents).splitlines()
    heading = next(line for line in lines if line.startswith("run "))
    end = heading.index("mAP %") + len("mAP %")
    shown = [line[:end].split()[-1] for line in lines if line.startswith(("eager ", "aaaaaa", "bbbbbb"))]
    assert shown == ["80.0", "80.0", "78.0"]
    single = [with_evaluation(make_document(), make_evaluation(multi_label=False))]
    assert "task top-1 %" in session_table(single) and "mAP" not in session_table(single)


def test_a_warning_of_several_variants_stands_once() -> None:
    documents = [
        make_document("aaaaaaaaaaa1"),
        make_document("bbbbbbbbbbb2", precision="int8"),
        make_document("ccccccccccc3", precision="fp16"),
    ]
    for number, document in enumerate(documents):
        document.flags = [Flag(name="CPU pressure", detail=f"{number} %"), Flag(name="drift", detail="it drifted")]
    documents[0].flags = documents[0].flags[:1]
    lines = session_table(documents).splitlines()
    assert sum(line.startswith("! CPU pressure: all 3: ") for line in lines) == 1
    assert lines.count("! drift: int8/xnnpack, fp16/xnnpack: it drifted") == 1


def test_ratios_that_are_unreliable_for_the_same_reason_are_one_remark() -> None:
    documents = [make_document("aaaaaaaaaaa1"), make_document("bbbbbbbbbbb2", precision="int8")]
    for document in documents:
        own = document.blocks[0].variant
        reason = f"3 of 3 blocks of eager were disturbed (steal); 3 of 3 blocks of {own} were disturbed (steal)"
        document.speedup = Ratio(value=3.0, ci95=(2.5, 3.5), verdict="unreliable", reason=reason, blocks=3)
    assert {document.blocks[0].variant for document in documents} == {"fp32/xnnpack", "int8/xnnpack"}
    lines = [line for line in session_table(documents).splitlines() if line.startswith("! against eager")]
    assert len(lines) == 1 and "unreliable for both: " in lines[0] and "fp32/xnnpack" not in lines[0]
    (line,) = [line for line in session_table(documents[:1]).splitlines() if line.startswith("! against eager")]
    assert "3 of 3 blocks of fp32/xnnpack were disturbed" in line


def test_medians_that_do_not_give_the_ratio_are_explained() -> None:
    agreeing, moved = make_document("aaaaaaaaaaa1", median=10.0), make_document("bbbbbbbbbbb2", median=5.0)
    assert "medians alone" not in session_table([agreeing])
    moved.speedup = Ratio(value=3.0, ci95=(2.5, 3.5), verdict="faster", blocks=3)
    assert "4.00x for fp32/xnnpack" in session_table([moved])
