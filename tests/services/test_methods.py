"""The methods of a finished program: which are measured, what is said about the others, and near matches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etui.catalog.find import find_model
from etui.services.methods import choose_methods
from etui.services.request import FieldError
from etui.services.session_config import SessionConfig, plan
from tests.machines import Machine


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``one.pte`` (only ``encode``), ``two.pte`` (``encode``, ``decode``) and ``with.pte``
    (``forward``, ``decode``)."""
    import torch
    from executorch.exir import to_edge

    folder = tmp_path_factory.mktemp("programs")
    narrow = torch.export.export(torch.nn.Linear(24, 8).eval(), (torch.randn(2, 24),))
    wide = torch.export.export(torch.nn.Linear(8, 24).eval(), (torch.randn(4, 8),))
    contents: dict[str, dict[str, Any]] = {
        "one": {"encode": narrow},
        "two": {"encode": narrow, "decode": wide},
        "with": {"forward": narrow, "decode": wide},
    }
    for name, methods in contents.items():
        (folder / f"{name}.pte").write_bytes(bytes(to_edge(methods).to_executorch().buffer))
    return folder


@pytest.mark.slow
def test_the_methods_of_a_program(programs: Path) -> None:
    two = find_model(str(programs / "two.pte"))
    with pytest.raises(FieldError) as several:
        choose_methods(two, ())
    for part in ("--method decode,encode", "decode(float32 [4, 8])", "encode(float32 [2, 24])"):
        assert part in several.value.hint
    with pytest.raises(FieldError, match="did you mean decode"):
        choose_methods(two, ("decod",))
    assert choose_methods(two, ("encode", "decode")).methods == ("encode", "decode")
    one = find_model(str(programs / "one.pte"))
    assert choose_methods(one, ()).methods == choose_methods(one, ("encode",)).methods == ("encode",)
    both = find_model(str(programs / "with.pte"))
    assert choose_methods(both, ("forward",)).methods == (None,)
    assert choose_methods(both, ("decode", "forward")).methods == ("decode", None)
    chosen = choose_methods(both, ())
    assert chosen.methods == (None,) and "it also has decode" in chosen.notice


@pytest.mark.slow
def test_each_method_is_a_variant_and_part_of_the_label(programs: Path) -> None:
    planned = plan(SessionConfig(models=(str(programs / "two.pte"),), methods=("encode", "decode")), skip=False)
    (session,) = planned.sessions
    labels = [variant.label for variant in session.spec.variants]
    assert labels == ["as-is/as-is encode", "as-is/as-is decode"]


def test_only_programs_have_methods() -> None:
    with pytest.raises(FieldError, match="no methods to choose from"):
        choose_methods(find_model("resnet18"), ("encode",))


@pytest.mark.slow
def test_methods_are_measured_on_their_own_inputs(warm_machine: Machine, programs: Path) -> None:
    warm_machine.etui("run", programs / "two.pte", "--method", "encode,decode", "--preset", "quick", "--repeat", "20")
    documents = [warm_machine.document(summary["id"]) for summary in warm_machine.summaries()]
    assert {document.method: document.inputs.shapes for document in documents if document.inputs} == {
        "encode": [[2, 24]],
        "decode": [[4, 8]],
    }
    assert all(document.latency_ms is not None for document in documents)
    assert [run["id"] for run in warm_machine.summaries()] != []


def test_the_methods_of_a_file_that_cannot_be_read_are_not_known(tmp_path: Path) -> None:
    (tmp_path / "damaged.pte").write_bytes(b"not a program")
    assert choose_methods(find_model(str(tmp_path / "damaged.pte")), ("encode",)).methods == ("encode",)
