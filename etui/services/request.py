"""From a choice to a session's specification: every field checked, before anything starts or loads."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from etui.catalog.find import Model, UserModel, find_delegate, find_model, find_precision, impossible
from etui.catalog.precisions import AS_IS, PRECISIONS
from etui.errors import UsageError
from etui.files.hashing import file_stamp
from etui.host.cpus import usable_cores
from etui.magnitudes import MOST_COUNTED
from etui.paths import absolute
from etui.spec import (
    DEFAULT_ACCURACY_INPUTS,
    DEFAULT_CALIBRATION_COUNT,
    DEFAULT_TIMEOUT_S,
    DEFAULT_WAIT_QUIET_MIN,
    PRESETS,
    WEIGHTS,
    PresetName,
    SessionSpec,
    Variant,
)

FieldName = Literal["model", "precision", "delegate", "weights", "preset", "repeat", "warmup", "threads", "timeout"]

WAIT_QUIET_VARIABLE = "ETUI_WAIT_QUIET"

LEAST: Mapping[FieldName, int] = {"repeat": 1, "warmup": 0, "threads": 1}
"""The least each count may be."""


class FieldError(UsageError):
    """One field of a choice is wrong; ``field`` says which."""

    def __init__(self, field: FieldName, message: str, hint: str = "", *, screen_hint: str | None = None) -> None:
        super().__init__(message, hint, screen_hint=screen_hint)
        self.field: FieldName = field


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a session measures, apart from what: the same for each of its variants."""

    preset: PresetName = "default"
    repeat: int | None = None
    warmup: int | None = None
    threads: int | None = None
    weights: str = "auto"
    timeout_s: float | None = None
    calibration_count: int = DEFAULT_CALIBRATION_COUNT
    accuracy_inputs: int = DEFAULT_ACCURACY_INPUTS
    seed: int = 0
    use_cache: bool = True
    keep_fp32: tuple[str, ...] = ()
    wait_quiet_min: float | None = None
    allow_pickle: bool = False


def is_as_is(model: Model) -> bool:
    """Whether a model is a finished program, which is measured as it is."""
    return isinstance(model, UserModel) and model.kind == "pte"


def check_model(text: str, *, allow_pickle: bool = False) -> Model:
    """The model a text names. Raises FieldError where there is none, or its file cannot be read; or unless
    ``allow_pickle``, if it is a .pt2 with parts that run code when they are loaded."""
    if not text.strip():
        raise FieldError("model", "no model is chosen", "type a name from the list, or a path")
    try:
        model = find_model(text)
        if isinstance(model, UserModel) and not os.access(model.path, os.R_OK):
            raise FieldError("model", f"the file {model.path} may not be read", "check its permissions")
    except FieldError:
        raise
    except UsageError as error:
        raise FieldError("model", error.message, error.hint, screen_hint=error.screen_hint) from error
    except OSError as error:
        raise FieldError("model", f"cannot reach {text} ({error.strerror})", "check the path") from error
    if isinstance(model, UserModel) and model.kind == "pt2" and not allow_pickle:
        _refuse_pickled(Path(model.path))
    return model


def _refuse_pickled(path: Path) -> None:
    """Raise FieldError if a .pt2 would run code when it is loaded, as far as can be told here: who loads it looks
    again."""
    try:
        words = _pickled_parts(path, file_stamp(path))
    except OSError:
        return
    if words:
        raise FieldError(
            "model",
            f"{path} holds parts that run code when they are loaded: {words}",
            "if you trust where it comes from, run it with etui run --allow-pickle",
        )


@functools.lru_cache(maxsize=8)
def _pickled_parts(path: Path, _stamp: str) -> str:
    """The parts of a .pt2 that run code, in words. The screen asks at every key, so the answer is remembered as long as
    the file is the same."""
    from etui.programs.pickle_check import refused_parts, to_text

    return to_text(refused_parts(path))


def combine(
    model: Model, precisions: Iterable[str], delegates: Iterable[str], *, measure: bool = True
) -> tuple[list[Variant], dict[Variant, str]]:
    """Every precision on every delegate: those that can be, and those that cannot with the reason.

    Raises FieldError for a name that does not exist, or where either list is empty.
    """
    precisions, delegates = tuple(dict.fromkeys(precisions)), tuple(dict.fromkeys(delegates))
    if not precisions:
        raise FieldError("precision", "no precision is chosen", "choose at least one")
    if not delegates:
        raise FieldError("delegate", "no delegate is chosen", "choose at least one")
    possible: list[Variant] = []
    refused: dict[Variant, str] = {}
    try:
        for name in precisions:
            find_precision(name)
    except UsageError as error:
        raise FieldError("precision", error.message, error.hint, screen_hint=error.screen_hint) from error
    try:
        for name in delegates:
            find_delegate(name)
    except UsageError as error:
        raise FieldError("delegate", error.message, error.hint, screen_hint=error.screen_hint) from error
    for variant in (Variant(precision, delegate) for precision in precisions for delegate in delegates):
        reason = impossible(model, variant.precision, variant.delegate, measure)
        if reason is None:
            possible.append(variant)
        else:
            refused[variant] = reason
    return possible, refused


def default_configuration(model: Model) -> tuple[str, str]:
    """The precision and delegate that stand where none were named."""
    return (AS_IS, AS_IS) if is_as_is(model) else ("fp32", "xnnpack")


def check_count(field: FieldName, text: str) -> int | None:
    """The whole number a text is, None where it is empty. Raises FieldError where it is none, or too small."""
    text = text.strip()
    if not text:
        return None
    try:
        value = int(text)
    except ValueError:
        raise FieldError(field, f"{text!r} is not a whole number", "or leave it empty") from None
    if value < LEAST[field]:
        raise FieldError(field, f"{value} is too few", f"at least {LEAST[field]}, or leave it empty")
    if value > MOST_COUNTED:
        raise FieldError(field, f"{text[:30]} is too many", f"at most {MOST_COUNTED}, or leave it empty")
    return value


def check_seconds(text: str) -> float | None:
    """The seconds a text is, None where it is empty. Raises FieldError where it is no number above 0."""
    text = text.strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise FieldError("timeout", f"{text!r} is no number of seconds", "or leave it empty") from None
    if not 0 < value < float("inf"):
        raise FieldError("timeout", f"{text} is no time to stop after", "more than 0 seconds, or leave it empty")
    return value


def check_threads(threads: int | None) -> int | None:
    """The number of threads as it is. Raises FieldError where there are not that many cores."""
    cores = usable_cores()
    if threads is not None and threads > cores:
        allowed = "1" if cores == 1 else f"1 to {cores}"
        raise FieldError("threads", f"this process may use {cores} cores, not {threads}", f"give {allowed} threads")
    return threads


def check_weights(text: str) -> str:
    """``auto``, ``pretrained``, ``synthetic`` or an absolute path. Raises FieldError where nothing can be read."""
    text = text.strip() or "auto"
    if text in WEIGHTS:
        return text
    try:
        path = absolute(text, "--weights")
    except UsageError as error:
        raise FieldError("weights", error.message, error.hint, screen_hint=error.screen_hint) from error
    try:
        path.stat()
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise FieldError("weights", f"the folder of {path} may not be read", "check its permissions") from error
        raise FieldError(
            "weights",
            f"there are no weights at {path}",
            "give auto, pretrained, synthetic, or the path of a file or folder",
        ) from error
    if not os.access(path, os.R_OK):
        raise FieldError("weights", f"{path} may not be read", "check its permissions")
    return str(path)


def check_kept(model: Model, variants: Iterable[Variant], modules: Iterable[str]) -> tuple[str, ...]:
    """The modules to keep in FP32, each once, sorted. Raises UsageError where no variant quantizes anything they could
    be kept from. Whether the model has them is only known once it is loaded."""
    wanted = tuple(sorted({module.strip() for module in modules if module.strip()}))
    if not wanted:
        return ()
    names = list(dict.fromkeys(variant.precision for variant in variants))
    if is_as_is(model):
        raise UsageError(f"{model.name} is a finished program: nothing of it can be kept in FP32", "run its model")
    if "fp16" in names:
        raise UsageError(
            "fp16 halves the whole model: no module can be kept in FP32",
            "leave fp16 or --keep-fp32 out",
            screen_hint="choose int8",
        )
    if not any(PRECISIONS[name].quantized for name in names if name in PRECISIONS):
        raise UsageError(
            f"{', '.join(names)} quantizes nothing: every module is in FP32",
            "choose int8, or leave --keep-fp32 out",
            screen_hint="choose int8",
        )
    return wanted


def wait_quiet_min(chosen: float | None) -> float:
    """How many minutes to wait for a calm machine: what was chosen, else what ETUI_WAIT_QUIET says, else the default.
    A value of the variable that is not a number of minutes is ignored.

    Raises UsageError for a choice that is not one.
    """
    if chosen is not None:
        if not 0 <= chosen < float("inf"):
            raise UsageError(f"{chosen:g} is not a number of minutes to wait", "0 or more; 0 measures at once")
        return chosen
    try:
        value = float(os.environ.get(WAIT_QUIET_VARIABLE, ""))
    except ValueError:
        return DEFAULT_WAIT_QUIET_MIN
    return value if 0 <= value < float("inf") else DEFAULT_WAIT_QUIET_MIN


def check_preset(text: str) -> PresetName:
    """The preset of this name. Raises FieldError where there is none."""
    if text not in PRESETS:
        raise FieldError("preset", f"there is no preset {text!r}", f"one of {', '.join(PRESETS)}")
    return PRESETS[text].name


def specification(
    model: Model, variants: Iterable[Variant], options: Options, *, export_only_dir: str | None = None
) -> SessionSpec:
    """The specification of a session. Raises FieldError where an option cannot be met on this box."""
    variants = tuple(variants)
    return SessionSpec(
        model=model.reference,
        variants=variants,
        preset=options.preset,
        repeat=options.repeat,
        warmup=options.warmup,
        threads=check_threads(options.threads),
        weights=check_weights(options.weights),
        timeout_s=options.timeout_s or DEFAULT_TIMEOUT_S,
        calibration_count=options.calibration_count,
        accuracy_inputs=options.accuracy_inputs,
        seed=options.seed,
        use_cache=options.use_cache,
        export_only_dir=export_only_dir,
        keep_fp32=check_kept(model, variants, options.keep_fp32),
        wait_quiet_min=wait_quiet_min(options.wait_quiet_min),
        allow_pickle=options.allow_pickle,
    )
