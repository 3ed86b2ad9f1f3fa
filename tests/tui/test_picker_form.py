"""The form is checked field by field, and saved for the next start."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from etui.cli.main import cli
from etui.errors import EtuiError, UsageError
from etui.paths import state_dir
from etui.services.session_config import plan
from etui.services.session_file import as_toml
from etui.store import Store
from etui.tui.error_text import to_text
from etui.tui.picker_form import FormValues, as_config, check, from_config, recall, remember
from etui.tui.picker_text import programs
from etui.tui.screens.configurations import Choice
from tests.documents import MODEL, make_spec

METHODS = Path(__file__).parent / "fixtures" / "methods.pte"
"""A program with the methods ``decode`` and ``forward``."""

PREPARED = {"weights", "keep_fp32", "calibration", "baseline"}
"""The fields of every model that programs are prepared of."""


def test_a_whole_choice_becomes_a_specification() -> None:
    checked = check(FormValues(model="resnet18", precisions=("fp32", "int8"), delegates=("xnnpack",), repeat="3"))
    assert checked.problems == {}
    assert checked.spec is not None
    assert [variant.label for variant in checked.spec.variants] == ["fp32/xnnpack", "int8/xnnpack"]
    assert checked.spec.repeat == 3


def test_every_wrong_field_is_named_at_once() -> None:
    checked = check(FormValues(model="nope", precisions=(), delegates=(), weights="/no/such", repeat="0", timeout="x"))
    assert set(checked.problems) == {"model", "precision", "delegate", "weights", "repeat", "timeout"}
    assert checked.spec is None


def test_what_cannot_be_is_left_out_where_something_can() -> None:
    checked = check(FormValues(model="minilm", precisions=("fp32", "8da4w"), delegates=("portable",)))
    assert checked.spec is not None
    assert [variant.label for variant in checked.spec.variants] == ["fp32/portable"]
    assert [variant.label for variant in checked.refused] == ["8da4w/portable"]


def test_nothing_that_can_be_is_a_problem() -> None:
    checked = check(FormValues(model="resnet18", precisions=("8da4w",), delegates=("xnnpack",)))
    assert checked.problems["precision"]


def test_a_finished_program_is_taken_as_it_is(tmp_path: Path) -> None:
    program = tmp_path / "net.pte"
    program.write_bytes(b"")
    checked = check(FormValues(model=str(program), precisions=("int8",), delegates=("openvino",)))
    assert [variant.label for variant in checked.variants] == ["as-is/as-is"]


def test_values_become_a_session_configuration_and_come_back() -> None:
    values = FormValues(model="gpt2", keep_fp32="a.b,c", seed="5", timeout="90.5", others={"wait_quiet": 2.5})
    config = as_config(values)
    assert (config.models, config.keep_fp32, config.seed, config.timeout_s) == (("gpt2",), ("a.b", "c"), 5, 90.5)
    assert config.wait_quiet_min == 2.5
    assert from_config(config) == values
    assert check(from_config(config)).spec == check(values).spec


@pytest.mark.parametrize(
    ("batch", "dynamic", "threads", "count"),
    [
        ("", False, "", "2 programs"),
        ("1,4", False, "1", "4 programs"),
        ("1,4", True, "", "6 programs, 8 runs"),
        ("", False, "1,2", "2 programs, 4 runs"),
    ],
)
def test_programs_of_all_shapes_are_counted(batch: str, dynamic: bool, threads: str, count: str) -> None:
    assert programs(check(FormValues(model="resnet18", batch=batch, dynamic=dynamic, threads=threads))) == count


def test_the_form_has_what_the_command_line_prints_as_a_session_file() -> None:
    line = (
        "run resnet18 -p fp32,int8 -d xnnpack --input-size 128,160x320 --batch 1,4 --dynamic --threads 1,2"
        " --baseline compile --weights synthetic --seed 3 --priority high --print-config"
    )
    printed = CliRunner().invoke(cli, line.split()).stdout
    values = FormValues(
        input_size="128, 160x320", batch="1,4", dynamic=True, threads="1,2", baseline=("compile",),
        weights="synthetic", seed="3", priority="high",
    )  # fmt: skip
    assert as_toml(as_config(values)) == printed
    assert check(values).spec == plan(as_config(values), skip=True).sessions[0].spec
    assert as_toml(as_config(from_config(as_config(values)))) == printed


def test_the_methods_of_a_program_are_kept_in_a_session_file() -> None:
    values = FormValues(model=str(METHODS), methods=("decode", "forward"))
    assert as_config(values).methods == ("decode", "forward") and from_config(as_config(values)) == values
    unknown = check(FormValues(model=str(METHODS), methods=("decod",)))
    assert "did you mean decode" in unknown.problems["methods"] and unknown.spec is None


def test_what_an_earlier_version_had_no_field_for_goes_to_its_field() -> None:
    remember(FormValues(model="gpt2", others={"sequence": [16, 64], "dynamic": True, "wait_quiet": 2.0}))
    assert recall() == FormValues(model="gpt2", sequence="16,64", dynamic=True, others={"wait_quiet": 2.0})


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("resnet18", {*PREPARED, "batch", "input_size"}),
        ("vit_b_16", {*PREPARED, "batch"}),
        ("gpt2", {*PREPARED, "batch", "sequence"}),
        ("net.py:make", {*PREPARED, "batch", "sequence", "input_size"}),
        (str(METHODS), {"methods"}),
        ("nope", {*PREPARED, "batch", "sequence", "input_size"}),
    ],
)
def test_fields_that_do_not_apply_to_a_model_are_not_shown(
    model: str, fields: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text("def make(): ...\n")
    assert check(FormValues(model=model)).fields == fields
    assert check(FormValues(model=model, dynamic=True)).fields == {*fields, "dynamic"}


def test_every_wrong_shape_is_marked_in_its_field() -> None:
    values = FormValues(model="gpt2", input_size="128", sequence="16,4096", batch="x", threads="1,99", dynamic=True)
    problems = check(values).problems
    assert set(problems) == {"input_size", "sequence", "batch", "threads"}
    assert "takes no images" in problems["input_size"] and "1024" in problems["sequence"]
    assert not any("--" in problem for problem in problems.values())


def test_the_line_of_a_saved_configuration_has_what_it_varies() -> None:
    values = FormValues(input_size="128,224", batch="1,4", dynamic=True, threads="2", baseline=("compile",))
    assert (
        Choice(values=values).text == "resnet18 fp32+int8 xnnpack+compile 128,224 batch 1,4 threads 2 dynamic default"
    )


def test_the_last_choice_is_remembered() -> None:
    choice = FormValues(model="gpt2", precisions=("int8",), preset="quick", repeat="7")
    remember(choice)
    assert recall() == choice


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[1, 2]", b'{"recent": 3}', b'{"recent": [{"others": {"repeat": "x"}}]}', b"\xff\xfe", b"x" * 100_000],
)
def test_a_damaged_memory_is_no_memory(damage: bytes) -> None:
    state_dir().mkdir(parents=True)
    (state_dir() / "last-choices.json").write_bytes(damage)
    assert recall() == FormValues()


def test_a_state_folder_that_cannot_be_written_costs_only_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ETUI_STATE", str(tmp_path / "file" / "below"))
    remember(FormValues(model="gpt2"))
    assert recall() == FormValues()


def test_an_error_names_no_command_of_the_command_line() -> None:
    found = check(FormValues(model="resnt18", precisions=("fp33",))).problems
    assert "FILE.py:FACTORY" in found["model"] and "etui models" not in " ".join(found.values())
    both = UsageError("it is so", "do this")
    other = UsageError("it is so", "etui this", screen_hint="press that")
    neither = UsageError("it is so", "etui this", screen_hint="")
    assert [to_text(error) for error in (both, other, neither)] == [
        "it is so; do this",
        "it is so; press that",
        "it is so",
    ]


def test_errors_of_the_database_name_keys_and_no_commands(database: Path) -> None:
    with Store.open(database) as store:
        run_id = store.add_session(make_spec(), model=MODEL, box="x").runs[0][0]
        errors = []
        for fails in (
            lambda: store.delete_runs([run_id]),
            lambda: store.summary("nowhere"),
            lambda: store.document("nowhere"),
            lambda: store.resolve("nowhere"),
            lambda: store.annotate("nowhere", note="x"),
            lambda: store.history("nowhere", 9),
        ):
            with pytest.raises(EtuiError) as raised:
                fails()
            errors.append(raised.value)
    assert all("etui " in str(error) for error in errors), "the command line names its commands"
    assert not any("etui " in to_text(error) for error in errors)
    assert "with x" in to_text(errors[0])
