"""The table of verdicts: a row for each run, and why a run has no ratio."""

from __future__ import annotations

from etui.results import RunDocument
from etui.wording.comparison_set import Compared
from etui.wording.verdict_table import VerdictRow, cells, verdict_rows
from tests.analysis.comparisons import LATER, measured
from tests.facts import lacking
from tests.tui.comparing import FAILED, OTHER_MODEL, OTHER_THREADS, SUMMARY, not_comparable, variants


def rows_of(*documents: RunDocument, force: bool = False) -> list[VerdictRow]:
    """The rows of a comparison with the first run."""
    return verdict_rows(Compared.between(documents[0], documents[1:], margin=0.02, force=force))


def test_the_base_is_first_and_has_the_ratio_one() -> None:
    base, int8, *_ = rows_of(*variants())
    assert (base.verdict, base.ratio, base.estimate) == ("baseline", None, (1.0, None))
    assert int8.verdict == "faster" and int8.ratio is not None and int8.estimate == (int8.ratio, int8.ci95)
    assert base.median_ms is not None and int8.median_ms is not None and int8.median_ms < base.median_ms


def test_a_run_that_cannot_be_compared_has_a_short_reason() -> None:
    rows = {row.run: row for row in rows_of(variants()[0], *not_comparable())}
    for run, *facts in (
        (OTHER_THREADS, "threads", "2 and 1"), (OTHER_MODEL, "model"), (FAILED, "failed"), (SUMMARY, "summary"),
    ):  # fmt: skip
        row = rows[run]
        assert row.verdict == "not comparable" and row.ratio is None and row.estimate is None
        assert not lacking(row.note, *facts) and len(row.note) <= 40


def test_a_base_without_samples_is_the_reason() -> None:
    (_, row) = rows_of(not_comparable()[2], variants()[0])
    assert not lacking(row.note, "baseline", "failed")


def test_a_forced_comparison_keeps_its_reason_and_another_session_is_noted() -> None:
    (_, forced) = rows_of(variants()[0], not_comparable()[0], force=True)
    assert forced.ratio is not None and not lacking(forced.note, "forced", "threads")
    (_, later) = rows_of(measured("aaaaaaaaaaa1", drift_sd=0), measured("bbbbbbbbbbb2", drift_sd=0, session_id=LATER))
    assert "session" in later.note


def test_the_cells_have_every_value_once() -> None:
    headings, lines = cells(rows_of(*variants()[:2], not_comparable()[1]))
    assert len(headings) == 6 and all(len(line) == 6 for line in lines)
    assert lines[1][2].endswith("x") and " to " in lines[1][3] and lines[2][2] == "" and "model" in lines[2][5]
