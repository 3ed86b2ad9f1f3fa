"""A fact of a run: where its value comes from, and how it is stored, filtered, shown and compared.

The facts that have columns in the database are attributes of a subclass of ``StoredFacts``: on the class such an
attribute is the fact, on an instance it is the value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar, overload

import msgspec

from etui.facts.kinds import Kind, Value
from etui.results import Block, RunDocument
from etui.text import MISSING

T = TypeVar("T")
Better = Literal["lower", "higher"] | None
Group = Literal["latency", "start", "memory", "size", "accuracy", "delegation", "environment"]
Tone = Literal["", "faint", "good", "bad", "warn", "live"]

LAST_SPARE = 20


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """The key of a fact in the filter language; ``names`` are further names of it. ``values`` are all its values, if
    these are fixed. The operator ``:`` finds any part of a text (``part``; commas separate alternatives), its beginning
    (``prefix``), or any part of a text in which commas are common (``prose``). ``hint`` adds to the description of the
    fact what a filter may contain. ``suggested`` means that its values in the database, which are few, complete a
    word."""

    key: str
    names: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    match: Literal["part", "prefix", "prose"] = "part"
    hint: str = ""
    suggested: bool = False


class ScreenColumn(msgspec.Struct, frozen=True, kw_only=True):
    """The column of a fact in the screen's runs table. ``heading``, ``about`` and ``cells``, its width, follow from the
    fact if they are not set; ``most`` is the maximum width if there is room; ``spare`` the order in which columns are
    hidden when there is no room (highest first, 0 never); ``clips`` that its text is readable when cut off, and that it
    grows to ``most`` or not at all; ``order_by`` the database column it sorts by and is filtered by, if that is not the
    first of the fact; ``whole`` that it is as wide as its widest text, up to ``most``, before other columns get room;
    ``narrow`` is the heading if there is no room for the whole one; ``cuts_middle`` that a text without room keeps its
    end, too; ``off`` that it is hidden unless it is chosen; ``tail`` the cells for what follows the integer part of a
    number, so that decimal points align."""

    heading: str = ""
    about: str = ""
    cells: int = 0
    most: int = 0
    spare: int = LAST_SPARE
    tone: Tone = ""
    clips: bool = False
    order_by: str = ""
    whole: bool = False
    narrow: str = ""
    cuts_middle: bool = False
    off: bool = False
    tail: int | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The row of a fact in a comparison of runs. ``read`` replaces the value of the fact; ``per_block`` reads it from a
    block, if each block measures it once."""

    group: Group
    read: Callable[[RunDocument], Value] | None = None
    per_block: Callable[[Block], float | None] | None = None


class Fact(msgspec.Struct, Generic[T], eq=False, kw_only=True):
    """One fact of a run.

    ``title`` is its name in tables of text, without the unit, and ``about`` describes it in a sentence. ``short`` is
    its name as a column in options and the configuration, by default the filter key. ``columns`` are its database
    columns, by default one with the name of the attribute. ``json`` is its place in the JSON summary, such as
    ``latency_ms.median``, by default the name; empty if it is not part of the summary. ``better`` is which direction is
    better when runs are compared. ``indexed`` means that the database has the index ``runs_by_<column>``, ``scanned``
    that the index ``runs_page`` contains its columns, and ``early`` that it can be known before the run ends.
    ``position`` is its place among the values of a row.
    """

    read: Callable[[RunDocument], T]
    kind: Kind
    title: str
    about: str = ""
    name: str = ""
    short: str = ""
    columns: tuple[str, ...] = ()
    json: str | None = None
    filter: Filter | None = None
    better: Better = None
    screen: ScreenColumn | None = None
    comparison: Comparison | None = None
    indexed: bool = False
    scanned: bool = False
    early: bool = False
    position: int = 0

    def __post_init__(self) -> None:
        if not self.short and self.filter is not None:
            self.short = self.filter.key

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name
        self.short = self.short or self.name
        self.columns = self.columns or (self.name,)
        self.json = self.name if self.json is None else self.json

    @overload
    def __get__(self, row: None, owner: object = None) -> Self: ...
    @overload
    def __get__(self, row: StoredFacts, owner: object = None) -> T: ...
    def __get__(self, row: StoredFacts | None, owner: object = None) -> Self | T:
        if row is None:
            return self
        value: T = row.values[self.position]
        return value

    def of(self, row: StoredFacts) -> T:
        """Return the value in a row."""
        return self.__get__(row)

    def column_values(self, document: RunDocument) -> tuple[object, ...]:
        """Return the values of the columns of the fact for a document."""
        value, encode = self.read(document), self.kind.encode
        if value is None:
            return (None,) * len(self.columns)
        return (value,) if encode is None else encode(value)

    def text(self, value: T) -> str:
        """Format a value for a table of text; ``-`` for None and an empty list."""
        return MISSING if value is None else str(self.kind.text.of(value)) or MISSING

    def cell(self, value: T) -> str:
        """Format a value for the screen's runs table; empty for None."""
        return "" if value is None else str(self.kind.cell.of(value))

    def compared(self, document: RunDocument) -> Value:
        """Return the value for a comparison of runs; None if it was not measured."""
        if self.comparison is not None and self.comparison.read is not None:
            return self.comparison.read(document)
        value = self.read(document)
        compared: Value = None if value is None else self.kind.compared.of(value)
        return compared

    @property
    def text_heading(self) -> str:
        """The heading of a column in a table of text."""
        return f"{self.title} {self.kind.text.unit}".rstrip()

    @property
    def table_heading(self) -> str:
        """The heading of a column of many runs, whose cells have no units."""
        return f"{self.title} {self.kind.table.unit}".rstrip()

    @property
    def cell_heading(self) -> str:
        """The heading of the column in the screen's runs table."""
        heading = self.screen.heading if self.screen is not None else ""
        return heading or f"{self.title} {self.kind.cell.unit}".rstrip()

    @property
    def compared_heading(self) -> str:
        """The name of the row in a comparison of runs."""
        return f"{self.title} {self.kind.compared.unit}".rstrip()


class StoredFacts:
    """One value for each of ``FACTS``, which are attributes of the class."""

    __slots__ = ("values",)
    FACTS: ClassVar[tuple[Fact[Any], ...]] = ()
    COLUMNS: ClassVar[tuple[str, ...]] = ()
    _DECODED: ClassVar[tuple[tuple[slice, Callable[..., Any]], ...]] = ()
    _JSON: ClassVar[tuple[tuple[str, str, Fact[Any]], ...]] = ()

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.FACTS = tuple(value for value in vars(cls).values() if isinstance(value, Fact))
        columns: list[str] = []
        decoded = []
        for position, fact in enumerate(cls.FACTS):
            fact.position = position
            if fact.kind.decode is not None:
                decoded.append((slice(len(columns), len(columns) + len(fact.columns)), fact.kind.decode))
            columns += fact.columns
        cls.COLUMNS = tuple(columns)
        # From the end, so that the places of the columns before do not change.
        cls._DECODED = tuple(reversed(decoded))
        places = [((fact.json or "").rpartition("."), fact) for fact in cls.FACTS if fact.json]
        cls._JSON = tuple((parent, name, fact) for (parent, _, name), fact in places)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredFacts) and type(other) is type(self) and self.values == other.values

    __hash__ = None  # type: ignore[assignment]  # some values are lists

    def __repr__(self) -> str:
        names = (fact.name for fact in self.FACTS)
        return f"{type(self).__name__}({dict(zip(names, self.values, strict=True))})"

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """Return the facts from the values of ``COLUMNS``. Raises msgspec.DecodeError for a damaged value."""
        values = list(row)
        for columns, decode in cls._DECODED:
            values[columns] = (decode(*values[columns]),)
        return cls(values)

    @classmethod
    def of(cls, document: RunDocument) -> Self:
        """Return the facts of a document."""
        return cls([fact.read(document) for fact in cls.FACTS])

    def as_json(self) -> dict[str, object]:
        """Return the facts that are part of the JSON summary as plain data, in order of declaration."""
        data: dict[str, Any] = {}
        for parent, name, fact in self._JSON:
            place = data.setdefault(parent, {}) if parent else data
            place[name] = fact.of(self)
        return data
