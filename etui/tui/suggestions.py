"""What may follow what was typed: models by name, weights by word, files by path, factories in a Python file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from etui.catalog.models import MODELS
from etui.paths import expanded
from etui.spec import WEIGHTS
from etui.text import plain

MODEL_SUFFIXES = (".py", ".pt2", ".pte")

_MOST_SEEN = 5000
_MOST_SHOWN = 40
_LARGEST_SOURCE = 1 << 20


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list that drops down: the text it stands for, and a word about it.

    A ``heading`` cannot be chosen. One that is not ``whole`` (a folder, a file that wants a factory) is only the
    beginning of a text: more suggestions follow it.
    """

    value: str
    about: str = ""
    heading: bool = False
    whole: bool = True

    @property
    def name(self) -> str:
        """What stands in the list: a path without the folders before its last part."""
        folder, slash, last = self.value.rstrip("/").rpartition("/")
        shown = f"{last}/" if self.value.endswith("/") else last
        return plain(shown if slash or not folder else self.value)


Suggest = Callable[[str], Sequence[Suggestion]]


def models(text: str) -> list[Suggestion]:
    """The models whose name, title or family holds every word typed, by family; for a path, files that may be one."""
    if is_path(text):
        return model_files(text)
    words = text.lower().split()
    found: list[Suggestion] = []
    family = ""
    for entry in sorted(MODELS.values(), key=lambda entry: _families().index(entry.family)):
        if not all(word in f"{entry.name} {entry.title} {entry.family}".lower() for word in words):
            continue
        if entry.family != family:
            family = entry.family
            found.append(Suggestion(value=family.replace("-", " "), heading=True))
        found.append(Suggestion(value=entry.name, about=f"{entry.parameters / 1e6:>5.1f} M  {entry.title}"))
    if not words:
        found.append(Suggestion(value="your own: type FILE.py:factory, .pt2 or .pte", heading=True))
    return found


def model_files(text: str) -> list[Suggestion]:
    """The files and folders that a path to a model may go on with, and the factories of a Python file."""
    path, colon, beginning = text.rpartition(":")
    if colon and path.endswith(".py"):
        return [
            Suggestion(value=f"{path}:{name}", about="a function in it")
            for name in factories(expanded(path))
            if name.startswith(beginning)
        ]
    about = {".py": "Python: a factory follows", ".pt2": "exported program", ".pte": "finished program"}
    found = []
    for one in paths(text, MODEL_SUFFIXES):
        suffix = Path(one.value).suffix if one.whole else ""
        if suffix == ".py":
            found.append(Suggestion(value=f"{one.value}:", about=about[suffix], whole=False))
        else:
            found.append(msgspec.structs.replace(one, about=about.get(suffix, one.about)))
    return found


def weights(text: str) -> list[Suggestion]:
    """The words for weights that begin so, then paths."""
    about = {
        "auto": "pretrained where they are at hand, else synthetic",
        "pretrained": "published ones, or it fails",
        "synthetic": "seeded",
    }
    words = [Suggestion(value=word, about=about[word]) for word in WEIGHTS if word.startswith(text)]
    if text:
        return words + paths(text)
    return [*words, Suggestion(value="or the path of a file or folder", heading=True)]


def paths(text: str, suffixes: Sequence[str] = ()) -> list[Suggestion]:
    """The folders, and the files ending so (any where nothing is named), that a path may go on with.

    What cannot be read suggests nothing. Names that a terminal would act on are left out: a field shows its text as it
    is.
    """
    folder, slash, beginning = text.rpartition("/")
    place = expanded(f"{folder}{slash}" or ".")
    try:
        with os.scandir(place) as entries:
            seen = [(entry.name, entry.is_dir()) for entry in islice(entries, _MOST_SEEN)]
    except (OSError, ValueError):
        return []
    found = [
        Suggestion(value=f"{folder}{slash}{name}{'/' if is_folder else ''}", whole=not is_folder)
        for name, is_folder in sorted(seen)
        if name.startswith(beginning)
        and (beginning.startswith(".") or not name.startswith("."))
        and (is_folder or not suffixes or name.endswith(tuple(suffixes)))
        and plain(name) == name
    ]
    return found[:_MOST_SHOWN]


def is_path(text: str) -> bool:
    """Whether what was typed means a path and not a name."""
    return "/" in text or text.startswith(("~", ".")) or text.endswith(MODEL_SUFFIXES) or ".py:" in text


def factories(path: Path) -> list[str]:
    """The public functions at the top of a Python file, read and not run; none where it cannot be read as Python."""
    import ast  # Only here: a first picture does without.

    try:
        with path.open("rb") as file:
            tree = ast.parse(file.read(_LARGEST_SOURCE))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [
        node.name
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    ]


def _families() -> list[str]:
    return list(dict.fromkeys(entry.family for entry in MODELS.values()))
