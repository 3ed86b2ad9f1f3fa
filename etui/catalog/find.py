"""Resolve what a user typed to models, precisions and delegates, and explain unsupported configurations."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from etui.catalog.delegates import BASELINES, RECORDS, Delegate, baseline, delegates
from etui.catalog.diffusion_models import DIFFUSION, diffusion_model
from etui.catalog.models import ANY, MODELS, TOLERANCES, Family, ModelEntry, Outputs
from etui.catalog.precisions import AS_IS, OTHER_NAMES, PRECISIONS, Precision, recipe
from etui.errors import UsageError
from etui.paths import absolute
from etui.results import ModelInfo, Tolerance

_READ_BYTES = 1 << 20
_IMPORTS = "+"
_SIMILAR = 0.6
"""The least similarity of a suggested name; less similar ones have only letters in common."""


class UserModel(msgspec.Struct, frozen=True, kw_only=True):
    """A user's own model: a factory in a Python file, an exported program, or a finished ExecuTorch program.

    Its ``path`` is absolute. Only worker processes run or load the file.
    """

    kind: Literal["factory", "pt2", "pte"]
    path: str
    factory: str | None = None
    family: Family = "custom"
    outputs: Outputs = "unknown"
    repeat: int = 30
    warmup: int = 3

    @property
    def name(self) -> str:
        """Its short name in tables and file names."""
        stem = Path(self.path).stem
        return f"{stem}-{self.factory}" if self.factory else stem

    @property
    def title(self) -> str:
        """A one-line description."""
        kinds = {"factory": "your own model", "pt2": "your own exported program", "pte": "your own finished program"}
        return f"{kinds[self.kind]} ({self.reference})"

    @property
    def source(self) -> str:
        """Its source in the form of a catalog entry's source, ``kind:file``."""
        return f"{self.kind}:{Path(self.path).name}" + (f":{self.factory}" if self.factory else "")

    @property
    def reference(self) -> str:
        """The text that identifies this model in a session's specification."""
        return f"{self.path}:{self.factory}" if self.factory else self.path

    def identity(self) -> str:
        """Return ``sha256:`` and the hash of this file's content; what it imports is only known once it has been run
        (see ``identity_of``).

        Raises:
            UsageError: the file cannot be read.
        """
        digest = hashlib.sha256()
        try:
            with Path(self.path).open("rb") as file:
                while piece := file.read(_READ_BYTES):
                    digest.update(piece)
        except OSError as error:
            raise UsageError(f"cannot read {self.path}: {error.strerror or error}", "give a readable file") from error
        return self.identity_of(digest.hexdigest(), {})

    def identity_of(self, sha256: str, modules: Mapping[str, str]) -> str:
        """Return the identity of a file with hash ``sha256`` that imports, from outside the installed packages,
        modules with these hashes (by module name); without modules it equals ``identity()``."""
        file = f"sha256:{sha256}" + (f":{self.factory}" if self.factory else "")
        if not modules:
            return file
        text = ";".join(f"{name}={digest}" for name, digest in sorted(modules.items()))
        return f"{file}{_IMPORTS}{hashlib.sha256(text.encode()).hexdigest()[:16]}"


Model = ModelEntry | UserModel


def find_model(text: str) -> Model:
    """Return the model of a name or path.

    Raises:
        UsageError: it is unknown (the hint has similar names), or its file does not exist.
    """
    if (name := canonical(text, MODELS)) in MODELS:
        return MODELS[name]
    if (kind := text.partition(":")[0].casefold()) in BY_SOURCE:
        return _of_source(kind, text.partition(":")[2])
    if (name := canonical(text, DIFFUSION)) in DIFFUSION:
        return diffusion_model(name)
    path, colon, factory = text.rpartition(":")
    if colon and path.endswith(".py"):
        if not factory.isidentifier():
            raise UsageError(f"{factory!r} is not the name of a function", "write FILE.py:FACTORY")
        return UserModel(kind="factory", path=_existing(path), factory=factory)
    if text.endswith(".py"):
        raise UsageError(f"{text} names a file but no factory in it", f"write {text}:FACTORY")
    if text.endswith(".pt2"):
        return UserModel(kind="pt2", path=_existing(text))
    if text.endswith(".pte"):
        return UserModel(kind="pte", path=_existing(text))
    own = "give FILE.py:FACTORY, a .pt2 or a .pte"
    from etui.catalog.torchvision_names import NAMES

    if (name := canonical(text, NAMES)) in NAMES:
        guess = f"did you mean torchvision:{name}?"
        raise UsageError(f"unknown model {text!r}", guess, screen_hint=guess)
    known = [*MODELS, *DIFFUSION, *(f"torchvision:{name}" for name in NAMES)]
    raise _unknown("model", text, known, f"see `etui models`, or {own}", own)


BY_SOURCE = ("torchvision", "timm", "hf")
"""The sources of models that can be named by ``SOURCE:NAME`` without being listed in the catalog."""


def _of_source(kind: str, name: str) -> ModelEntry:
    # Imported late: most sessions need only the catalog.
    if kind == "hf":
        from etui.catalog.hf_models import hf_model

        return hf_model(name)
    if kind == "timm":
        from etui.catalog.timm_models import timm_model

        return timm_model(name)
    from etui.catalog.torchvision_models import PREFIX, torchvision_model
    from etui.catalog.torchvision_names import NAMES

    found = torchvision_model(canonical(name, NAMES))
    if found is None:
        similar = difflib.get_close_matches(name, list(NAMES), n=3, cutoff=0.4)
        guess = f"did you mean {' or '.join(PREFIX + each for each in similar)}? " if similar else ""
        raise UsageError(
            f"torchvision has no model {name!r} for classification, segmentation or detection",
            f"{guess}see `etui models --torchvision`",
            screen_hint=guess.strip(),
        )
    return found


def model_file(text: str) -> str | None:
    """Return the absolute path of a user model's file, whether or not it exists; None for any other text.

    Raises:
        UsageError: it is not a valid path.
    """
    path, colon, _ = text.rpartition(":")
    if colon and path.endswith(".py"):
        text = path
    elif not text.endswith((".py", ".pt2", ".pte")):
        return None
    return None if canonical(text, MODELS) in MODELS else str(absolute(text, "the model"))


def find_precision(text: str) -> Precision:
    """Return the precision of a name in upper or lower case. Raises UsageError with what may be meant."""
    name = canonical(text, (*PRECISIONS, AS_IS))
    if name == AS_IS:
        return Precision(name=AS_IS, title="the program as it is")
    try:
        return PRECISIONS[name]
    except KeyError:
        raise _unknown("precision", text, PRECISIONS, "see `etui models`", "", OTHER_NAMES) from None


def find_delegate(text: str) -> Delegate:
    """Return the delegate or baseline of a name in upper or lower case. Raises UsageError with what may be meant."""
    name = canonical(text, (*RECORDS, AS_IS))
    if name == AS_IS:
        return Delegate(name=AS_IS, title="the delegates of the finished program", runs_here=True, exports_here=True)
    if name in BASELINES:
        return baseline(name)
    try:
        return delegates()[name]
    except KeyError:
        others = {other: record.name for record in RECORDS.values() for other in record.other_names}
        raise _unknown("delegate", text, RECORDS, "see `etui delegates`", "", others) from None


def canonical(text: str, known: Iterable[str]) -> str:
    """Return the known name that a text is in upper or lower case, else the text."""
    names = {name.casefold(): name for name in known}
    return names.get(text.casefold(), text)


def spellings(column: Literal["model", "precision", "delegate"], text: str) -> list[str]:
    """Return a name as it is written, and as the catalog writes it if that differs: stored runs may have either."""
    known: Mapping[str, Iterable[str]] = {"model": MODELS, "precision": PRECISIONS, "delegate": RECORDS}
    return list(dict.fromkeys((text, canonical(text, known[column]))))


def impossible(model: Model, precision: str, delegate: str, measure: bool = True) -> str | None:
    """Return why a configuration is not supported, in one line, or None if no reason is known.

    Checks names and installed packages; loads nothing. ``measure=False`` checks exporting only.
    """
    if isinstance(model, UserModel) and model.kind == "pte":
        if precision != AS_IS or delegate != AS_IS:
            return "a .pte is measured as it is: its precision and delegate were fixed when it was made"
        return None if measure else "a .pte is already exported"
    if AS_IS in {precision, delegate}:
        return "only a .pte is measured as it is"
    available = find_delegate(delegate)
    if not available.exports_here or (measure and not available.runs_here):
        hint = f" ({available.what_to_do})" if available.what_to_do else ""
        return available.reason + hint
    reason = _incompatibility(model, precision, available.name)
    if reason is not None:
        return reason
    if isinstance(model, ModelEntry):
        for limit in model.limits:
            if limit.precision in {ANY, precision} and limit.delegate in {ANY, delegate}:
                return limit.reason
    return None


def is_same_file(one: str, other: str) -> bool:
    """Return whether two identities are of the same file, whatever it imports."""
    return one.partition(_IMPORTS)[0] == other.partition(_IMPORTS)[0]


def changed_sources(before: ModelInfo, now: ModelInfo) -> list[str]:
    """Return the user's file or the names of its imported modules whose content differs between two runs; modules that
    were not recorded are not included."""
    if not is_same_file(before.identity, now.identity):
        return [now.source.partition(":")[2].partition(":")[0] or now.name]
    if before.sources is None or now.sources is None:
        return []
    names = before.sources.keys() | now.sources.keys()
    return sorted(name for name in names if before.sources.get(name) != now.sources.get(name))


def describe(model: Model) -> ModelInfo:
    """Return what is known about a model before it is loaded. Raises UsageError if its file cannot be read."""
    return ModelInfo(
        name=model.name,
        family=model.family,
        source=model.source,
        identity=model.identity(),
        parameters=None if isinstance(model, UserModel) else model.parameters,
        outputs=model.outputs,
    )


def tolerance_for(
    model: Model | str, precision: str, arithmetic: str | None = None, delegate: str = "xnnpack"
) -> Tolerance | None:
    """Return the tolerance for ``precision``, or for the ``arithmetic`` actually used if that one is looser.

    If ``int8`` means a static recipe on the delegate, the tolerance of static recipes applies. None if there is no
    tolerance (a ``.pte`` has no reference). ``model`` may be a model's name or reference.
    """
    entry = _entry_of(model) if isinstance(model, str) else model
    table = entry.tolerances if isinstance(entry, ModelEntry) else TOLERANCES
    if precision == "int8" and isinstance(entry, ModelEntry) and "static" in recipe(entry, precision, delegate):
        precision = "int8-static"
    tolerances = [table[name] for name in (precision, arithmetic) if name in table]
    return min(tolerances, key=lambda tolerance: tolerance.sqnr_db_min or 0.0, default=None)


def _entry_of(model: str) -> ModelEntry | None:
    if model in MODELS:
        return MODELS[model]
    if model in DIFFUSION:
        return DIFFUSION[model]
    from etui.catalog.torchvision_models import PREFIX, torchvision_model

    return torchvision_model(model.removeprefix(PREFIX))


def _incompatibility(model: Model, precision: str, delegate: str) -> str | None:
    record = RECORDS[delegate]
    if precision == "8da4w":
        if not record.has_8da4w_kernels:
            return "8da4w needs kernels that only XNNPACK has"
        if isinstance(model, UserModel) and model.kind == "pt2":
            return "8da4w replaces linear modules, but a .pt2 contains only operators; choose int8-dynamic"
        if model.family == "cnn":
            return "8da4w quantizes only linear layers, and a convolutional network has almost none"
    if precision == "int8-dynamic" and model.family == "cnn":
        return "int8-dynamic quantizes only linear layers, and a convolutional network has almost none"
    if precision in record.unsupported:
        return record.unsupported[precision]
    if record.is_baseline and record.precisions and precision not in record.precisions:
        return f"{record.name} is measured only in {' and '.join(record.precisions)}"
    if record.precisions and precision not in record.precisions:
        return f"{delegate} can be exported only in {' and '.join(record.precisions)}"
    if record.recipes and recipe(model.family, precision).partition("/")[0] not in record.recipes:
        return record.recipes_reason
    return None


def _existing(path: str) -> str:
    absolute_path = absolute(path, "the model")
    try:
        exists = absolute_path.is_file()
    except OSError as error:
        raise UsageError(f"cannot access {absolute_path} ({error.strerror})", "check the path") from error
    if not exists:
        raise UsageError(f"file not found: {absolute_path}", "check the path")
    return str(absolute_path)


def _unknown(
    kind: str, text: str, known: Iterable[str], hint: str, screen_hint: str, others: Mapping[str, str] | None = None
) -> UsageError:
    """Return the error about a name; ``others`` maps names that are used elsewhere to the known one."""
    meant = (others or {}).get(text.casefold())
    similar = [meant] if meant else difflib.get_close_matches(text.casefold(), list(known), n=3, cutoff=_SIMILAR)
    guess = f"did you mean {' or '.join(similar)}? " if similar else ""
    return UsageError(f"unknown {kind} {text!r}", guess + hint, screen_hint=(guess + screen_hint).strip())
