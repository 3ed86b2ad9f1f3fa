"""What differed between two runs of the same choice."""

from __future__ import annotations

import msgspec

from etui.wording.differences import Difference, differences
from tests.documents import ENVIRONMENT, make_document


def test_the_same_circumstances_differ_in_nothing() -> None:
    assert differences(make_document("a" * 12, median=5.0), make_document("b" * 12, median=9.0)) == []


def test_what_changed_is_named_with_both_values() -> None:
    versions = {"torch": "2.14.0", "openvino": "2026.1"}
    later = msgspec.structs.replace(
        make_document(),
        threads=1,
        environment=msgspec.structs.replace(ENVIRONMENT, governor="powersave", turbo=True, versions=versions),
    )
    assert differences(later, make_document()) == [
        Difference("threads", "2", "1"),
        Difference("governor", "not readable", "powersave"),
        Difference("turbo", "not readable", "on"),
        Difference("openvino", "-", "2026.1"),
        Difference("torch", "2.13.0", "2.14.0"),
        Difference("executorch", "1.5.1", "-"),
    ]


def test_runs_that_know_nothing_of_their_box_are_compared_in_the_rest() -> None:
    bare = msgspec.structs.replace(make_document(), environment=None, weights=None, artifact=None, inputs=None)
    assert differences(bare, bare) == []
    assert "machine name" in {one.name for one in differences(bare, make_document())}


def test_settings_that_both_runs_recorded_are_named_one_by_one() -> None:
    recorded = {"nice": 0, "affinity": [0, 1], "variables": {"OMP_WAIT_POLICY": "passive", "HF_HOME": "/hf"}}
    other = {"nice": 10, "affinity": [0], "variables": {"HF_HOME": "/elsewhere"}}
    before, now = (
        msgspec.structs.replace(make_document(), environment=msgspec.structs.replace(ENVIRONMENT, **fields))
        for fields in (recorded, other)
    )
    assert differences(now, before) == [
        Difference("nice level", "0", "10"),
        Difference("CPU affinity", "0-1", "0"),
        Difference("HF_HOME", "/hf", "/elsewhere"),
        Difference("OMP_WAIT_POLICY", "passive", "-"),
    ]
    assert differences(now, make_document()) == differences(make_document(), before) == []
