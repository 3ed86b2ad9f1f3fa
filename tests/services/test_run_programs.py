"""The program of a run as it is run on images: its file, and the kind of the images that the run was evaluated on."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.errors import UsageError
from etui.paths import cache_dir, program_path
from etui.results import WeightsInfo
from etui.services.run_programs import program_of_run
from tests.documents import make_document, make_evaluation, with_evaluation


@pytest.mark.parametrize("kind", ["multi-label", "single-label", None])
def test_the_kind_of_a_program_is_that_of_the_images_that_its_run_was_evaluated_on(
    kind: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETUI_CACHE", str(tmp_path))
    document = make_document("3f2a")
    document.weights = WeightsInfo(kind="checkpoint", detail="best.safetensors")
    assert document.artifact is not None
    path = program_path(cache_dir(), document.artifact.key)
    assert path is not None
    with pytest.raises(UsageError, match="not in the cache"):
        program_of_run(document, imported=False)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    if kind is not None:
        document = with_evaluation(document, make_evaluation(multi_label=kind == "multi-label"))
    assert program_of_run(document, imported=False)[1:] == (
        path, document.delegate, None, document.model.name, None, None, kind,
    )  # fmt: skip
