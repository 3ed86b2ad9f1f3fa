"""From what a user typed to what it means: models, precisions, delegates, and why a combination cannot be."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from etui.catalog.delegates import Delegate, delegates
from etui.catalog.models import ANY, MODELS, TOLERANCES, Family, ModelEntry, Outputs
from etui.catalog.precisions import AS_IS, PRECISIONS, Precision, recipe
from etui.errors import UsageError
from etui.paths import absolute
from etui.results import ModelInfo, Tolerance

_READ_BYTES = 1 << 20
_IMPORTS = "+"


class UserModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the user's own: a factory in a Python file, an exported program, or a finished ExecuTorch program.

    Its ``path`` is absolute. Nothing in it is run or loaded before a child process does so.
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
        """What it is, in words."""
        kinds = {"factory": "your own model", "pt2": "your own exported program", "pte": "your own finished program"}
        return f"{kinds[self.kind]} ({self.reference})"

    @property
    def source(self) -> str:
        """Where it comes from, in the form of a catalog entry's source."""
        return f"{self.kind}:{Path(self.path).name}" + (f":{self.factory}" if self.factory else "")

    @property
    def reference(self) -> str:
        """What names this model in a session's specification."""
        return f"{self.path}:{self.factory}" if self.factory else self.path

    def identity(self) -> str:
        """``sha256:`` and the hash of the file's content: of this one file, because what it imports is only known once
        it has been run (see ``identity_of``).

        Raises UsageError where the file cannot be read.
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
        """The identity of a file with this hash that imports modules with these hashes, by name, from outside the
        installed packages; without any it is ``identity``."""
        file = f"sha256:{sha256}" + (f":{self.factory}" if self.factory else "")
        if not modules:
            return file
        text = ";".join(f"{name}={digest}" for name, digest in sorted(modules.items()))
        return f"{file}{_IMPORTS}{hashlib.sha256(text.encode()).hexdigest()[:16]}"


Model = ModelEntry | UserModel


def find_model(text: str) -> Model:
    """The model a name or path stands for. Raises UsageError with the nearest names, or the file that is missing."""
    if text in MODELS:
        return MODELS[text]
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
    raise _unknown("model", text, MODELS, f"see `etui models`, or {own}", own)


def model_file(text: str) -> str | None:
    """The absolute path of the file that names a model, whether or not it is there; None for anything else. Raises
    UsageError if it can be no path."""
    path, colon, _ = text.rpartition(":")
    if colon and path.endswith(".py"):
        text = path
    elif not text.endswith((".py", ".pt2", ".pte")):
        return None
    return None if text in MODELS else str(absolute(text, "the model"))


def find_precision(text: str) -> Precision:
    """The precision a name stands for. Raises UsageError with the nearest names."""
    if text == AS_IS:
        return Precision(name=AS_IS, title="the program as it is")
    try:
        return PRECISIONS[text]
    except KeyError:
        raise _unknown("precision", text, PRECISIONS, "see `etui models`", "") from None


def find_delegate(text: str) -> Delegate:
    """The delegate a name stands for. Raises UsageError with the nearest names."""
    if text == AS_IS:
        return Delegate(name=AS_IS, title="whatever the program was lowered for", runs_here=True, exports_here=True)
    try:
        return delegates()[text]
    except KeyError:
        raise _unknown("delegate", text, delegates(), "see `etui delegates`", "") from None


def impossible(model: Model, precision: str, delegate: str, measure: bool = True) -> str | None:
    """Why a combination cannot be, in one line, or None where nothing is known against it.

    Looks at names and at what is installed; loads nothing. ``measure`` False asks about exporting alone.
    """
    if isinstance(model, UserModel) and model.kind == "pte":
        if precision != AS_IS or delegate != AS_IS:
            return "a .pte is measured as it is: its precision and delegate were fixed when it was made"
        return None if measure else "a .pte is already exported"
    if AS_IS in {precision, delegate}:
        return "only a .pte is measured as it is"
    place = find_delegate(delegate)
    if not place.exports_here:
        return f"{place.reason} ({place.what_to_do})" if place.what_to_do else place.reason
    if measure and not place.runs_here:
        return f"{place.reason} ({place.what_to_do})" if place.what_to_do else place.reason
    reason = _not_together(model, precision, delegate)
    if reason is not None:
        return reason
    if isinstance(model, ModelEntry):
        for limit in model.limits:
            if limit.precision in {ANY, precision} and limit.delegate in {ANY, delegate}:
                return limit.reason
    return None


def is_same_file(one: str, other: str) -> bool:
    """Whether two identities are of the same file, whatever it imports."""
    return one.partition(_IMPORTS)[0] == other.partition(_IMPORTS)[0]


def changed_sources(before: ModelInfo, now: ModelInfo) -> list[str]:
    """The user's own file and modules whose content differs between two runs of it; nothing that was not recorded."""
    if not is_same_file(before.identity, now.identity):
        return [now.source.partition(":")[2].partition(":")[0] or now.name]
    if before.sources is None or now.sources is None:
        return []
    names = before.sources.keys() | now.sources.keys()
    return sorted(name for name in names if before.sources.get(name) != now.sources.get(name))


def describe(model: Model) -> ModelInfo:
    """What is known of a model before anything of it is loaded. Raises UsageError where its file cannot be read."""
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
    """What the outputs of ``precision`` must reach to PASS: the lesser of it and of the ``arithmetic`` really used.

    Where ``int8`` means a static recipe on a delegate, what is asked of static recipes is asked. None where nothing
    can be asked (a ``.pte`` has no reference). ``model`` may be the text that names it.
    """
    entry = MODELS.get(model) if isinstance(model, str) else model
    table = entry.tolerances if isinstance(entry, ModelEntry) else TOLERANCES
    if precision == "int8" and isinstance(entry, ModelEntry) and "static" in recipe(entry, precision, delegate):
        precision = "int8-static"
    asked = [table[name] for name in (precision, arithmetic) if name in table]
    return min(asked, key=lambda one: one.sqnr_db_min or 0.0, default=None)


def _not_together(model: Model, precision: str, delegate: str) -> str | None:
    if precision == "8da4w":
        if delegate != "xnnpack":
            return "8da4w needs kernels that only XNNPACK has here"
        if isinstance(model, UserModel) and model.kind == "pt2":
            return "8da4w replaces a model's linear modules, and a .pt2 holds operators alone; choose int8-dynamic"
        if model.family == "cnn":
            return "8da4w quantizes linear layers only, and a convolutional net has next to none"
    if precision == "int8-dynamic":
        if model.family == "cnn":
            return "int8-dynamic quantizes linear layers only, and a convolutional net has next to none"
        if delegate == "openvino":
            return "OpenVINO's quantizer is static; choose int8"
    if precision == "int8-static-per-tensor" and delegate == "openvino":
        return "OpenVINO's quantizer always scales weights by channel; choose int8"
    if delegate in {"coreml", "vulkan", "webgpu"} and precision not in {"fp32", "fp16"}:
        return f"{delegate} is exported in fp32 and fp16 only"
    static = {recipe("cnn", "int8"), recipe("custom", "int8")}
    if delegate == "ethos-u" and recipe(model.family, precision) not in static:
        return "an Ethos-U takes programs with int8 static quantization only"
    return None


def _existing(path: str) -> str:
    whole = absolute(path, "the model")
    try:
        is_there = whole.is_file()
    except OSError as error:
        raise UsageError(f"cannot reach {whole} ({error.strerror})", "check the path") from error
    if not is_there:
        raise UsageError(f"there is no file {whole}", "check the path")
    return str(whole)


def _unknown(what: str, text: str, known: Iterable[str], hint: str, screen_hint: str) -> UsageError:
    near = difflib.get_close_matches(text, list(known), n=3, cutoff=0.4)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    return UsageError(f"there is no {what} {text!r}", guess + hint, screen_hint=(guess + screen_hint).strip())
