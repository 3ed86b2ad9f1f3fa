"""The picker from the keyboard: choosing, what cannot be, what is wrong, and what is asked for in the end."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Button, OptionList, Static

from etui.catalog import timm_models
from etui.catalog.timm_models import TimmRow, TimmTable
from etui.store import Store
from etui.tui import suggestions
from etui.tui.database import Database
from etui.tui.picker_form import FormValues, recall, recall_recent, remember
from etui.tui.widgets.combo import Combo
from etui.tui.widgets.form_row import FormRow
from etui.tui.widgets.multi_select import MultiSelect
from etui.tui.widgets.picker import Picker
from tests.documents import make_document
from tests.tui.hosts import Host, paste, type_text, until, work_done

pytestmark = pytest.mark.asyncio

METHODS = Path(__file__).parent / "fixtures" / "methods.pte"
"""A program with the methods ``decode`` and ``forward``, made as in ``tests/programs/test_pte_check.py``."""


def host(database: Path, width: int | None = 34) -> Host:
    return Host(lambda: Picker(Database(database)), width=width)


def picker(pilot: Pilot[None]) -> Picker:
    return pilot.app.query_one(Picker)


def row(pilot: Pilot[None], field: str) -> FormRow:
    return pilot.app.query_one(f"#picker-{field}", FormRow)


def shown(pilot: Pilot[None]) -> set[str]:
    """The fields of the form that are shown."""
    return {str(row.id).removeprefix("picker-") for row in pilot.app.query(FormRow) if row.display}


def words(pilot: Pilot[None], part: str) -> str:
    return str(pilot.app.query_one(f".picker--{part}", Static).content)


def submitted(pilot: Pilot[None]) -> list[Picker.Submitted]:
    assert isinstance(pilot.app, Host)
    return [message for message in pilot.app.heard if isinstance(message, Picker.Submitted)]


async def ready(pilot: Pilot[None]) -> None:
    """The machine has been looked at, and the first field has the focus."""
    await until(pilot, lambda: words(pilot, "total"))
    picker(pilot).focus()
    await pilot.pause()


async def go_to(pilot: Pilot[None], field: str) -> None:
    """Tab to a field from the first."""
    picker(pilot).focus()
    for _ in shown(pilot):
        if row(pilot, field).has_the_focus:
            return
        await pilot.press("tab")
    assert row(pilot, field).has_the_focus


async def go_straight_to(pilot: Pilot[None], field: str) -> None:
    """Focus a field without the keys that lead there."""
    row(pilot, field).field.focus()
    await pilot.pause()


@pytest.fixture
def timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A timm with the model ``small``, whose models are listed once this event is set."""
    row_of_timm = TimmRow((3, 64, 64), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic", 1000, False)
    table = TimmTable({"small.first": row_of_timm}, {"small": "small.first"})
    is_imported = threading.Event()

    def listed() -> bytes:
        assert is_imported.wait(60)
        return msgspec.json.encode(table)

    monkeypatch.setattr(timm_models, "is_installed", lambda: True)
    monkeypatch.setattr(timm_models, "_path", lambda: tmp_path / "timm.json")
    monkeypatch.setattr(timm_models, "_listed", listed)
    return is_imported


async def test_the_models_of_timm_are_listed_without_blocking_the_screen(database: Path, timm: threading.Event) -> None:
    async with host(database).run_test(size=(100, 60)) as pilot:
        await ready(pilot)
        picker(pilot).set_model("timm:small")
        await pilot.pause()
        picker(pilot).submit()
        assert not submitted(pilot)
        timm.set()
        await work_done(pilot)
        picker(pilot).submit()
        await until(pilot, lambda: bool(submitted(pilot)))
        assert submitted(pilot)[0].spec.model == "timm:small.first"
        assert "timm:small" in [each.value for each in suggestions.models("small")]


async def test_the_models_of_timm_are_suggested_when_they_are_listed(database: Path, timm: threading.Event) -> None:
    async with host(database).run_test(size=(100, 60)) as pilot:
        await ready(pilot)
        await type_text(pilot, "timm:s")
        options = pilot.app.query_one(OptionList)
        assert all(option.disabled for option in options.options)
        timm.set()
        await until(pilot, lambda: any(not option.disabled for option in options.options))
        await pilot.press("enter")
        assert picker(pilot).choice.model == "timm:small"


@pytest.mark.slow
async def test_the_whole_form_is_filled_and_run_from_the_keyboard(database: Path) -> None:
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await type_text(pilot, "mobile")
        await pilot.press(
            "enter", "tab", "space", "tab", "down", "space", "tab", "tab", "down", "down", "down", "enter"
        )
        await pilot.press("tab", "space", "tab", *"160", "tab", "4", "tab", "1")
        await pilot.press("tab", *"fc", "tab", "4", "tab", "1", "6", "tab", "tab", "7")
        await pilot.press("tab", "5", "0", "tab", "2", "tab", "9", "0", "enter")
        assert isinstance(pilot.app.focused, Button)
        await pilot.press("enter")
        await until(pilot, lambda: submitted(pilot))
        spec = submitted(pilot)[0].spec
    assert spec.model == "mobilenet_v2"
    shape = "160x160 batch 4"
    assert [variant.label for variant in spec.variants] == [f"int8/xnnpack {shape}", f"int8/portable {shape}"]
    assert (spec.weights, spec.preset, spec.repeat, spec.warmup, spec.threads) == ("synthetic", "rigorous", 50, 2, 1)
    assert spec.timeout_s == 90.0
    assert (spec.keep_fp32, spec.calibration_count, spec.accuracy_inputs, spec.seed) == (("fc",), 4, 16, 7)


@pytest.mark.slow
async def test_letters_that_are_keys_elsewhere_are_letters_in_the_filter(database: Path) -> None:
    async with host(database).run_test() as pilot:
        await ready(pilot)
        await type_text(pilot, "jkq/rx")
        assert pilot.app.query_one(Combo).value == "jkq/rx"
        assert not submitted(pilot)


@pytest.mark.slow
async def test_the_filter_shows_only_what_fits_and_tab_takes_the_first(database: Path) -> None:
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await type_text(pilot, "gpt")
        options = pilot.app.query_one(OptionList)
        assert [str(option.prompt).split()[0] for option in options.options if not option.disabled] == ["gpt2"]
        await pilot.press("tab")
        assert picker(pilot).choice.model == "gpt2"


@pytest.mark.slow
async def test_escape_puts_back_what_was_chosen(database: Path) -> None:
    async with host(database).run_test() as pilot:
        await ready(pilot)
        await type_text(pilot, "gpt")
        await pilot.press("escape")
        assert pilot.app.query_one(Combo).value == "resnet18"
        assert not pilot.app.query_one(Combo).is_open


@pytest.mark.slow
async def test_what_cannot_be_is_greyed_and_says_why(database: Path) -> None:
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await go_to(pilot, "precision")
        precisions = row(pilot, "precision").query_one(MultiSelect)
        await pilot.press(*["right"] * 5)
        assert precisions.pointed is not None and precisions.pointed.name == "8da4w"
        assert "8da4w" in words(pilot, "hint")
        await pilot.press("space")
        assert "8da4w" not in precisions.chosen
        assert "[-]8da4w" in str(precisions.render())


@pytest.mark.slow
async def test_j_and_k_move_in_lists(database: Path) -> None:
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await go_to(pilot, "delegate")
        delegates = row(pilot, "delegate").query_one(MultiSelect)
        await pilot.press("j", "j", "j", "k")
        assert delegates.pointed is not None and delegates.pointed.name == delegates.items[2].name
        for _ in range(20):
            await pilot.press("j")
        # The last line may have several.
        await pilot.press("right", "right")
        assert delegates.pointed is not None and delegates.pointed.name == delegates.items[-1].name
        assert delegates.items[-1].name in str(delegates.render())


async def test_a_combination_left_out_is_counted(database: Path) -> None:
    remember(FormValues(model="minilm", precisions=("fp32", "8da4w"), delegates=("xnnpack", "portable")))
    async with host(database).run_test() as pilot:
        await ready(pilot)
        assert words(pilot, "total").startswith("3 programs, 1 ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "text", "problem"),
    [
        ("repeat", "0", "at least 1"),
        ("repeat", "abc", "not a whole number"),
        ("calibration", "0", "at least 1"),
        ("inputs", "x", "not a whole number"),
        ("data", "/no/such/folder", "/no/such/folder"),
        ("seed", "-1", "at least 0"),
        ("seed", "9223372036854775808", "at most 9223372036854775807"),
        ("warmup", "1.5", "not a whole number"),
        ("timeout", "0", "more than 0 seconds"),
        ("threads", "100000", "cores, not 100000"),
        ("weights", "/no/such/weights", "weights not found"),
        ("model", "/no/such.pte", "file not found"),
    ],
)
async def test_a_wrong_field_is_marked_in_words(database: Path, field: str, text: str, problem: str) -> None:
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await go_to(pilot, field)
        await pilot.press("end", "ctrl+u")
        await paste(pilot, text)
        await pilot.press("tab")
        await pilot.pause()
        assert problem in row(pilot, field).problem
        assert "1 field" in words(pilot, "total")
        picker(pilot).submit()
        await pilot.pause()
        assert not submitted(pilot)
        assert row(pilot, field).has_the_focus


@pytest.mark.slow
async def test_a_list_with_nothing_chosen_is_marked(database: Path) -> None:
    async with host(database).run_test() as pilot:
        await ready(pilot)
        await go_to(pilot, "delegate")
        await pilot.press("space")
        assert "delegate" in row(pilot, "delegate").problem


@pytest.mark.slow
async def test_a_mended_field_is_unmarked(database: Path) -> None:
    async with host(database).run_test() as pilot:
        await ready(pilot)
        await go_to(pilot, "repeat")
        await pilot.press("0")
        assert row(pilot, "repeat").problem
        await pilot.press("backspace", "5")
        assert not row(pilot, "repeat").problem
        assert "2 programs" in words(pilot, "total")


@pytest.mark.slow
async def test_a_path_is_completed_folder_by_folder(database: Path, tmp_path: Path) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "mine.py").write_text("def make(): ...\n")
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        field = pilot.app.query_one(Combo)
        for text in (f"{tmp_path}/ne", "m", ""):
            await paste(pilot, text)
            shown = field.value
            await until(pilot, lambda: field.is_open)
            await work_done(pilot)
            await pilot.pause()
            await pilot.press("right")
            await until(pilot, lambda shown=shown: field.value != shown)  # type: ignore[misc]
        await pilot.press("tab")
        assert picker(pilot).choice.model == f"{tmp_path}/nets/mine.py:make"
        assert not row(pilot, "model").problem


async def test_a_finished_program_leaves_nothing_to_choose(database: Path, tmp_path: Path) -> None:
    (tmp_path / "net.pte").touch()
    async with host(database).run_test() as pilot:
        await ready(pilot)
        picker(pilot).set_model(str(tmp_path / "net.pte"))
        await pilot.pause()
        lists = [row(pilot, name).query_one(MultiSelect) for name in ("precision", "delegate")]
        assert [select.chosen for select in lists] == [("as-is",), ("as-is",)]
        picker(pilot).set_model("resnet18")
        await pilot.pause()
        assert lists[0].chosen == ("fp32", "int8")


async def test_shapes_that_a_model_takes_have_fields_and_make_variants(database: Path) -> None:
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        assert {"input_size", "batch"} <= shown(pilot) and not {"sequence", "dynamic", "methods"} & shown(pilot)
        await go_straight_to(pilot, "input_size")
        await paste(pilot, "128,160x320")
        assert "dynamic" in shown(pilot) and words(pilot, "total").startswith("4 programs")
        await go_straight_to(pilot, "dynamic")
        await pilot.press("space")
        assert words(pilot, "total").startswith("6 programs, 8 runs")
        picker(pilot).focus()
        picker(pilot).set_model("distilbert")
        await pilot.pause()
        assert "sequence" in shown(pilot) and not {"input_size", "dynamic"} & shown(pilot)
        assert picker(pilot).choice == FormValues(model="distilbert")
        await go_straight_to(pilot, "sequence")
        await paste(pilot, "16,4096")
        assert "512" in row(pilot, "sequence").problem
        await pilot.press("backspace", "backspace")
        picker(pilot).submit()
        await until(pilot, lambda: submitted(pilot))
    variants = submitted(pilot)[0].spec.variants
    assert [(variant.precision, variant.sequence) for variant in variants] == [
        ("fp32", 16), ("fp32", 40), ("int8", 16), ("int8", 40)
    ]  # fmt: skip


async def test_a_baseline_that_is_not_installed_names_its_package(database: Path) -> None:
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await go_straight_to(pilot, "baseline")
        await pilot.press("space", "right")
        assert "pip install onnx onnxruntime onnxscript" in words(pilot, "hint")
        assert words(pilot, "total").startswith("3 programs")
        picker(pilot).submit()
        await until(pilot, lambda: submitted(pilot))
        labels = [variant.label for variant in submitted(pilot)[0].spec.variants]
        assert labels == ["fp32/xnnpack", "int8/xnnpack", "fp32/compile"]
        picker(pilot).focus()
        picker(pilot).set_model(str(METHODS))
        await pilot.pause()
        assert "baseline" not in shown(pilot) and picker(pilot).choice.baseline == ()


async def test_the_methods_of_a_program_are_chosen(database: Path) -> None:
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        picker(pilot).show_values(FormValues(weights="synthetic", keep_fp32="fc"))
        picker(pilot).set_model(str(METHODS))
        await pilot.pause()
        assert not {"weights", "keep_fp32"} & shown(pilot) and picker(pilot).choice == FormValues(model=str(METHODS))
        methods = row(pilot, "methods").query_one(MultiSelect)
        assert (methods.chosen, picker(pilot).choice.methods) == (("forward",), ())
        await go_straight_to(pilot, "methods")
        await pilot.press("space")
        assert (methods.chosen, picker(pilot).choice.methods) == (("decode", "forward"), ("decode", "forward"))
        assert "decode(float32 [2])" in words(pilot, "hint") and words(pilot, "total").startswith("1 program, 2 runs")
        await until(pilot, lambda: "unknown" in words(pilot, "time"))
        picker(pilot).submit()
        await until(pilot, lambda: submitted(pilot))
        variants = submitted(pilot)[0].spec.variants
        assert [variant.label for variant in variants] == ["as-is/as-is decode", "as-is/as-is"]


async def test_the_time_comes_from_the_model_s_size_then_from_past_runs(database: Path) -> None:
    async with host(database).run_test() as pilot:
        await ready(pilot)
        await until(pilot, lambda: "by model size" in words(pilot, "time"))
        with Store.open(database) as store:
            store.import_documents([make_document("aaaaaaaaaaa1"), make_document("aaaaaaaaaaa2", precision="int8")])
        picker(pilot).set_model("resnet18")
        await until(pilot, lambda: "from similar runs" in words(pilot, "time"))
        assert words(pilot, "time").startswith("about ")


@pytest.mark.slow
async def test_a_database_that_is_none_does_not_stop_the_picker(database: Path) -> None:
    database.write_text("no database, and longer than a header of sixteen bytes")
    async with host(database).run_test() as pilot:
        await ready(pilot)
        await until(pilot, lambda: "by model size" in words(pilot, "time"))


async def test_what_was_run_last_stands_there_at_the_next_start(database: Path) -> None:
    async with host(database).run_test() as pilot:
        await ready(pilot)
        picker(pilot).set_model("minilm")
        picker(pilot).submit()
        await until(pilot, lambda: submitted(pilot))
        await work_done(pilot)
    assert recall().model == "minilm"
    async with host(database).run_test() as pilot:
        await ready(pilot)
        assert pilot.app.query_one(Combo).value == "minilm"


async def test_the_mouse_chooses_too(database: Path) -> None:
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        select = row(pilot, "precision").query_one(MultiSelect)
        await pilot.click(select, offset=(9, 0))
        assert "fp16" in select.chosen
        await pilot.click(pilot.app.query_one(Button))
        await until(pilot, lambda: submitted(pilot))


@pytest.mark.slow
async def test_names_with_markup_are_text(database: Path) -> None:
    async with host(database).run_test() as pilot:
        await ready(pilot)
        picker(pilot).set_model("[bold]/x\x1b[31m.pte")
        await pilot.pause()
        assert "[bold]" in row(pilot, "model").problem
        assert "\x1b" not in row(pilot, "model").problem


async def test_modules_are_kept_in_fp32_only_with_a_quantized_precision(database: Path) -> None:
    remember(FormValues(precisions=("fp32",), keep_fp32="fc"))
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        picker(pilot).submit()
        await pilot.pause()
        assert "does not quantize" in row(pilot, "keep_fp32").problem
        assert not submitted(pilot)


async def test_a_shape_that_the_model_does_not_take_is_shown_and_marked(database: Path) -> None:
    # As an earlier version, which had no field for it, stored it.
    remember(FormValues(model="vit_b_16", precisions=("fp32",), others={"input_size": ["160"]}))
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        picker(pilot).submit()
        await pilot.pause()
        assert "224" in row(pilot, "input_size").problem and row(pilot, "input_size").has_the_focus
        assert not submitted(pilot)
        await pilot.press("ctrl+u", "tab")
        assert "input_size" not in shown(pilot), "the model takes only its own size"
        picker(pilot).submit()
        await until(pilot, lambda: submitted(pilot))
        assert submitted(pilot)[0].spec.variants[0].label == "fp32/xnnpack"


@pytest.mark.slow
async def test_lists_take_the_free_rows_and_then_say_why_something_is_not_available(database: Path) -> None:
    async with host(database, width=34).run_test(size=(120, 36)) as pilot:
        await ready(pilot)
        delegates = row(pilot, "delegate").query_one(MultiSelect)
        await until(pilot, lambda: delegates.size.height > 3)
    async with host(database, width=60).run_test(size=(120, 50)) as pilot:
        await ready(pilot)
        delegates = row(pilot, "delegate").query_one(MultiSelect)
        await until(pilot, lambda: delegates.size.height == len(delegates.items))
        lines = str(delegates.render()).splitlines()
        assert lines[0].startswith("[x] xnnpack ") and not any("[ ]" in line for line in lines[3:])
        assert any(line.startswith("[-] metal ") and "macOS" in line for line in lines)


@pytest.mark.slow
async def test_a_priority_is_chosen_and_queued(database: Path) -> None:
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await go_to(pilot, "priority")
        await pilot.press("space")
        assert "lower priority" in words(pilot, "hint")
        picker(pilot).submit()
        await until(pilot, lambda: submitted(pilot))
    assert submitted(pilot)[0].spec.priority == "high"


@pytest.mark.slow
async def test_the_last_five_come_back_one_by_one(database: Path) -> None:
    for model in ("gpt2", "minilm", "resnet18", "resnet34", "resnet50", "gpt2", "mobilenet_v2"):
        remember(FormValues(model=model, seed="3", others={"wait_quiet": 2.0}))
    assert [values.model for values in recall_recent()] == ["mobilenet_v2", "gpt2", "resnet50", "resnet34", "resnet18"]
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        seen = [picker(pilot).choice.model]
        for _ in range(5):
            picker(pilot).show_older()
            await pilot.pause()
            seen.append(pilot.app.query_one(Combo).value)
        assert seen == ["mobilenet_v2", "gpt2", "resnet50", "resnet34", "resnet18", "mobilenet_v2"]
        assert row(pilot, "seed").field.value == "3"  # type: ignore[attr-defined]
        picker(pilot).submit()
        await until(pilot, lambda: submitted(pilot))
        assert (submitted(pilot)[0].spec.seed, submitted(pilot)[0].spec.wait_quiet_min) == (3, 2.0)
