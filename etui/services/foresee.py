"""What a request will do before it is queued: its programs, which of them are in the program cache, and how long it is
going to take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from etui.catalog.memory_need import needed_bytes
from etui.catalog.precisions import is_quantized
from etui.services.request import is_as_is
from etui.services.session_config import Session
from etui.services.time_estimate import SimilarRun, by_program, estimate, is_known, newest_similar
from etui.spec import Variant, stored_name
from etui.store import Store

Basis = Literal["similar", "size", "both", "unknown"]


class ForeseenProgram(msgspec.Struct, frozen=True, kw_only=True):
    """A program that a session needs. ``cached`` is whether an earlier run with the same settings has left it in the
    program cache; None for a finished program, which is measured as it is. Whether the cached program can be used is
    only known when the model is loaded. ``variant`` is its name if that is more than precision and delegate."""

    precision: str
    delegate: str
    cached: bool | None
    variant: str | None = None


class ForeseenSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session: its programs and its time from start to end, in seconds. The time is None with the basis ``unknown``:
    the size of the model is not known and it has no similar runs. ``memory_bytes`` is the estimated memory that
    preparing a program needs, for a large model whose programs are not all cached."""

    model: str
    programs: tuple[ForeseenProgram, ...]
    estimate_s: float | None
    basis: Basis
    memory_bytes: int | None = None


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """All sessions of a request, with totals. ``estimate_s`` is None if the time of a session is unknown. ``runs`` may
    be more than ``programs``, of which ``cached`` are in the program cache: some runs have the same program."""

    sessions: tuple[ForeseenSession, ...]
    programs: int
    cached: int
    estimate_s: float | None
    skipped: tuple[str, ...] = ()
    runs: int = 0


def foresee(
    store: Store | None, sessions: Sequence[Session], cache: Path, cores: int, skipped: Sequence[str] = ()
) -> Foreseen:
    """Return what these sessions will do; without a ``store`` there are no earlier runs. Raises StoreError."""
    foreseen = tuple(_session(store, session, cache, cores) for session in sessions)
    programs = [each for pair in zip(foreseen, sessions, strict=True) for each in _cached(*pair)]
    times = [session.estimate_s for session in foreseen]
    known = [time for time in times if time is not None]
    return Foreseen(
        sessions=foreseen,
        programs=len(programs),
        cached=sum(programs),
        estimate_s=sum(known) if len(known) == len(times) else None,
        skipped=tuple(skipped),
        runs=sum(len(session.programs) for session in foreseen),
    )


def _cached(session: ForeseenSession, planned: Session) -> list[bool]:
    """Return for each program, which several runs may have, whether it is in the program cache."""
    cached = dict(zip(planned.spec.variants, (program.cached for program in session.programs), strict=True))
    return [any(cached[variant] for variant in group) for group in by_program(planned.spec.variants)]


def _session(store: Store | None, session: Session, cache: Path, cores: int) -> ForeseenSession:
    spec, model = session.spec, session.model
    similar: dict[Variant, SimilarRun] = {} if store is None else newest_similar(store, spec, model, cache)
    result = estimate(spec, model, similar, cores)
    missing = [variant for variant in spec.variants if variant not in similar or not similar[variant].prepared]
    needed = [needed_bytes(model, "quantize" if is_quantized(variant.precision) else "prepare") for variant in missing]
    is_unknown = not is_known(spec, model, similar) or spec.export_only_dir is not None
    return ForeseenSession(
        model=model.name,
        programs=tuple(
            ForeseenProgram(
                precision=variant.precision,
                delegate=variant.delegate,
                cached=None if is_as_is(model) else variant in similar and similar[variant].prepared,
                variant=stored_name(variant),
            )
            for variant in spec.variants
        ),
        estimate_s=None if is_unknown else result.seconds,
        basis="unknown" if is_unknown else result.basis,
        memory_bytes=max(filter(None, needed), default=None),
    )
