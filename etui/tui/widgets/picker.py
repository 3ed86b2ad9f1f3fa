"""The picker: the form for a new session, with validation, the number of programs and the estimated time."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Self

import msgspec
from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from etui.catalog.find import Model
from etui.catalog.models import MODELS
from etui.errors import EtuiError, UsageError
from etui.host.cpus import usable_cores
from etui.paths import cache_dir
from etui.services.request import FieldName, is_as_is
from etui.services.time_estimate import SimilarRun, estimate, is_known, newest_similar
from etui.spec import (
    DEFAULT_ACCURACY_INPUTS,
    DEFAULT_CALIBRATION_COUNT,
    DEFAULT_TIMEOUT_S,
    PRESETS,
    SessionSpec,
    Variant,
)
from etui.store import Store
from etui.text import plain
from etui.tui import suggestions
from etui.tui.database import Database
from etui.tui.defect_guard import Guarded
from etui.tui.error_text import to_text
from etui.tui.glyphs import glyphs_of
from etui.tui.picker_form import (
    OPTIONAL,
    TYPED,
    Checked,
    FormValues,
    check,
    fields_of,
    own_shape,
    recall,
    recall_recent,
    remember,
    without_others,
)
from etui.tui.picker_options import (
    FIRST_BASELINES,
    FIRST_DELEGATES,
    as_is_item,
    baseline_items,
    chosen_methods,
    delegate_items,
    measured_methods,
    method_items,
    precision_items,
)
from etui.tui.picker_text import (
    BASIS,
    READING_TIMM,
    SHORT_BASIS,
    SHORT_UNKNOWN_TIME,
    UNKNOWN_TIME,
    about_configuration,
    about_field,
    about_item,
    about_others,
    programs,
)
from etui.tui.widgets.combo import Combo
from etui.tui.widgets.cycle import Cycle
from etui.tui.widgets.form_row import FormRow
from etui.tui.widgets.key_bar import Footer, Hint
from etui.tui.widgets.multi_select import Item, MultiSelect
from etui.tui.workers import in_daemon_thread, start

_ESTIMATE_DELAY_S = 0.15
"""The form must be unchanged for this long before its time is estimated."""
_ROOMY = 25
"""From this height on all fields, a long hint and the totals fit."""
_LABEL_CELLS = 11
_LEAST_PRECISIONS, _LEAST_DELEGATES = 5, 3
"""Lines of the lists in a low pane, where the fields scroll."""

_LABELS: dict[FieldName, str] = {
    "model": "Model",
    "methods": "Methods",
    "precision": "Precision",
    "delegate": "Delegate",
    "baseline": "Baseline",
    "weights": "Weights",
    "preset": "Preset",
    "input_size": "Size",
    "sequence": "Sequence",
    "batch": "Batch",
    "dynamic": "Dynamic",
    "threads": "Threads",
    "keep_fp32": "Keep FP32",
    "calibration": "Calibrate",
    "inputs": "Evaluate",
    "data": "Data",
    "seed": "Seed",
    "repeat": "Repeat",
    "warmup": "Warm-up",
    "timeout": "Timeout",
    "priority": "Priority",
}
_PLACEHOLDERS: dict[FieldName, str] = {
    "input_size": "the model's own",
    "sequence": "the model's own",
    "batch": "the model's own",
    "keep_fp32": "no module",
    "calibration": f"on {DEFAULT_CALIBRATION_COUNT} inputs",
    "inputs": f"on {DEFAULT_ACCURACY_INPUTS} inputs",
    "data": "made for the model",
    "seed": "0",
    "repeat": "from the preset",
    "warmup": "until stable",
    "timeout": f"{DEFAULT_TIMEOUT_S:.0f} s",
}
_DYNAMIC = (("no", "one program per shape"), ("yes", "one for all shapes too"))


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


class Picker(Guarded, Vertical):
    """The fields of a session. ``Submitted`` carries their values when all are valid."""

    DEFAULT_CSS = """
    Picker { border: round $border-blurred; border-title-color: $text-muted; height: 1fr; }
    Picker:focus-within { border: round $border; border-title-color: $text-accent; border-title-style: bold; }
    Picker .picker--fields { height: 1fr; scrollbar-size-vertical: 1; }
    Picker .picker--fields Input { width: 1fr; background: transparent; }
    Picker .picker--fields Input:focus { background: $panel; }
    Picker .picker--hint { height: auto; min-height: 2; max-height: 9; padding: 0 1; color: $text-muted; }
    Picker.-low .picker--hint { min-height: 1; max-height: 5; }
    Picker.-low .picker--time { display: none; }
    Picker .picker--total { height: 1; padding: 0 1; text-style: bold; }
    Picker .picker--time { height: 1; padding: 0 1; color: $text-muted; }
    Picker .picker--run { width: 100%; min-width: 8; }
    """

    class Submitted(Message):
        """A valid session was requested."""

        def __init__(self, spec: SessionSpec, model: Model) -> None:
            super().__init__()
            self.spec = spec
            self.model = model

    def __init__(self, database: Database, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.border_title = "New run"
        self._database = database
        self._choice = recall()
        self._checked = Checked()
        self._touched: set[FieldName] = set()
        self._is_machine_checked = False
        self._is_listing = False
        self._listing_problem = ""
        self._is_model_new = False
        self._pointed: Item | None = None
        self._estimate_text = self._short_estimate = ""
        self._estimate_timer: Timer | None = None
        self._rows: dict[FieldName, FormRow] = {}

    # Building

    def compose(self) -> ComposeResult:
        """Compose the fields, a hint on the focused one, the totals, and the button."""
        choice = self._choice
        chosen = dict.fromkeys((*FIRST_DELEGATES, *choice.delegates))
        times = glyphs_of(self).times
        presets = [(preset.name, f"{preset.blocks}{times}{preset.block_s:g} s") for preset in PRESETS.values()]
        self._model = Combo(choice.model, suggest=suggestions.models, pick=True)
        self._weights = Combo(choice.weights, suggest=suggestions.weights)
        self._precisions = MultiSelect(precision_items(None, ()), choice.precisions, rows=5)
        self._delegates = MultiSelect([Item(name=name) for name in chosen], choice.delegates, rows=3)
        self._preset = Cycle(presets, choice.preset)
        self._priority = Cycle([(name, "in the queue") for name in ("normal", "high", "low")], choice.priority)
        placeholders = _PLACEHOLDERS | {"threads": f"{usable_cores()}, all cores"}
        self._methods = MultiSelect(method_items(None, choice.methods), choice.methods, rows=1)
        self._baselines = MultiSelect(
            [Item(name=name) for name in dict.fromkeys((*FIRST_BASELINES, *choice.baseline))], choice.baseline, rows=1
        )
        self._dynamic = Cycle(_DYNAMIC, _yes_or_no(choice.dynamic))
        self._typed: dict[FieldName, Input | Combo] = {
            name: Input(getattr(choice, name), placeholder=placeholders[name], compact=True) for name in TYPED
        }
        self._typed["data"] = Combo(choice.data, suggest=suggestions.folders, placeholder=placeholders["data"])
        fields: dict[FieldName, Widget] = {
            "model": self._model,
            "methods": self._methods,
            "precision": self._precisions,
            "delegate": self._delegates,
            "baseline": self._baselines,
            "weights": self._weights,
            "preset": self._preset,
            **self._typed,
            "priority": self._priority,
            "dynamic": self._dynamic,
        }
        self._rows = {name: FormRow(label, fields[name], id=f"picker-{name}") for name, label in _LABELS.items()}
        applying = fields_of(MODELS.get(choice.model))
        for name in OPTIONAL:
            # Only the catalog's models are known before the machine is checked.
            self._rows[name].display = name in applying
        self._fields = VerticalScroll(*self._rows.values(), classes="picker--fields", can_focus=False)
        yield self._fields
        self._hint = Static(classes="picker--hint", markup=False)
        self._total = Static(classes="picker--total", markup=False)
        self._time = Static(classes="picker--time", markup=False)
        yield self._hint
        yield self._total
        yield self._time
        yield Button("Run", variant="primary", compact=True, classes="picker--run")

    def on_resize(self, event: events.Resize) -> None:
        """In a low pane show the totals on one line, so that the fields have more room."""
        self.set_class(event.size.height < _ROOMY, "-low")
        self._show_totals()
        self.call_after_refresh(self._fill_rows)

    def _fill_rows(self) -> None:
        """Give the lists the rows that the other fields leave free: descriptions first for the delegates, which have
        the reasons why most are not available, then for the precisions, the methods and the baselines."""
        width, height = self._fields.size
        cells = width - _LABEL_CELLS
        visible = [name for name, row in self._rows.items() if row.display]
        others = len(visible) - 2 + sum(bool(self._rows[name].problem) for name in visible)
        for name, select in (("methods", self._methods), ("baseline", self._baselines)):
            # Without a choice one line is enough: the others are counted at its end, and it scrolls with the cursor.
            lines = select.lines_needed(cells) if select.chosen else 1
            select.lay_out(lines, described=False)
            others += lines - 1 if name in visible else 0
        free = height - others
        precisions, items = self._precisions.lines_needed(cells), len(self._delegates.items)
        described = items if self._delegates.has_room_for_descriptions(cells) else free + 1
        all_precisions = len(self._precisions.items)
        if self._precisions.has_room_for_descriptions(cells) and free >= all_precisions + described:
            self._precisions.lay_out(all_precisions, described=True)
            self._delegates.lay_out(items, described=True)
            free -= all_precisions + described
        elif free >= precisions + described:
            self._precisions.lay_out(precisions, described=False)
            self._delegates.lay_out(items, described=True)
            free -= precisions + described
        else:
            lines = max(_LEAST_PRECISIONS, min(precisions, free - _LEAST_DELEGATES))
            self._precisions.lay_out(lines, described=False)
            self._delegates.lay_out(max(_LEAST_DELEGATES, free - min(lines, precisions)), described=False)
            free -= min(lines, precisions) + self._delegates.lines_needed(cells)
        for name, select in (("methods", self._methods), ("baseline", self._baselines)):
            is_described = select.has_room_for_descriptions(cells) and len(select.items) <= free + 1
            lines = len(select.items) if is_described else select.lines_needed(cells)
            if name in visible and 1 < lines <= free + 1:
                select.lay_out(lines, described=is_described)
                free -= lines - 1

    def on_mount(self) -> None:
        """Check what this machine supports after the first paint."""
        self.call_after_refresh(start, self, self._check_machine, group="look-up")

    async def _check_machine(self) -> None:
        # Finding the installed packages reads the disk; the catalog caches the result.
        await asyncio.to_thread(lambda: (delegate_items(None, ()), baseline_items(None, (), ())))
        self._is_machine_checked = True
        self._review()

    # Interface for the screen

    def focus(self, scroll_visible: bool = True) -> Self:
        """Focus the first field. Estimate again, since new runs may improve the estimate."""
        self._start_estimate()
        self._model.focus(scroll_visible)
        return self

    def footer(self) -> Footer:
        """Return the keys of the focused field."""
        focused = self.screen.focused
        following = Hint("tab", "next field")
        if isinstance(focused, Input):
            of_list = ["list.next"] if isinstance(focused.parent, Combo) else []
            return Footer([*of_list, Hint("enter", "go to Run"), following, "bench.configurations", "bench.back"])
        if isinstance(focused, Button):
            return Footer([Hint("enter", "run"), following, "bench.configurations", "bench.back"])
        return Footer(["picker.choose", following, "bench.run", "bench.configurations", "bench.back"])

    @property
    def model_name(self) -> str:
        """The name or path of the model, as it is in the form."""
        return self.choice.model

    def set_model(self, name: str) -> None:
        """Select a model by its name or path."""
        self._model.value = name
        self._is_model_new = True
        self._take("model", model=name)

    def submit(self) -> None:
        """Request the session, or mark invalid fields and focus the first of them; if only options of a saved
        configuration that have no field are invalid, show why."""
        self._touched = set(self._rows)
        self._is_machine_checked = True
        self._review()
        checked = self._checked
        if checked.spec is not None and checked.model is not None:
            start(self, partial(asyncio.to_thread, remember, self._choice), group="remember")
            self.post_message(self.Submitted(checked.spec, checked.model))
            return
        first = next((name for name in self._rows if name in checked.problems), None)
        if first is not None:
            self._rows[first].field.focus()
        else:
            self.notify("\n".join(checked.problems.values()), severity="error", markup=False)
        self.app.bell()

    def show_values(self, values: FormValues) -> None:
        """Put values into all fields."""
        self._touched = set(self._rows)
        self._is_model_new = False
        self._put(values)
        self._is_machine_checked = True
        self._review()

    def _put(self, values: FormValues) -> None:
        """Put values into the fields. The lists take them with their items, in ``_review``."""
        self._choice = values
        with self.prevent(Input.Changed, Combo.Changed, MultiSelect.Changed, Cycle.Changed):
            self._model.value, self._weights.value = values.model, values.weights
            self._preset.value, self._priority.value = values.preset, values.priority
            self._dynamic.value = _yes_or_no(values.dynamic)
            for name, field in self._typed.items():
                field.value = getattr(values, name)

    def show_older(self) -> None:
        """Put the values that were run before these into the fields; after the fifth, the newest again."""
        recent = recall_recent()
        if not recent:
            self.app.bell()
            return
        at = recent.index(self._choice) + 1 if self._choice in recent else 0
        self.show_values(recent[at % len(recent)])

    def refuse(self, field: FieldName, problem: str) -> None:
        """Show why the requested session would fail at the field that the problem belongs to, until it is changed."""
        if field in self._rows:
            self._rows[field].display = True
            self._rows[field].mark(problem)
            self._rows[field].field.focus()
        self.app.bell()

    @property
    def choice(self) -> FormValues:
        """The current values of the fields."""
        return self._choice

    # Changes

    @on(Combo.Changed)
    def _combo_changed(self, event: Combo.Changed) -> None:
        event.stop()
        if event.combo is self._model:
            self._is_model_new = True
        name = self._name_of(event.combo)
        self._take(name, **{name: event.value})

    @on(Combo.Typed)
    def _combo_typed(self, event: Combo.Typed) -> None:
        event.stop()
        self._rows[self._name_of(event.combo)].mark(None)
        if event.combo is self._model:
            self._is_timm_unlisted(event.value)

    @on(Combo.Submitted)
    @on(Input.Submitted)
    def _done(self, event: Combo.Submitted | Input.Submitted) -> None:
        event.stop()
        self.query_one(Button).focus()

    @on(Cycle.Changed)
    def _cycled(self, event: Cycle.Changed) -> None:
        event.stop()
        name = self._name_of(event.cycle)
        self._take(name, **{name: event.value == "yes" if event.cycle is self._dynamic else event.value})
        self._show_hint()

    @on(MultiSelect.Changed)
    def _chosen(self, event: MultiSelect.Changed) -> None:
        event.stop()
        if event.select is self._methods:
            self._take("methods", methods=chosen_methods(event.chosen))
        elif event.select is self._baselines:
            self._take("baseline", baseline=event.chosen)
        elif self._checked.model is not None and is_as_is(self._checked.model):
            self._review()
        elif event.select is self._precisions:
            self._take("precision", precisions=event.chosen)
        else:
            self._take("delegate", delegates=event.chosen)

    @on(MultiSelect.Pointed)
    def _pointed_at(self, event: MultiSelect.Pointed) -> None:
        event.stop()
        self._pointed = event.item
        self._show_hint()

    @on(Input.Changed)
    def _number_changed(self, event: Input.Changed) -> None:
        event.stop()
        name = self._name_of(event.input)
        self._take(name, **{name: event.value})

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.submit()

    def on_descendant_focus(self) -> None:
        """Show the hint for the focused field."""
        self._show_hint()

    def on_descendant_blur(self) -> None:
        """Show the hint for the whole form when the focus leaves, and no longer a field that does not apply."""
        self._show_hint()
        if self._is_machine_checked:
            self._show_rows()

    def _name_of(self, field: Widget) -> FieldName:
        return next(name for name, row in self._rows.items() if row.field is field)

    def _take(self, field: FieldName, **changes: object) -> None:
        self._choice = msgspec.structs.replace(self._choice, **changes)
        self._touched.add(field)
        self._review()

    def _review(self) -> None:
        """Validate the form and update errors, items and totals."""
        if not self._is_machine_checked:
            return
        self._checked = checked = self._check()
        if self._is_model_new and checked.model is not None:
            self._is_model_new = False
            # The user sees the fields disappear, and what they had no longer counts.
            if (kept := without_others(self._choice, checked.model)) != self._choice:
                self._put(kept)
                self._checked = checked = self._check()
        for name, row in self._rows.items():
            row.mark(checked.problems.get(name) if name in self._touched else None)
        if checked.model is not None and is_as_is(checked.model):
            self._precisions.set_items([as_is_item()], [as_is_item().name])
            self._delegates.set_items([as_is_item()], [as_is_item().name])
        else:
            choice = self._choice
            self._precisions.set_items(precision_items(checked.model, choice.delegates), choice.precisions)
            self._delegates.set_items(delegate_items(checked.model, choice.precisions), choice.delegates)
        choice = self._choice
        self._baselines.set_items(baseline_items(checked.model, choice.precisions, choice.baseline), choice.baseline)
        self._methods.set_items(
            method_items(checked.model, choice.methods), measured_methods(checked.model, choice.methods)
        )
        self._show_rows()
        self._estimate_text = ""
        self._show_totals()
        self._show_hint()
        self._fill_rows()
        if self._estimate_timer is not None:
            self._estimate_timer.stop()
        if checked.spec is not None:
            self._estimate_timer = self.set_timer(_ESTIMATE_DELAY_S, self._start_estimate)

    def _show_rows(self) -> None:
        """Show the fields that apply to the model, and no other unless it has the focus."""
        for name in OPTIONAL:
            row = self._rows[name]
            row.display = name in self._checked.fields or name in self._checked.problems or row.has_the_focus
        self._show_own_shape()

    def _show_own_shape(self) -> None:
        """Show the model's own shape in the empty fields, if it is known."""
        model = self._checked.model
        own = own_shape(model) if model is not None else {}
        for name in ("input_size", "sequence", "batch"):
            field = self._typed[name]
            if isinstance(field, Input):
                field.placeholder = f"{own[name]}, the model's" if name in own else _PLACEHOLDERS[name]

    def _check(self) -> Checked:
        """Check the form. A model of timm is checked once timm's models are listed, which imports timm in a process."""
        if not self._is_timm_unlisted(self._choice.model):
            return check(self._choice)
        return Checked(problems={"model": self._listing_problem or READING_TIMM}, fields=self._checked.fields)

    def _is_timm_unlisted(self, model: str) -> bool:
        """Whether this model can only be found once timm's models are listed, which is then started."""
        from etui.catalog.timm_models import is_unlisted  # Not needed for the first paint.

        if not is_unlisted(model):
            return False
        if not self._is_listing and not self._listing_problem:
            self._is_listing = True
            start(self, self._list_timm, group="timm")
        return True

    async def _list_timm(self) -> None:
        from etui.catalog.timm_models import list_models

        try:
            await in_daemon_thread(list_models)
        except UsageError as error:
            self._listing_problem = to_text(error)
        self._is_listing = False
        if self._model.is_changed:
            self._rows["model"].mark(self._listing_problem or None)
            self._model.open()
        else:
            self._review()

    # Hint

    def _show_hint(self) -> None:
        self._hint.update(Text(plain(self._about(), keep_lines=True)))

    def _about(self) -> str:
        if self._pointed is not None:
            return about_item(self._pointed)
        focused = next((name for name, row in self._rows.items() if row.has_the_focus), None)
        if about := about_field(focused, self._choice):
            return about
        without_field = [problem for name, problem in self._checked.problems.items() if name not in self._rows]
        others = (about_configuration(self._checked), about_others(self._choice))
        return "\n".join(filter(None, (*without_field, *others)))

    # Estimated time

    def _start_estimate(self) -> None:
        if self._checked.spec is not None and self._checked.model is not None:
            work = partial(self._estimate, self._checked.spec, self._checked.model)
            start(self, work, group="estimate", exclusive=True)

    async def _estimate(self, spec: SessionSpec, model: Model) -> None:
        def read(store: Store) -> dict[Variant, SimilarRun]:
            return newest_similar(store, spec, model, cache_dir())

        similar: dict[Variant, SimilarRun] = {}
        # Database errors are reported elsewhere; an estimate is possible without similar runs.
        with contextlib.suppress(EtuiError, OSError):
            similar = await self._database.read(read)
        if self._checked.spec != spec:
            return
        if is_known(spec, model, similar):
            result, dot = estimate(spec, model, similar, usable_cores()), glyphs_of(self).dot
            self._estimate_text = f"{result.text} {dot} {BASIS[result.basis]}"
            self._short_estimate = f"{result.text} {dot} {SHORT_BASIS[result.basis]}"
        else:
            self._estimate_text, self._short_estimate = UNKNOWN_TIME, SHORT_UNKNOWN_TIME
        self._show_totals()

    def _show_totals(self) -> None:
        """Show the number of programs and the estimated time; on one line in a low pane."""
        if not self._is_machine_checked:
            return
        total, low = programs(self._checked), self.has_class("-low")
        if low and self._estimate_text:
            total = f"{total} {glyphs_of(self).dot} {self._short_estimate}"
        self._total.update(Text(total, no_wrap=True, overflow="ellipsis"))
        self._time.update(Text(self._estimate_text, no_wrap=True, overflow="ellipsis"))
