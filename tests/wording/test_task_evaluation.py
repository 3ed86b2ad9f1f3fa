from __future__ import annotations

from typing import Any

import msgspec

from etui.analysis.gates import Limits
from etui.cli import comparison_output
from etui.cli.run_text import report
from etui.results import RunDocument
from etui.wording.comparison_set import Compared
from etui.wording.task_evaluation import category_section, evaluation_section, image_section
from tests.documents import make_document, make_evaluation, with_evaluation
from tests.facts import lacking


def test_the_section_has_both_metrics_their_difference_and_the_data() -> None:
    document = with_evaluation(make_document(precision="int8"), make_evaluation(drop=0.3))
    section = evaluation_section(document)
    assert section.table is not None
    assert section.table.rows == [
        ["int8/xnnpack", "70.0", "65.0 to 74.0"],
        ["eager", "80.0", "75.0 to 84.0"],
        ["difference", "-10.0", "-11.0 to -9.0"],
    ]
    texts = " ".join(f"{entry.label} {entry.value}" for entry in section.entries)
    assert not lacking(texts, "pets", "val", "40 of 100", "da7ada7ada7a", "0.4")
    categories = category_section(document).table
    assert categories is not None
    assert categories.rows[0] == ["cat", "10", "50.0", "80.0", "-30.0"]
    assert "2 of 40" in image_section(document).remark and image_section(document).entries[0].label == "val/000.jpg"
    for make in (evaluation_section, category_section, image_section):
        assert not make(make_document())


def test_json_of_a_comparison_has_categories_and_images() -> None:
    base = with_evaluation(make_document("aaaaaaaaaaa1"), make_evaluation(drop=0.0, changed=0))
    other = with_evaluation(make_document("bbbbbbbbbbb2", precision="int8"), make_evaluation(drop=0.25, changed=5))
    for one, two, count in ((base, other, 5), (base, make_document("ccc"), None)):
        compared = comparison_output.Compared.of(one, [two], margin=0.05, force=False, limits=Limits())
        made: Any = comparison_output.as_json([compared])[0]["comparisons"]
        found = made[0]
        if count is None:
            assert found["task"] is None
        else:
            assert found["task"]["image_count"] == len(found["task"]["images"]) == count
            assert found["task"]["categories"][0]["name"] == "cat"


def test_control_characters_of_names_are_not_printed() -> None:
    evaluation = make_evaluation(drop=0.2)
    strange = [msgspec.structs.replace(one, name=f"\x1b[31m{one.name}") for one in evaluation.categories]
    changed = [msgspec.structs.replace(one, path=f"\x1b[31m{one.path}") for one in evaluation.changed]
    document = with_evaluation(
        make_document(), msgspec.structs.replace(evaluation, categories=strange, changed=changed)
    )
    compared = comparison_output.Compared.of(document, [document], margin=0.05, force=False, limits=Limits())
    for shown in (report(document, []), comparison_output.as_text([compared], everything=False)):
        assert "\x1b" not in shown


def test_many_categories_are_cut() -> None:
    evaluation = make_evaluation()
    many = [msgspec.structs.replace(evaluation.categories[1], name=f"category {number}") for number in range(30)]
    section = category_section(
        with_evaluation(
            make_document(), msgspec.structs.replace(evaluation, categories=[*many, *evaluation.categories])
        )
    )
    assert section.table is not None and section.table.rows[0][0] == "cat"
    assert str(33 - len(section.table.rows)) in section.entries[0].value


def test_a_comparison_names_what_lost_most_and_the_number_of_changed_images() -> None:
    base = with_evaluation(make_document("aaaaaaaaaaa1"), make_evaluation(drop=0.0, changed=0))
    other = with_evaluation(make_document("bbbbbbbbbbb2", precision="int8"), make_evaluation(drop=0.25, changed=5))

    def told(one: RunDocument, two: RunDocument) -> str:
        return Compared.between(one, [two], margin=0.05, force=False).sentences()[0][-1]

    forward, backward = told(base, other), told(other, base)
    assert not lacking(forward, "pets val", "int8/xnnpack loses", "cat (-25.0)", "5 of 40")
    assert not lacking(backward, "No category", "5 of 40")
    assert "cat" not in told(base, make_document("ccc"))
    data = msgspec.structs.replace(make_evaluation().data, sha256="ff" * 32)
    elsewhere = with_evaluation(make_document("ddd"), msgspec.structs.replace(make_evaluation(), data=data))
    assert "different images" in told(base, elsewhere)
