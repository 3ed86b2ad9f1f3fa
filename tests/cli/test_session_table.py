"""The table at the end of a session: whose flags stand where."""

from __future__ import annotations

from etui.cli.session_table import session_table
from etui.results import Flag
from tests.documents import make_document


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
    assert lines.count(f"! eager foreign load: {foreign.detail}") == 1
    assert not any("ratio to it" in line for line in lines)
