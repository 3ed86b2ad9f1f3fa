"""The screen that names what is in photos: it runs a program on them, and shows their tags and what took the time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input, Static

from etui.actions import Scope, bindings
from etui.errors import UsageError
from etui.files.data_files import IMAGE_SUFFIXES
from etui.paths import absolute
from etui.report import markdown
from etui.services.score_images import Program
from etui.services.tag_photos import DEFAULT_TOP, find_photos, tag_photos
from etui.task_data.tagging import TaggedPhoto, Tagging
from etui.text import counted, plain, shortened_start
from etui.text import width as cells
from etui.tui import suggestions
from etui.tui.error_text import to_text
from etui.tui.screens.path_dialog import PathDialog
from etui.tui.screens.work_screen import Progress, WorkScreen
from etui.tui.text_layout import Sheet
from etui.tui.widgets.combo import Combo
from etui.tui.widgets.form_row import FormRow
from etui.wording.tagging import notes, tags_text

_MOST_SHOWN = 2000
_LIMIT_S = 7 * 86400.0
"""Longer than a user waits: there is a key that cancels."""
_ABOUT = (
    f"A photo, or a folder: all photos in it and below it. Photos that can have several labels get all categories with"
    f" at least the threshold (empty: that of the metadata, else 0.5), others the {DEFAULT_TOP} most probable ones."
    " Metadata is needed if neither the run's checkpoint nor its model says what the categories are."
)


class TagOptions(NamedTuple):
    """Which photos are tagged, with at most ``top`` tags each, and from which probability a category is a tag. The
    file ``metadata`` says how the program is used."""

    photos: Path | None = None
    top: int | None = None
    threshold: float | None = None
    metadata: Path | None = None


class TagDialog(PathDialog[TagOptions]):
    """Ask for the photos; the result is None if nothing is tagged."""

    DEFAULT_CSS = "TagDialog .form--label { width: 11; }"
    title_text = "Tag photos"
    confirm_label = "Tag"

    def __init__(self, options: TagOptions) -> None:
        suffixes = [form for suffix in sorted(IMAGE_SUFFIXES) for form in (suffix, suffix.upper())]
        super().__init__(
            str(options.photos or ""), suffixes, label="Photos", placeholder="photo.jpg, or a folder with photos"
        )
        self._top = Input(_text(options.top), compact=True, placeholder="automatic")
        self._threshold = Input(_text(options.threshold), compact=True, placeholder="automatic")
        self._metadata = Combo(
            str(options.metadata or ""),
            suggest=lambda text: suggestions.paths(text, (".json",)),
            placeholder="optional: FILE.task.json",
        )
        self.rows = {
            "top": FormRow("Most tags", self._top),
            "threshold": FormRow("Threshold", self._threshold),
            "metadata": FormRow("Metadata", self._metadata),
        }

    def body(self) -> Iterable[Widget]:
        """The path, the other fields, and what they mean."""
        yield self.path_row
        yield from self.rows.values()
        yield Static(Text(_ABOUT), classes="dialog--note", markup=False)

    def confirm(self) -> None:
        """Return the options, or mark the field that is invalid."""
        for row in (self.path_row, *self.rows.values()):
            row.mark(None)
        try:
            photos = _existing(self.path.value, "the photos", is_folder=True)
        except UsageError as error:
            self.refuse(to_text(error))
            return
        top, threshold = self._top.value.strip(), self._threshold.value.strip()
        metadata = self._metadata.value.strip()
        if top and not (top.isdecimal() and int(top)):
            self._refuse("top", "enter a whole number from 1, or nothing")
        elif threshold and not _is_probability(threshold):
            self._refuse("threshold", "enter a number from 0 to 1, or nothing")
        else:
            try:
                named = _existing(metadata, "the metadata", is_folder=False) if metadata else None
            except UsageError as error:
                self._refuse("metadata", to_text(error))
                return
            self.dismiss(TagOptions(photos, int(top) if top else None, float(threshold) if threshold else None, named))

    def _refuse(self, name: str, problem: str) -> None:
        self.rows[name].mark(problem)
        self.rows[name].field.focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()


class TagScreen(WorkScreen):
    """Asks for photos, and shows their tags. The actions of scope ``tagging`` are its methods."""

    scope: ClassVar[Scope] = "tagging"
    begin_action: ClassVar[str] = "tag"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("tagging")]

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program
        self._options = TagOptions()
        self.tagging: Tagging | None = None

    def on_mount(self) -> None:
        """Ask for the photos."""
        super().on_mount()
        self.say(self._how())
        self.action_tag()

    def title_parts(self) -> Iterable[str]:
        """Return the program and the number of photos."""
        yield f"Tags of photos  {self._program.name}"
        yield counted(len(self.tagging.photos), "photo") if self.tagging is not None else ""

    @property
    def has_result(self) -> bool:
        """Whether there are tags."""
        return self.tagging is not None

    def write_result(self, sheet: Sheet) -> None:
        """Write what took the time, the tags of each photo, and the photos that could not be read."""
        if (made := self.tagging) is None:
            return
        for note in notes(made):
            sheet.say(note)
        names = _names(made.photos)
        tagged = [(name, photo) for name, photo in zip(names, made.photos, strict=True) if photo.error is None]
        if tagged:
            sheet.heading("Tags", _omitted(len(tagged)))
            label = min(max(cells(plain(name)) for name, _ in tagged[:_MOST_SHOWN]), sheet.width // 2 - 2)
            for name, photo in tagged[:_MOST_SHOWN]:
                short = shortened_start(plain(name), label, sheet.styles.cut)
                sheet.fact(short, tags_text(photo, made.threshold), label_width=label + 2)
        errors = [photo.error for photo in made.photos if photo.error is not None]
        if errors:
            sheet.heading("Not read", _omitted(len(errors)))
            for error in errors[:_MOST_SHOWN]:
                sheet.say(error, sheet.styles.bad, glyph=sheet.styles.failed)

    def action_tag(self) -> None:
        """Ask for photos, and tag them."""

        def chosen(options: TagOptions) -> None:
            self._options = options
            self.tagging = None
            self.work(self._run, self._done, "Cannot tag the photos")

        self.ask(TagDialog(self._options), chosen, "Photos are being tagged; x cancels it.")

    def action_cancel(self) -> None:
        """Stop the tagging in progress."""
        if not self.cancel(f"Cancelled. {self._how()}"):
            self.app.say("No photos are being tagged.")

    def action_copy(self) -> None:
        """Copy the tags as Markdown."""
        if (made := self.tagging) is None:
            self.app.say("There are no tags to copy.", "warning")
            return
        rows = [
            [name, tags_text(photo, made.threshold) if photo.error is None else photo.error]
            for name, photo in zip(_names(made.photos), made.photos, strict=True)
        ]
        lines = [f"## {markdown.escaped(f'Tags of photos: {made.program}')}", "", *markdown.bullets(notes(made)), ""]
        lines += [*markdown.table(["photo", "tags"], rows), ""]
        self.copy(lines)

    def _run(self, progress: Progress, stopped: Callable[[], bool]) -> Tagging:
        options = self._options
        assert options.photos is not None
        progress("looking for photos ..", 0.0, 0.0)
        program = self._program._replace(metadata=options.metadata or self._program.metadata)
        return tag_photos(
            program,
            find_photos([options.photos]),
            top=options.top,
            threshold=options.threshold,
            limit_s=_LIMIT_S,
            progress=progress,
            stopped=stopped,
        )

    def _done(self, made: Tagging) -> None:
        self.tagging = made
        self.say("")

    def _how(self) -> str:
        return "Press r to choose photos."


def _names(photos: Sequence[TaggedPhoto]) -> list[str]:
    """Return the paths of photos without the folder that they have in common."""
    folders = [Path(photo.path).parent.parts for photo in photos]
    first, last = min(folders), max(folders)
    common = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    common = min(common, len(last))
    return [str(Path(*Path(photo.path).parts[common:])) for photo in photos]


def _omitted(count: int) -> str:
    return f"the first {_MOST_SHOWN:,} of {count:,}" if count > _MOST_SHOWN else ""


def _existing(text: str, what: str, *, is_folder: bool) -> Path:
    """Return the absolute path of a file, or of a folder if that is allowed. Raises UsageError if it is neither."""
    if not text.strip():
        raise UsageError(f"{what} are missing", "enter a path")
    path = absolute(text.strip(), what)
    try:
        if path.is_file() or (is_folder and path.is_dir()):
            return path
    except OSError as error:
        raise UsageError(f"cannot access this path ({error.strerror})", "check its permissions") from error
    raise UsageError(f"{plain(str(path))} {'does not exist' if is_folder else 'is not a file'}", "enter another path")


def _is_probability(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
