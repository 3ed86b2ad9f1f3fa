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
from etui.tui.picker_form import TYPED, FormValues, recall, recall_recent, remember
from etui.tui.widgets.combo import Combo
from etui.tui.widgets.form_row import FormRow
from etui.tui.widgets.multi_select import MultiSelect
from etui.tui.widgets.picker import Picker
from tests.documents import make_document
from tests.tui.hosts import Host, notices, paste, type_text, until, work_done

pytestmark = pytest.mark.asyncio
FIELDS = ("model", "precision", "delegate", "weights", "preset", *TYPED, "priority")


def host(database: Path, width: int | None = 34) -> Host:
    return Host(lambda: Picker(Database(database)), width=width)


def picker(pilot: Pilot[None]) -> Picker:
    return pilot.app.query_one(Picker)


def row(pilot: Pilot[None], field: str) -> FormRow:
    return list(pilot.app.query(FormRow))[FIELDS.index(field)]


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
    for _ in range(FIELDS.index(field)):
        await pilot.press("tab")


async def test_the_models_of_timm_are_listed_without_blocking_the_screen(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_of_timm = TimmRow((3, 64, 64), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic", 1000, False)
    table = TimmTable({"small.first": row_of_timm}, {"small": "small.first"})
    is_imported = threading.Event()

    def listed() -> bytes:
        assert is_imported.wait(60)
        return msgspec.json.encode(table)

    monkeypatch.setattr(timm_models, "_path", lambda: tmp_path / "timm.json")
    monkeypatch.setattr(timm_models, "_listed", listed)
    async with host(database).run_test(size=(100, 60)) as pilot:
        await ready(pilot)
        picker(pilot).set_model("timm:small")
        await pilot.pause()
        picker(pilot).submit()
        assert not submitted(pilot)
        is_imported.set()
        await work_done(pilot)
        picker(pilot).submit()
        await until(pilot, lambda: bool(submitted(pilot)))
        assert submitted(pilot)[0].spec.model == "timm:small.first"
        assert "timm:small" in [each.value for each in suggestions.models("small")]


@pytest.mark.slow
async def test_the_whole_form_is_filled_and_run_from_the_keyboard(database: Path) -> None:
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await type_text(pilot, "mobile")
        await pilot.press("enter", "tab", "space", "tab", "down", "space", "tab", "down", "down", "down", "enter")
        await pilot.press("tab", "space", "tab", *"fc", "tab", "4", "tab", "1", "6", "tab", "tab", "7")
        await pilot.press("tab", "5", "0", "tab", "2", "tab", "1", "tab", "9", "0", "enter")
        assert isinstance(pilot.app.focused, Button)
        await pilot.press("enter")
        await until(pilot, lambda: submitted(pilot))
        spec = submitted(pilot)[0].spec
    assert spec.model == "mobilenet_v2"
    assert [variant.label for variant in spec.variants] == ["int8/xnnpack", "int8/portable"]
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
        precisions = pilot.app.query(MultiSelect).first()
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
        delegates = pilot.app.query(MultiSelect).last()
        await pilot.press("j", "j", "j", "k")
        assert delegates.pointed is not None and delegates.pointed.name == delegates.items[2].name
        for _ in range(20):
            await pilot.press("j")
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
        assert [select.chosen for select in pilot.app.query(MultiSelect)] == [("as-is",), ("as-is",)]
        picker(pilot).set_model("resnet18")
        await pilot.pause()
        assert pilot.app.query(MultiSelect).first().chosen == ("fp32", "int8")


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
        select = pilot.app.query(MultiSelect).first()
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


async def test_an_option_without_a_field_that_is_not_valid_is_explained(database: Path) -> None:
    remember(FormValues(model="vit_b_16", precisions=("fp32",), others={"input_size": ["160"]}))
    async with host(database).run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await go_to(pilot, "priority")
        await pilot.press("tab")
        assert "224" in words(pilot, "hint") and "160" in words(pilot, "hint")
        picker(pilot).submit()
        await until(pilot, lambda: any("224" in notice.message for notice in notices(pilot.app)))
        assert not submitted(pilot)


@pytest.mark.slow
async def test_lists_take_the_free_rows_and_then_say_why_something_is_not_available(database: Path) -> None:
    async with host(database, width=34).run_test(size=(120, 30)) as pilot:
        await ready(pilot)
        delegates = pilot.app.query(MultiSelect).last()
        await until(pilot, lambda: delegates.size.height > 3)
    async with host(database, width=60).run_test(size=(120, 50)) as pilot:
        await ready(pilot)
        delegates = pilot.app.query(MultiSelect).last()
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
