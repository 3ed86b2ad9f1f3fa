"""Suggestions for text fields: models, kinds of weights, paths, and factories in a Python file."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from etui.catalog.models import MODELS
from etui.paths import expanded
from etui.spec import WEIGHTS
from etui.text import plain

HF = "hf:"
"""The prefix of a Hugging Face model, a folder or a name with a slash."""

MODEL_SUFFIXES = (".py", ".pt2", ".pte")

_MOST_SEEN = 5000
_MOST_SHOWN = 40
_LARGEST_SOURCE = 1 << 20


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the list: the text it completes to, and a short description.

    A ``heading`` cannot be selected. One that is not ``whole`` (a folder, a Python file whose factory is missing) is
    only the beginning of a valid text: accepting it leads to more suggestions.
    """

    value: str
    about: str = ""
    heading: bool = False
    whole: bool = True

    @property
    def name(self) -> str:
        """The text in the list: of a path, only the last part."""
        folder, slash, last = self.value.rstrip("/").rpartition("/")
        shown = f"{last}/" if self.value.endswith("/") else last
        return plain(shown if slash or not folder else self.value)


Suggest = Callable[[str], Sequence[Suggestion]]


def models(text: str) -> list[Suggestion]:
    """Return the models whose name, title or family contains every word typed, by family; for a path, model files;
    after ``hf:``, models in the Hugging Face cache and folders."""
    if text.casefold().startswith(HF):
        return _hugging_face(text[len(HF) :])
    if is_path(text):
        return model_files(text)
    words = text.lower().split()
    suggestions: list[Suggestion] = []
    family = ""
    for entry in sorted(MODELS.values(), key=lambda entry: _families().index(entry.family)):
        if not all(word in f"{entry.name} {entry.title} {entry.family}".lower() for word in words):
            continue
        if entry.family != family:
            family = entry.family
            suggestions.append(Suggestion(value=family.replace("-", " "), heading=True))
        suggestions.append(Suggestion(value=entry.name, about=f"{entry.parameters / 1e6:>5.1f} M  {entry.title}"))
    if words:
        suggestions += _torchvision(words, {suggestion.value for suggestion in suggestions})
        suggestions += _timm(words)
        suggestions += _diffusion(words)
    if not words:
        suggestions.append(Suggestion(value="own model: type FILE.py:factory, .pt2 or .pte", heading=True))
        suggestions.append(Suggestion(value="or torchvision:NAME, timm:NAME, hf:FOLDER, hf:ORG/NAME", heading=True))
    return suggestions


def _torchvision(words: Sequence[str], shown: Collection[str]) -> list[Suggestion]:
    """Return the other models of torchvision whose name or task contains every word."""
    from etui.catalog.torchvision_models import PREFIX
    from etui.catalog.torchvision_names import NAMES  # Not needed for the first paint.

    found = [
        Suggestion(value=f"{PREFIX}{name}", about=f"{row.parameters / 1e6:>5.1f} M  {row.task}")
        for name, row in NAMES.items()
        if name not in shown and all(word in f"{PREFIX}{name} {row.task}" for word in words)
    ]
    found.sort(key=lambda suggestion: _distance(suggestion.value, PREFIX, words))
    return [Suggestion(value="torchvision", heading=True), *found] if found else []


def _timm(words: Sequence[str]) -> list[Suggestion]:
    """Return the first models of timm whose name contains every word, if they have been listed before; why there are
    none if a model of timm is being typed."""
    from etui.catalog.timm_models import INSTALL, PREFIX, is_installed, known_names  # Not needed for the first paint.

    known = known_names()
    if not known and words[0].startswith(PREFIX):
        state = "its models are not listed yet" if is_installed() else f"it is not installed: {INSTALL}"
        return [Suggestion(value=f"timm: {state}", heading=True)]
    names = [name for name in (f"{PREFIX}{name}" for name in known) if all(word in name.lower() for word in words)]
    names.sort(key=lambda name: _distance(name, PREFIX, words))
    found = [Suggestion(value=name) for name in names[:_MOST_SHOWN]]
    return [Suggestion(value="timm", heading=True), *found] if found else []


def _diffusion(words: Sequence[str]) -> list[Suggestion]:
    """Return the denoising networks whose name or title contains every word, with the extra if it is missing."""
    from etui.catalog.diffusion_models import DIFFUSION, INSTALL, is_installed  # Not needed for the first paint.

    found = [
        Suggestion(value=entry.name, about=f"{entry.parameters / 1e6:>5.1f} M  {entry.title}")
        for entry in DIFFUSION.values()
        if all(word in f"{entry.name} {entry.title} {entry.family}".lower() for word in words)
    ]
    heading = "diffusion" if is_installed() else f"diffusion: not installed: {INSTALL}"
    return [Suggestion(value=heading, heading=True), *found] if found else []


def _distance(name: str, prefix: str, words: Sequence[str]) -> int:
    """Return 0 for the model that was typed, 1 for one that begins with what was typed, 2 for any other."""
    typed = prefix + words[0].removeprefix(prefix)
    return 0 if name.lower() == typed else 1 if name.lower().startswith(typed) else 2


def _hugging_face(name: str) -> list[Suggestion]:
    """Return the models in the Hugging Face cache whose name contains a text, and folders that complete it: one with a
    ``config.json`` is a model."""
    from etui.catalog.hf_models import cached_models

    suggestions = [
        Suggestion(value=f"{HF}{model}", about=f"of {model.partition('/')[0]}, in the Hugging Face cache")
        for model in cached_models()
        if name.casefold() in model.casefold() and plain(model) == model
    ][:_MOST_SHOWN]
    for folder in folders(name) if name else ():
        is_model = os.access(expanded(folder.value) / "config.json", os.R_OK)
        value = folder.value.rstrip("/") if is_model else folder.value
        about = "Hugging Face folder" if is_model else ""
        suggestions.append(Suggestion(value=f"{HF}{value}", about=about, whole=is_model))
    return suggestions or [Suggestion(value="hf: a folder with a config.json, or ORG/NAME", heading=True)]


def model_files(text: str) -> list[Suggestion]:
    """Return files and folders that complete a path to a model, or the factories of a Python file."""
    path, colon, beginning = text.rpartition(":")
    if colon and path.endswith(".py"):
        return [
            Suggestion(value=f"{path}:{name}", about="function")
            for name in factories(expanded(path))
            if name.startswith(beginning)
        ]
    about = {".py": "Python: add a factory", ".pt2": "exported program", ".pte": "finished program"}
    suggestions = []
    for path_suggestion in paths(text, MODEL_SUFFIXES):
        suffix = Path(path_suggestion.value).suffix if path_suggestion.whole else ""
        if suffix == ".py":
            suggestions.append(Suggestion(value=f"{path_suggestion.value}:", about=about[suffix], whole=False))
        else:
            described = about.get(suffix, path_suggestion.about)
            suggestions.append(msgspec.structs.replace(path_suggestion, about=described))
    return suggestions


def weights(text: str) -> list[Suggestion]:
    """Return the matching kinds of weights, then paths."""
    about = {
        "auto": "pretrained if available, else synthetic",
        "pretrained": "published weights, or fail",
        "synthetic": "random, seeded",
    }
    kinds = [Suggestion(value=kind, about=about[kind]) for kind in WEIGHTS if kind.startswith(text)]
    if text:
        return kinds + paths(text)
    return [*kinds, Suggestion(value="or the path of a file or folder", heading=True)]


def folders(text: str) -> list[Suggestion]:
    """Return the folders that complete a path."""
    return paths(text, ("/",))


def paths(text: str, suffixes: Sequence[str] = ()) -> list[Suggestion]:
    """Return the folders, and the files with one of the ``suffixes`` (any if empty), that complete a path.

    Empty if the folder cannot be read. Names with control characters are omitted, since a field shows its text
    unescaped.
    """
    folder, slash, beginning = text.rpartition("/")
    parent = expanded(f"{folder}{slash}" or ".")
    try:
        with os.scandir(parent) as entries:
            names = [(entry.name, entry.is_dir()) for entry in islice(entries, _MOST_SEEN)]
    except (OSError, ValueError):
        return []
    matches = [
        Suggestion(value=f"{folder}{slash}{name}{'/' if is_folder else ''}", whole=not is_folder)
        for name, is_folder in sorted(names)
        if name.startswith(beginning)
        and (beginning.startswith(".") or not name.startswith("."))
        and (is_folder or not suffixes or name.endswith(tuple(suffixes)))
        and plain(name) == name
    ]
    return matches[:_MOST_SHOWN]


def is_path(text: str) -> bool:
    """Whether a text is a path rather than a name."""
    return (
        "/" in text
        or text.casefold().startswith(HF)
        or text.startswith(("~", "."))
        or text.endswith(MODEL_SUFFIXES)
        or ".py:" in text
    )


def factories(path: Path) -> list[str]:
    """Return the public top-level functions and classes of a Python file, by parsing it; none if that fails."""
    import ast  # Not needed for the first paint.

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
