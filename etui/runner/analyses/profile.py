"""The profile of a run's operators: its program under ETDump and eager, each in a child of its own."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from etui.analysis.profiles import by_kind
from etui.errors import EtuiError
from etui.events import utc_now
from etui.files.atomic import copy_file
from etui.files.cache_entries import add_file
from etui.formats.chrome_trace import Timeline, chrome_trace
from etui.formats.csv_tables import profile_csv
from etui.insight import OperatorSide, Profile
from etui.jobs import ProfileJob, ProfileResult
from etui.programs.source_map import ETRECORD, SOURCE_MAP
from etui.results import RunDocument
from etui.runner.analyses.context import Analysis
from etui.runner.rebuild_program import RebuiltProgram, lower_job
from etui.runner.worker import WorkerFailed
from etui.spec import EAGER, ProfileOptions
from etui.text import counted, number, percent, plain

PROGRAM_BUDGET_S, EAGER_BUDGET_S = 0.6, 0.4
"""Seconds of inferences on each side, where their number is not asked for: the table shall be there in three."""

_ETDUMP, _ETRECORD, _TRACE, _CSV = ".etdp", ".etrecord", ".trace.json", ".operators.csv"
_TIMELINES = ("program.timeline.json", "eager.timeline.json")


async def profile(under_way: Analysis) -> None:
    """Profile the pass's run and store the result in its document.

    Raises:
        EtuiError: the program cannot be had, run or traced, or a file cannot be written.
    """
    options = under_way.queued.options
    assert isinstance(options, ProfileOptions)
    document = under_way.document
    stem = file_stem(document)
    target = Path(options.keep_dir) if options.keep_dir else None
    if target is not None:
        _refuse_taken(target, stem, options)
        _make_folder(target)
    under_way.say("stage", "profiling: finding the program")
    again = await under_way.program()
    await _with_map(under_way, again, etrecord=options.etrecord)
    scratch = under_way.cache.scratch(f"profile-{under_way.queued.id}") if target is not None else None
    try:
        profiled = await _sides(under_way, again, options, scratch.root if scratch else None)
        # What follows can fail for want of space, and must not cost what was found out.
        under_way.outbox.save_profile(document.id, profiled)
        under_way.say("log", _to_text(profiled))
        if scratch is not None and target is not None:
            _keep(profiled, scratch.root, target, stem, document, Path(again.program_dir), options)
            under_way.say("log", f"kept the profile's files in {target}")
    finally:
        if scratch is not None:
            scratch.remove()


def file_stem(document: RunDocument) -> str:
    """What the names of a run's files for other tools begin with, such as ``resnet18_int8_xnnpack``."""
    parts = (document.model.name, document.precision, document.delegate)
    return "_".join("".join(c if c.isalnum() or c in "._-" else "-" for c in part).strip(".-") for part in parts)


async def _sides(under_way: Analysis, again: RebuiltProgram, options: ProfileOptions, made: Path | None) -> Profile:
    document = under_way.document

    def job(program: str | None, delegate: str, budget_s: float) -> ProfileJob:
        return ProfileJob(
            bundle=again.bundle.path,
            model=again.model,
            program=program,
            delegate=delegate,
            threads=under_way.threads,
            cpus=under_way.cpus,
            inferences=options.inferences,
            budget_s=budget_s,
            run_id=document.id,
            files_dir=str(made) if made else None,
        )

    under_way.say("stage", f"profiling {document.precision}/{document.delegate}")
    program = await _side(under_way, job(again.lowered.path, document.delegate, PROGRAM_BUDGET_S))
    notes = list(program.notes)
    eager: OperatorSide | None = None
    if options.eager and again.bundle.has_eager:
        under_way.say("stage", "profiling eager")
        try:
            result = await _side(under_way, job(None, EAGER, EAGER_BUDGET_S))
        except WorkerFailed as error:
            # The program's profile is whole without it.
            notes.append(f"Eager could not be profiled: {error}")
            under_way.say("log", notes[-1], level="warning")
        else:
            eager = result.side
            notes += result.notes
    elif not again.bundle.has_eager:
        notes.append("A finished program has no eager side.")
    if again.lowered.artifact.sha256 != (document.artifact.sha256 if document.artifact else None):
        notes.append("The program was prepared again for this profile; its bytes are not those that were measured.")
    return Profile(created_at=utc_now(), threads=under_way.threads, program=program.side, eager=eager, notes=notes)


async def _side(under_way: Analysis, job: ProfileJob) -> ProfileResult:
    done = await under_way.do(job)
    assert done.profile is not None
    return done.profile


async def _with_map(under_way: Analysis, again: RebuiltProgram, *, etrecord: bool) -> None:
    """See that a source map (and an ETRecord, where one is asked for) lies beside the program.

    A program that was prepared without them is lowered again, aside; where that gives the very same bytes, what it
    gives is put beside the program, and where not, it says nothing of this program and is dropped.
    """
    folder = Path(again.program_dir)
    lacking = [name for name, wanted in ((SOURCE_MAP, True), (ETRECORD, etrecord)) if wanted]
    lacking = [name for name in lacking if not (folder / name).exists()]
    document = under_way.document
    if not lacking or not again.bundle.has_eager:
        return
    why = "to learn where the operators come from" if SOURCE_MAP in lacking else "for its ETRecord"
    under_way.say("stage", f"profiling: lowering again, {why}")
    scratch = under_way.cache.scratch(f"map-{under_way.queued.id}")
    try:
        done = await under_way.do(
            lower_job(
                document,
                again.origin,
                again.bundle,
                again.lowered.artifact.key,
                str(scratch.program_dir("again")),
                run_id=document.id,
                threads=under_way.cores,
                etrecord=etrecord,
            )
        )
        assert done.lowered is not None
        if done.lowered.artifact.sha256 != again.lowered.artifact.sha256:
            under_way.say(
                "log", "lowering again gave another program, so where its operators come from is not known",
                level="warning",
            )  # fmt: skip
            return
        for name in lacking:
            made = scratch.program_dir("again") / name
            if made.exists():
                add_file(folder, name, made)
    except OSError as error:
        raise EtuiError(f"cannot write the cache {folder}: {error.strerror or error}", "free space there") from error
    finally:
        scratch.remove()


def _files(stem: str, options: ProfileOptions) -> list[str]:
    names = [f"{stem}{suffix}" for suffix in (_ETDUMP, _TRACE, _CSV)]
    return [*names, f"{stem}{_ETRECORD}"] if options.etrecord else names


def _refuse_taken(target: Path, stem: str, options: ProfileOptions) -> None:
    """Say at once, before anything is run, that a file is in the way."""
    if options.force:
        return
    for name in _files(stem, options):
        if (target / name).exists():
            raise EtuiError(f"{target / name} is there already", "name another folder, or overwrite with --force")


def _make_folder(target: Path) -> None:
    """Say at once, before anything is run, that the folder for the files cannot be made or written."""
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EtuiError(f"cannot make the folder {target}: {error.strerror or error}", "name another") from error
    if not os.access(target, os.W_OK | os.X_OK):
        raise EtuiError(f"the folder {target} is not writable", "name another")


def _keep(
    profiled: Profile, made: Path, target: Path, stem: str, document: RunDocument, program_dir: Path,
    options: ProfileOptions,
) -> None:  # fmt: skip
    """Write the files for other tools, each whole or not at all; the larger ones lie in ``made`` and beside the
    program.

    Raises:
        EtuiError: a file is there already, or cannot be written.
    """
    if options.etrecord and not (program_dir / ETRECORD).exists():
        raise EtuiError("no ETRecord could be made for this program; its profile is stored", "the run's log says why")
    try:
        timelines = [
            msgspec.json.decode((made / name).read_bytes(), type=Timeline)
            for name in _TIMELINES
            if (made / name).exists()
        ]
        title = f"{document.model.name} {document.precision}/{document.delegate}, run {document.id}"
        (made / "trace").write_bytes(chrome_trace(timelines, title=title))
        (made / "csv").write_bytes(profile_csv(profiled))
        found = {_ETDUMP: made / "program.etdp", _TRACE: made / "trace", _CSV: made / "csv"}
        if options.etrecord:
            found[_ETRECORD] = program_dir / ETRECORD
        for suffix, path in found.items():
            copy_file(path, target / f"{stem}{suffix}", force=options.force)
    except FileExistsError as error:
        raise EtuiError(
            f"{error.filename2 or error.filename} is there already; the profile is stored", "overwrite it with --force"
        ) from error
    except OSError as error:
        raise EtuiError(
            f"the profile is stored, but its files cannot be written to {target}: {error.strerror or error}",
            "free space there, or name another folder",
        ) from error


def _to_text(profiled: Profile) -> str:
    side = profiled.program
    kind, share = next(iter(by_kind(side)), ("operators", 1.0))
    return (
        f"profiled {counted(side.inferences, 'inference')} of {number(side.inference_ms)} ms: "
        f"{counted(len(side.operators), 'operator')}, {percent(share)} of the time {plain(kind)}"
    )
