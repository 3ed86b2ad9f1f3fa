"""The caveat of the headline: the most important disturbance first, each once, and none without a reason."""

from __future__ import annotations

import msgspec
import pytest

from etui.analysis import flags
from etui.results import Flag, RunDocument
from etui.wording import run as run_wording
from etui.wording.caveat import caveat
from etui.wording.flags import _EXPLANATIONS
from etui.wording.verdict import verdict
from tests.documents import make_document

QUIET = {"foreign_cpu_cores": 0.0, "cpu_pressure": 0.0, "steal_s": 0.0, "wall_s": 1.0}


def flagged(*names: str, disturbed: int = 0, **changes: object) -> RunDocument:
    """A run with these flags, the first ``disturbed`` of its blocks under load, and eager's blocks undisturbed."""
    document = make_document()
    base = document.blocks[0]
    document.blocks = [
        msgspec.structs.replace(base, index=index, **{**QUIET, "foreign_cpu_cores": 1.5 if index < disturbed else 0.0})
        for index in range(6)
    ]
    document.eager_blocks = [msgspec.structs.replace(block, **QUIET) for block in document.eager_blocks]
    document.flags = [Flag(name=name, detail="") for name in names]
    document.eager_flags = []
    assert document.speedup is not None
    document.speedup = msgspec.structs.replace(document.speedup, ci95=(1.24, 1.26), **changes)
    return document


def test_an_unflagged_run_has_none() -> None:
    assert caveat(flagged()) == ""
    assert " but " not in run_wording.speed(flagged())


def test_the_load_comes_first_with_its_blocks_and_the_rest_is_counted() -> None:
    said = caveat(flagged("spread", "drift", "governor", "foreign load", disturbed=6))
    assert "6 of 6 blocks" in said and "2 more" in said
    assert said.index("loaded") < said.index("drifted")


@pytest.mark.parametrize("verdict_of_speed", ["faster", "slower", "equivalent"])
def test_the_headline_has_it_once(verdict_of_speed: str) -> None:
    document = flagged("foreign load", disturbed=4, verdict=verdict_of_speed)
    sentences = [sentence.text for sentence in verdict(document)]
    assert "but" in sentences[0] and "4 of 6 blocks" in sentences[0]
    assert sum(text.count("loaded") for text in sentences) == 1


def test_an_unreliable_speed_has_only_its_reason() -> None:
    document = flagged("foreign load", disturbed=6, verdict="unreliable", reason="6 of 6 blocks were disturbed")
    said = run_wording.speed(document)
    assert "6 of 6 blocks were disturbed" in said and "loaded" not in said


def test_an_inconclusive_speed_names_the_disturbance_too() -> None:
    assert "2 of 6 blocks" in run_wording.speed(flagged("foreign load", disturbed=2, verdict="inconclusive"))


def test_disturbed_blocks_of_eager_are_named_as_such() -> None:
    document = flagged("eager")
    document.eager_blocks = [msgspec.structs.replace(block, steal_s=0.5) for block in document.eager_blocks]
    said = caveat(document)
    assert "hypervisor" in said and "of eager" in said


def test_a_run_without_samples_has_the_flags_it_came_with() -> None:
    document = flagged("foreign load", "a flag of a later version")
    document.blocks = document.eager_blocks = []
    assert "loaded" in caveat(document) and "a flag of a later version" in caveat(document)


def test_the_arithmetic_of_a_delegate_is_not_a_caveat() -> None:
    assert caveat(flagged("bf16")) == ""


@pytest.mark.parametrize("name", sorted(set(_EXPLANATIONS) - {"eager", "bf16"}))
def test_every_flag_has_a_clause_of_its_own(name: str) -> None:
    assert caveat(flagged(name)) and "flagged" not in caveat(flagged(name))


def test_the_shares_in_the_clauses_are_those_of_the_flags() -> None:
    assert f"{flags.SPREAD:.0%}"[:-1] in caveat(flagged("spread"))
    assert f"{flags.WIDE_SPREAD:.0%}"[:-1] in caveat(flagged("wide spread"))
