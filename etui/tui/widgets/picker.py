"""The picker: what to run next, checked field by field, with the number of programs and the time it will take."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import msgspec
from rich.text import Text
from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Button, Input, Static

from etui.catalog.find import Model
from etui.errors import EtuiError
from etui.host.cpus import usable_cores
from etui.paths import cache_dir
from etui.services.request import FieldName, is_as_is
from etui.spec import DEFAULT_TIMEOUT_S, PRESETS, SessionSpec, Variant
from etui.store import Store
from etui.text import plain
from etui.tui import suggestions as suggest
from etui.tui.defect_guard import Guarded
from etui.tui.glyphs import glyphs_of
from etui.tui.picker_form import Checked, Choice, check, recall, remember
from etui.tui.picker_options import FIRST_DELEGATES, as_is_item, delegate_items, precision_items
from etui.tui.picker_text import BASIS, about_configuration, about_field, about_item, programs
from etui.tui.time_estimate import Estimate, Past, estimate, history
from etui.tui.widgets.combo import Combo
from etui.tui.widgets.cycle import Cycle
from etui.tui.widgets.form_row import FormRow
from etui.tui.widgets.multi_select import Item, MultiSelect

_SETTLE_S = 0.15
"""So long a choice must stay before its time is estimated."""
_ROOMY = 25
"""With this many lines all fields, a long hint and the totals fit."""


class Picker(Guarded, Vertical):
    """The fields of a session. ``Submitted`` carries what they say, once nothing in them is wrong."""

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
        """A session is wanted: nothing is wrong with it."""

        def __init__(self, spec: SessionSpec, model: Model) -> None:
            super().__init__()
            self.spec = spec
            self.model = model

    def __init__(self, database: Path, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.border_title = "New run"
        self._database = database
        self._choice = recall()
        self._checked = Checked()
        self._touched: set[FieldName] = set()
        self._looked_up = False
        self._pointed: Item | None = None
        self._estimate_words = ""
        self._estimate_timer: Timer | None = None
        self._rows: dict[FieldName, FormRow] = {}

    # Building

    def compose(self) -> ComposeResult:
        """The fields, a hint on the one with the focus, the totals, and the button."""
        choice = self._choice
        chosen = dict.fromkeys((*FIRST_DELEGATES, *choice.delegates))
        times = glyphs_of(self).times
        presets = [(preset.name, f"{preset.blocks}{times}{preset.block_s:g} s") for preset in PRESETS.values()]
        self._model = Combo(choice.model, suggest=suggest.models, pick=True)
        self._weights = Combo(choice.weights, suggest=suggest.weights)
        self._precisions = MultiSelect(precision_items(None, ()), choice.precisions, rows=5)
        self._delegates = MultiSelect([Item(name=name) for name in chosen], choice.delegates, rows=3)
        self._preset = Cycle(presets, choice.preset)
        numbers: dict[FieldName, Input] = {
            "repeat": Input(choice.repeat, placeholder="by the preset", compact=True),
            "warmup": Input(choice.warmup, placeholder="until it settles", compact=True),
            "threads": Input(choice.threads, placeholder=f"{usable_cores()}, every core", compact=True),
            "timeout": Input(choice.timeout, placeholder=f"{DEFAULT_TIMEOUT_S:.0f} s", compact=True),
        }
        self._numbers = numbers
        self._rows = {
            "model": FormRow("Model", self._model),
            "precision": FormRow("Precision", self._precisions),
            "delegate": FormRow("Delegate", self._delegates),
            "weights": FormRow("Weights", self._weights),
            "preset": FormRow("Preset", self._preset),
            "repeat": FormRow("Repeat", numbers["repeat"]),
            "warmup": FormRow("Warm-up", numbers["warmup"]),
            "threads": FormRow("Threads", numbers["threads"]),
            "timeout": FormRow("Time-out", numbers["timeout"]),
        }
        with VerticalScroll(classes="picker--fields", can_focus=False):
            yield from self._rows.values()
        self._hint = Static(classes="picker--hint", markup=False)
        self._total = Static(classes="picker--total", markup=False)
        self._time = Static(classes="picker--time", markup=False)
        yield self._hint
        yield self._total
        yield self._time
        yield Button("Run", variant="primary", compact=True, classes="picker--run")

    def on_resize(self, event: events.Resize) -> None:
        """In a low pane the fields have the room: the totals share a line."""
        self.set_class(event.size.height < _ROOMY, "-low")
        self._sum_up()

    def on_mount(self) -> None:
        """Look up what this box can do once the first picture stands."""
        self.call_after_refresh(self._look_up)

    @work(thread=True, group="look-up")
    def _look_up(self) -> None:
        # Which packages are installed is asked of the disk, and kept by the catalog for everybody after.
        delegate_items(None, ())
        self.call_later(self._looked)

    def _looked(self) -> None:
        self._looked_up = True
        self._review()

    # What others ask of it

    def focus(self, scroll_visible: bool = True) -> Self:
        """Put the cursor into the first field. What ran meanwhile may make the estimate a better one."""
        self._start_estimate()
        self._model.focus(scroll_visible)
        return self

    def set_model(self, name: str) -> None:
        """Choose a model by its name or path."""
        self._model.value = name
        self._take("model", model=name)

    def submit(self) -> None:
        """Ask for the session, or mark what is wrong and go to the first such field."""
        self._touched = set(self._rows)
        self._looked_up = True
        self._review()
        checked = self._checked
        if checked.spec is not None and checked.model is not None:
            self._remember(self._choice)
            self.post_message(self.Submitted(checked.spec, checked.model))
            return
        first = next(name for name in self._rows if name in checked.problems)
        self._rows[first].field.focus()
        self.app.bell()

    @property
    def choice(self) -> Choice:
        """What the fields say now."""
        return self._choice

    @work(thread=True, group="remember")
    def _remember(self, choice: Choice) -> None:
        remember(choice)

    # Changes

    @on(Combo.Changed)
    def _combo_changed(self, event: Combo.Changed) -> None:
        event.stop()
        if event.combo is self._model:
            self._take("model", model=event.value)
        else:
            self._take("weights", weights=event.value)

    @on(Combo.Typed)
    def _combo_typed(self, event: Combo.Typed) -> None:
        event.stop()
        self._rows["model" if event.combo is self._model else "weights"].mark(None)

    @on(Combo.Submitted)
    @on(Input.Submitted)
    def _done(self, event: Combo.Submitted | Input.Submitted) -> None:
        event.stop()
        self.query_one(Button).focus()

    @on(Cycle.Changed)
    def _preset_changed(self, event: Cycle.Changed) -> None:
        event.stop()
        self._take("preset", preset=event.value)
        self._say()

    @on(MultiSelect.Changed)
    def _chosen(self, event: MultiSelect.Changed) -> None:
        event.stop()
        if self._checked.model is not None and is_as_is(self._checked.model):
            self._review()
        elif event.select is self._precisions:
            self._take("precision", precisions=event.chosen)
        else:
            self._take("delegate", delegates=event.chosen)

    @on(MultiSelect.Pointed)
    def _pointed_at(self, event: MultiSelect.Pointed) -> None:
        event.stop()
        self._pointed = event.item
        self._say()

    @on(Input.Changed)
    def _number_changed(self, event: Input.Changed) -> None:
        event.stop()
        for name, field in self._numbers.items():
            if field is event.input:
                self._take(name, **{name: event.value})

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.submit()

    def on_descendant_focus(self) -> None:
        """Say something about the field that got the focus."""
        self._say()

    def on_descendant_blur(self) -> None:
        """Say something about the choice as a whole, when the focus leaves."""
        self._say()

    def _take(self, field: FieldName, **changes: object) -> None:
        self._choice = msgspec.structs.replace(self._choice, **changes)
        self._touched.add(field)
        self._review()

    def _review(self) -> None:
        """Check the choice, and let every part of the form say what came out."""
        if not self._looked_up:
            return
        self._checked = checked = check(self._choice)
        for name, row in self._rows.items():
            row.mark(checked.problems.get(name) if name in self._touched else None)
        if checked.model is not None and is_as_is(checked.model):
            self._precisions.set_items([as_is_item()], [as_is_item().name])
            self._delegates.set_items([as_is_item()], [as_is_item().name])
        else:
            choice = self._choice
            self._precisions.set_items(precision_items(checked.model, choice.delegates), choice.precisions)
            self._delegates.set_items(delegate_items(checked.model, choice.precisions), choice.delegates)
        self._estimate_words = ""
        self._sum_up()
        self._say()
        if self._estimate_timer is not None:
            self._estimate_timer.stop()
        if checked.spec is not None:
            self._estimate_timer = self.set_timer(_SETTLE_S, self._start_estimate)

    # Words

    def _say(self) -> None:
        self._hint.update(Text(plain(self._about())))

    def _about(self) -> str:
        if self._pointed is not None:
            return about_item(self._pointed)
        focused = next((name for name, row in self._rows.items() if row.has_the_focus), None)
        return about_field(focused, self._choice) or about_configuration(self._checked)

    # The time it will take

    def _start_estimate(self) -> None:
        if self._checked.spec is not None and self._checked.model is not None:
            self._estimate(self._checked.spec, self._checked.model)

    @work(thread=True, exclusive=True, group="estimate")
    def _estimate(self, spec: SessionSpec, model: Model) -> None:
        past: dict[Variant, Past] = {}
        try:
            if self._database.exists():
                with Store.open(self._database, create=False) as store:
                    past = history(store, spec, model, cache_dir())
        except (EtuiError, OSError):
            past = {}  # The database has its own place to complain; an estimate does without.
        self.call_later(self._estimated, spec, estimate(spec, model, past, usable_cores()))

    def _estimated(self, spec: SessionSpec, found: Estimate) -> None:
        if self._checked.spec == spec:
            self._estimate_words = f"{found.words} {glyphs_of(self).dot} {BASIS[found.basis]}"
            self._sum_up()

    def _sum_up(self) -> None:
        """How many programs, and how long they take; on one line where there is little room."""
        if not self._looked_up:
            return
        total, low = programs(self._checked), self.has_class("-low")
        if low and self._estimate_words:
            total = f"{total} {glyphs_of(self).dot} {self._estimate_words}"
        self._total.update(Text(total, no_wrap=True, overflow="ellipsis"))
        self._time.update(Text(self._estimate_words, no_wrap=True, overflow="ellipsis"))
