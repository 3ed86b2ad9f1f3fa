"""Check every field of a request and build the session's specification, before anything is loaded."""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, inspect
from msgspec import field as option

from etui.catalog.delegates import BASELINES, RECORDS, is_listed
from etui.catalog.find import Model, UserModel, canonical, find_delegate, find_model, find_precision, impossible
from etui.catalog.precisions import AS_IS, PRECISIONS
from etui.errors import EtuiError, UsageError
from etui.files.data_files import data_files
from etui.files.hashing import file_stamp
from etui.host.cpus import usable_cores
from etui.magnitudes import MOST_COUNTED
from etui.paths import absolute
from etui.services.shapes import ShapeError, check_varied, expanded, single_threads
from etui.spec import (
    DEFAULT_ACCURACY_INPUTS,
    DEFAULT_CALIBRATION_COUNT,
    DEFAULT_TIMEOUT_S,
    DEFAULT_WAIT_QUIET_MIN,
    PRESETS,
    SPLIT_CALIBRATION_COUNT,
    WEIGHTS,
    PresetName,
    Priority,
    SessionSpec,
    Shape,
    Variant,
)

FieldName = Literal[
    "model",
    "methods",
    "precision",
    "delegate",
    "weights",
    "preset",
    "repeat",
    "warmup",
    "threads",
    "timeout",
    "baseline",
    "calibration",
    "inputs",
    "seed",
    "keep_fp32",
    "wait_quiet",
    "data",
    "split",
    "tolerance",
    "priority",
    "input_size",
    "batch",
    "sequence",
    "dynamic",
]

WAIT_QUIET_VARIABLE = "ETUI_WAIT_QUIET"

MOST_SEED = 2**63 - 1
_UNITS: Mapping[FieldName, str] = {"timeout": "seconds"}

AtLeast0 = Annotated[int, Meta(ge=0, le=MOST_COUNTED)]
AtLeast1 = Annotated[int, Meta(ge=1, le=MOST_COUNTED)]


class FieldError(UsageError):
    """One field of a request, ``field``, is invalid."""

    def __init__(self, field: FieldName, message: str, hint: str = "", *, screen_hint: str | None = None) -> None:
        super().__init__(message, hint, screen_hint=screen_hint)
        self.field: FieldName = field


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a session, which all of its variants have in common or, as lists, are varied by: ``threads``,
    ``input_size`` (``224`` or ``160x320``), ``batch`` and ``sequence``, and with ``dynamic`` also by one program for
    all of these shapes.

    The one declaration of every option: a field is encoded under the name of its option of ``etui run``, with
    underscores, which is also its key in a session file and, if the picker has a field for it, the name of that field.
    Its annotation has the valid values. A text that may be a path has the extra ``path_keywords``, the texts that are
    not paths: a relative path in a session file is relative to the file.
    """

    preset: PresetName = "default"
    repeat: AtLeast1 | None = None
    warmup: AtLeast0 | None = None
    threads: tuple[AtLeast1, ...] = ()
    weights: Annotated[str, Meta(extra={"path_keywords": WEIGHTS})] = "auto"
    timeout_s: Annotated[float, Meta(gt=0)] | None = option(default=None, name="timeout")
    calibration_count: AtLeast1 | None = option(default=None, name="calibration")
    accuracy_inputs: AtLeast1 = option(default=DEFAULT_ACCURACY_INPUTS, name="inputs")
    seed: Annotated[int, Meta(ge=0, le=MOST_SEED)] = 0
    use_cache: bool = option(default=True, name="cache")
    keep_fp32: tuple[str, ...] = ()
    wait_quiet_min: Annotated[float, Meta(ge=0)] | None = option(default=None, name="wait_quiet")
    allow_pickle: bool = False
    baselines: tuple[str, ...] = option(default=(), name="baseline")
    data: Annotated[str, Meta(extra={"path_keywords": ()})] | None = None
    split: str | None = None
    tolerance: tuple[str, ...] = ()
    priority: Priority = "normal"
    input_size: tuple[int | str, ...] = ()
    batch: tuple[AtLeast1, ...] = ()
    sequence: tuple[AtLeast1, ...] = ()
    dynamic: bool = False


def is_as_is(model: Model) -> bool:
    """Whether a model is a finished program (``.pte``), which is measured unchanged."""
    return isinstance(model, UserModel) and model.kind == "pte"


def check_model(text: str, *, allow_pickle: bool = False) -> Model:
    """Return the model that a text names. Raises FieldError if there is none, or its file cannot be read or has no such
    factory; and unless ``allow_pickle``, if it is a .pt2 file with parts that run code when they are loaded."""
    if not text.strip():
        raise FieldError("model", "no model selected", "enter a name from the list, or a path")
    try:
        model = find_model(text)
        if isinstance(model, UserModel) and not os.access(model.path, os.R_OK):
            raise FieldError("model", f"the file {model.path} is not readable", "check its permissions")
    except FieldError:
        raise
    except UsageError as error:
        raise FieldError("model", error.message, error.hint, screen_hint=error.screen_hint) from error
    except OSError as error:
        raise FieldError("model", f"cannot reach {text} ({error.strerror})", "check the path") from error
    if isinstance(model, UserModel) and model.kind == "pt2" and not allow_pickle:
        _refuse_pickled(Path(model.path))
    if isinstance(model, UserModel) and model.kind == "factory":
        from etui.services.factory_names import check_factory

        try:
            check_factory(Path(model.path), model.factory or "")
        except UsageError as error:
            raise FieldError("model", error.message, error.hint) from error
    return model


def _refuse_pickled(path: Path) -> None:
    """Raise FieldError if a .pt2 file would run code when it is loaded, as far as can be checked here; the loader
    checks again."""
    try:
        parts = _pickled_parts(path, file_stamp(path))
    except OSError:
        return
    if parts:
        raise FieldError(
            "model",
            f"{path} contains parts that run code when they are loaded: {parts}",
            "if you trust where it comes from, run it with etui run --allow-pickle",
        )


@functools.lru_cache(maxsize=8)
def _pickled_parts(path: Path, _stamp: str) -> str:
    """Describe the parts of a .pt2 file that run code. Cached while the file is unchanged: the screen asks at every
    key press."""
    from etui.programs.pickle_check import refused_parts, to_text

    return to_text(refused_parts(path))


def combine(
    model: Model, precisions: Iterable[str], delegates: Iterable[str], *, measure: bool = True
) -> tuple[list[Variant], dict[Variant, str]]:
    """Combine every precision with every delegate; return the supported variants, and the unsupported with the reason.

    Raises FieldError for an unknown name, or if either list is empty.
    """
    precisions, delegates = tuple(precisions), tuple(delegates)
    if not precisions:
        raise FieldError("precision", "no precision selected", "select at least one")
    if not delegates:
        raise FieldError("delegate", "no delegate selected", "select at least one")
    supported: list[Variant] = []
    unsupported: dict[Variant, str] = {}
    try:
        precisions = tuple(dict.fromkeys(find_precision(name).name for name in precisions))
    except UsageError as error:
        raise FieldError("precision", error.message, error.hint, screen_hint=error.screen_hint) from error
    try:
        delegates = tuple(dict.fromkeys(find_delegate(name).name for name in delegates))
    except UsageError as error:
        raise FieldError("delegate", error.message, error.hint, screen_hint=error.screen_hint) from error
    for variant in (Variant(precision, delegate) for precision in precisions for delegate in delegates):
        reason = impossible(model, variant.precision, variant.delegate, measure)
        if reason is None:
            supported.append(variant)
        else:
            unsupported[variant] = reason
    return supported, unsupported


def with_baselines(model: Model, variants: Iterable[Variant], names: Iterable[str]) -> list[Variant]:
    """Return the variants with those of other runtimes to compare them with, in the same shapes: each in the precisions
    of the variants that it supports, else in FP32, or in its own if that is not FP32.

    Raises FieldError for an unknown baseline, and for one that is not available here.
    """
    variants = list(variants)
    precisions = dict.fromkeys(variant.precision for variant in variants)
    added: list[Variant] = []
    for text in names:
        name = canonical(text, BASELINES)
        if name not in BASELINES:
            similar = difflib.get_close_matches(name, BASELINES, n=1)
            guess = f"did you mean {similar[0]}? " if similar else ""
            raise FieldError(
                "baseline", f"unknown baseline {text!r}", f"{guess}use {', '.join(filter(is_listed, BASELINES))}"
            )
        if not (available := find_delegate(name)).runs_here:
            raise FieldError("baseline", f"{name} is not available: {available.reason}", available.what_to_do)
        supported = [one for one in precisions if impossible(model, one, name) is None]
        (other, *_) = RECORDS[name].precisions or ("fp32",)
        if not supported and (reason := impossible(model, other, name)):
            raise FieldError("baseline", f"{model.name} cannot be run with {name}: {reason}")
        for variant in variants:
            if supported and variant.precision not in supported:
                continue
            precision = variant.precision if supported else other
            added.append(msgspec.structs.replace(variant, precision=precision, delegate=name, dynamic=False))
    return list(dict.fromkeys([*variants, *added]))


def default_configuration(model: Model) -> tuple[str, str]:
    """The default precision and delegate of a model."""
    return (AS_IS, AS_IS) if is_as_is(model) else ("fp32", "xnnpack")


@functools.cache
def option_types() -> Mapping[str, inspect.Type]:
    """Return the type of each option, with its valid values, by the option's name."""
    described = inspect.type_info(Options)
    assert isinstance(described, inspect.StructType)
    return {field.encode_name: field.type for field in described.fields}


@functools.cache
def path_keywords(name: str) -> tuple[str, ...] | None:
    """Return the texts that are not paths, of an option that is a path or one of them; None for any other option."""
    for part in _parts(option_types()[name]):
        if isinstance(part, inspect.Metadata) and part.extra is not None and "path_keywords" in part.extra:
            return tuple(part.extra["path_keywords"])
    return None


@functools.cache
def item_type(name: str) -> inspect.Type | None:
    """Return the type of the items of an option that is a list; None for any other option."""
    lists = (part for part in _parts(option_types()[name]) if isinstance(part, inspect.VarTupleType))
    return next((part.item_type for part in lists), None)


def _parts(described: inspect.Type) -> tuple[inspect.Type, ...]:
    return described.types if isinstance(described, inspect.UnionType) else (described,)


def from_text(name: FieldName, text: str) -> Any:
    """Return the value of an option in a text as it is typed into a field; None if it is empty. The parts of a list are
    separated by commas. Raises FieldError if it is invalid or out of range."""
    text = text.strip()
    if not text:
        return None
    if (item := item_type(name)) is not None:
        words = filter(None, (word.strip() for word in text.split(",")))
        return tuple(dict.fromkeys(_single(name, item, word) for word in words)) or None
    for part in _parts(option_types()[name]):
        if not isinstance(part, inspect.NoneType):
            return _single(name, part, text)
    return text


def _single(name: FieldName, described: inspect.Type, text: str) -> Any:
    if isinstance(described, inspect.IntType):
        return _whole_number(name, described, text)
    if isinstance(described, inspect.FloatType):
        return _number(name, described, text)
    return text


def _whole_number(name: FieldName, described: inspect.IntType, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise FieldError(name, f"{text[:30]!r} is not a whole number", "enter one, or leave it empty") from None
    if described.ge is not None and value < described.ge:
        raise FieldError(name, f"{text[:30]} is too small", f"enter at least {described.ge}, or leave it empty")
    if described.le is not None and value > described.le:
        raise FieldError(name, f"{text[:30]} is too large", f"enter at most {described.le}, or leave it empty")
    return value


def _number(name: FieldName, described: inspect.FloatType, text: str) -> float:
    unit = _UNITS.get(name, "")
    try:
        value = float(text)
    except ValueError:
        raise FieldError(
            name, f"{text[:30]!r} is not a number{unit and f' of {unit}'}", "enter a number, or leave it empty"
        ) from None
    if described.gt is not None and not described.gt < value < float("inf"):
        what = f"more than {described.gt:g}{unit and f' {unit}'}"
        raise FieldError(name, f"{text[:30]} is not a valid {name}", f"enter {what}, or leave it empty")
    return value


def check_threads(threads: int | None) -> int | None:
    """Return the number of threads. Raises FieldError if there are fewer cores."""
    cores = usable_cores()
    if threads is not None and threads > cores:
        allowed = "1" if cores == 1 else f"1 to {cores}"
        raise FieldError("threads", f"this process may use {cores} cores, not {threads}", f"use {allowed} threads")
    return threads


def check_weights(text: str) -> str:
    """``auto``, ``pretrained``, ``synthetic`` or an absolute path. Raises FieldError if it is not readable."""
    text = text.strip() or "auto"
    if text in WEIGHTS:
        return text
    try:
        path = absolute(text, "the weights")
    except UsageError as error:
        raise FieldError("weights", error.message, error.hint, screen_hint=error.screen_hint) from error
    try:
        path.stat()
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise FieldError("weights", f"the folder of {path} is not readable", "check its permissions") from error
        raise FieldError(
            "weights",
            f"weights not found: {path}",
            "use auto, pretrained, synthetic, or the path of a file or folder",
        ) from error
    if not os.access(path, os.R_OK):
        raise FieldError("weights", f"{path} is not readable", "check its permissions")
    return str(path)


def check_data(text: str | None) -> str | None:
    """Return the absolute path of a folder with data. Raises FieldError if it has no usable files."""
    if text is None or not text.strip():
        return None
    try:
        path = absolute(text, "the data")
        data_files(path)
    except UsageError as error:
        raise FieldError("data", error.message, error.hint, screen_hint=error.screen_hint) from error
    return str(path)


def drop_limits(tolerance: Iterable[str]) -> dict[str, float]:
    """Return the limits of texts such as ``map_drop=1``, in percentage points. Raises FieldError for another text."""
    found: dict[str, float] = {}
    for text in tolerance:
        name, _, value = text.partition("=")
        try:
            limit = float(value)
        except ValueError:
            limit = -1.0
        if name.strip() not in {"map_drop", "top1_drop"} or not 0 <= limit <= 100:
            raise FieldError(
                "tolerance",
                f"{text[:30]!r} is not a tolerance",
                "give map_drop=N or top1_drop=N, the largest loss in percentage points",
            )
        found[name.strip()] = limit
    return found


def check_split(data: str | None, split: str | None, limits: Mapping[str, float]) -> str | None:
    """Return the name of a split. Raises FieldError if there is no data to evaluate on, or it has no such split."""
    split = (split or "").strip() or None
    if data is None and split is not None:
        raise FieldError("split", "a split needs labelled images", "give their folder with --data")
    if data is None and limits:
        raise FieldError("tolerance", f"{min(limits)} needs labelled images", "give their folder with --data")
    if data is not None and (split is not None or limits):
        from etui.task_data.evaluation_split import VALIDATION
        from etui.task_data.reading import list_images, splits_of

        try:
            if splits_of(Path(data)):
                list_images(Path(data), split or VALIDATION)
        except EtuiError as error:
            field: FieldName = "data" if split is None else "split"
            raise FieldError(field, error.message, error.hint, screen_hint=error.screen_hint) from error
    return split


def usual_calibration_count(data: str | None) -> int:
    """Return the usual number of calibration inputs: with a training split there are images to spare."""
    from etui.task_data.reading import splits_of

    with contextlib.suppress(EtuiError):
        if data is not None and splits_of(Path(data)):
            return SPLIT_CALIBRATION_COUNT
    return DEFAULT_CALIBRATION_COUNT


def check_kept(model: Model, variants: Iterable[Variant], modules: Iterable[str]) -> tuple[str, ...]:
    """Return the modules to keep in FP32, unique and sorted. Raises FieldError if no variant is quantized. Whether the
    model has these modules is only checked when it is loaded."""
    names = tuple(sorted({module.strip() for module in modules if module.strip()}))
    if not names:
        return ()
    precisions = list(dict.fromkeys(variant.precision for variant in variants))
    if is_as_is(model):
        raise FieldError(
            "keep_fp32", f"{model.name} is a finished program: no module can be kept in FP32", "run its model"
        )
    if "fp16" in precisions:
        raise FieldError(
            "keep_fp32",
            "fp16 converts the whole model: no module can be kept in FP32",
            "omit fp16 or --keep-fp32",
            screen_hint="choose int8",
        )
    if not any(PRECISIONS[name].quantized for name in precisions if name in PRECISIONS):
        raise FieldError(
            "keep_fp32",
            f"{', '.join(precisions)} does not quantize: every module is in FP32",
            "use int8, or omit --keep-fp32",
            screen_hint="choose int8",
        )
    return names


def wait_quiet_min(option: float | None) -> float:
    """Return the longest wait for a quiet machine in minutes: ``option``, else ``ETUI_WAIT_QUIET``, else the default.
    An invalid value of the variable is ignored.

    Raises FieldError if ``option`` is invalid.
    """
    if option is not None:
        if not 0 <= option < float("inf"):
            raise FieldError(
                "wait_quiet",
                f"{option:g} is not a valid number of minutes to wait",
                "use 0 or more; 0 measures at once",
            )
        return option
    try:
        value = float(os.environ.get(WAIT_QUIET_VARIABLE, ""))
    except ValueError:
        return DEFAULT_WAIT_QUIET_MIN
    return value if 0 <= value < float("inf") else DEFAULT_WAIT_QUIET_MIN


def check_preset(text: str) -> PresetName:
    """Return the preset of this name. Raises FieldError if it is unknown."""
    if text not in PRESETS:
        raise FieldError("preset", f"unknown preset {text!r}", f"use one of {', '.join(PRESETS)}")
    return PRESETS[text].name


def check_shapes(model: Model | None, options: Options) -> list[Shape]:
    """Return the shapes that options request. Raises FieldError if one is invalid or, as far as is known without
    loading it, the model does not take it; None for a model that is not known."""
    try:
        return check_varied(model, options)
    except ShapeError as error:
        raise _of_shape(error) from error


def _of_shape(error: ShapeError) -> FieldError:
    return FieldError(error.name, error.message, error.hint, screen_hint=error.screen_hint)


def specification(
    model: Model, variants: Iterable[Variant], options: Options, *, export_only_dir: str | None = None
) -> SessionSpec:
    """Return the specification of a session, with each variant at every shape and number of threads, and the variants
    of its baselines. Raises FieldError if an option cannot be met by the model or on this machine."""
    for count in options.threads:
        check_threads(count)
    try:
        variants = expanded(model, variants, options)
    except ShapeError as error:
        raise _of_shape(error) from error
    for variant in variants:
        if variant.dynamic and variant.delegate in BASELINES:
            raise FieldError(
                "dynamic",
                f"{variant.delegate} is measured only in fixed shapes",
                "omit --dynamic",
                screen_hint="choose no",
            )
    variants = tuple(with_baselines(model, variants, options.baselines))
    data, limits = check_data(options.data), drop_limits(options.tolerance)
    return SessionSpec(
        model=model.reference,
        variants=variants,
        preset=options.preset,
        repeat=options.repeat,
        warmup=options.warmup,
        threads=single_threads(options.threads),
        weights=check_weights(options.weights),
        timeout_s=options.timeout_s or DEFAULT_TIMEOUT_S,
        calibration_count=options.calibration_count or usual_calibration_count(data),
        accuracy_inputs=options.accuracy_inputs,
        seed=options.seed,
        use_cache=options.use_cache,
        export_only_dir=export_only_dir,
        keep_fp32=check_kept(model, variants, options.keep_fp32),
        wait_quiet_min=wait_quiet_min(options.wait_quiet_min),
        allow_pickle=options.allow_pickle,
        data=data,
        split=check_split(data, options.split, limits),
        map_drop=limits.get("map_drop"),
        top1_drop=limits.get("top1_drop"),
        priority=options.priority,
    )
