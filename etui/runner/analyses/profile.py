"""The profile of a run's operators: its program under ETDump and eager, each in a separate worker."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from etui.analysis.profiles import by_kind
from etui.analysis_kinds.profile import ProfileJob, ProfileOptions
from etui.errors import EtuiError
from etui.events import utc_now
from etui.files.atomic import copy_file
from etui.files.cache_entries import add_file
from etui.formats.chrome_trace import Timeline, chrome_trace
from etui.formats.csv_tables import profile_csv
from etui.insight import OperatorSide, Profile
from etui.programs.source_map import ETRECORD, SOURCE_MAP
from etui.results import RunDocument
from etui.runner.analyses.context import Analysis
from etui.runner.rebuild_program import RebuiltProgram, lower_job
from etui.runner.worker import WorkerFailed
from etui.spec import EAGER
from etui.text import counted, number, percent, plain

PROGRAM_BUDGET_S, EAGER_BUDGET_S = 0.6, 0.4
"""Seconds of inferences per side if their number is not requested, so that a profile takes about three seconds."""

_ETDUMP, _ETRECORD, _TRACE, _CSV = ".etdp", ".etrecord", ".trace.json", ".operators.csv"
_TIMELINES = ("program.timeline.json", "eager.timeline.json")


async def profile(analysis: Analysis, options: ProfileOptions) -> None:
    """Profile the analysis's run and store the result in its document.

    Raises:
        EtuiError: the program is not available, fails or cannot be traced, or a file cannot be written.
    """
    document = analysis.document
    stem = file_stem(document)
    target = Path(options.keep_dir) if options.keep_dir else None
    if target is not None:
        _refuse_existing(target, stem, options)
        _make_folder(target)
    rebuilt = await analysis.program(to_lower_again=options.etrecord)
    await _ensure_source_map(analysis, rebuilt, etrecord=options.etrecord)
    scratch = analysis.cache.scratch(f"profile-{analysis.queued.id}") if target is not None else None
    try:
        result = await _sides(analysis, rebuilt, options, scratch.root if scratch else None)
        # Writing the files can fail on a full disk, which must not lose the result.
        analysis.outbox.save_result(document.id, result)
        analysis.say("log", _to_text(result))
        if scratch is not None and target is not None:
            _write_files(result, scratch.root, target, stem, document, Path(rebuilt.program_dir), options)
            analysis.say("log", f"kept the profile's files in {target}")
    finally:
        if scratch is not None:
            scratch.remove()


def file_stem(document: RunDocument) -> str:
    """The stem of the names of a run's files for other tools, such as ``resnet18_int8_xnnpack``."""
    parts = (document.model.name, document.precision, document.delegate)
    return "_".join("".join(c if c.isalnum() or c in "._-" else "-" for c in part).strip(".-") for part in parts)


async def _sides(analysis: Analysis, rebuilt: RebuiltProgram, options: ProfileOptions, made: Path | None) -> Profile:
    document = analysis.document

    def job(program: str | None, delegate: str, budget_s: float) -> ProfileJob:
        return ProfileJob(
            bundle=rebuilt.bundle.path,
            model=rebuilt.model,
            program=program,
            delegate=delegate,
            threads=analysis.threads,
            cpus=analysis.cpus,
            inferences=options.inferences,
            budget_s=budget_s,
            run_id=document.id,
            files_dir=str(made) if made else None,
        )

    analysis.say("stage", f"profiling {document.configuration}")
    program = await analysis.do(job(rebuilt.lowered.path, document.delegate, PROGRAM_BUDGET_S))
    notes = list(program.notes)
    eager: OperatorSide | None = None
    if options.eager and rebuilt.bundle.has_eager:
        analysis.say("stage", "profiling eager")
        try:
            result = await analysis.do(job(None, EAGER, EAGER_BUDGET_S))
        except WorkerFailed as error:
            # The program's profile is complete without eager.
            notes.append(f"Eager could not be profiled: {error}")
            analysis.say("log", notes[-1], level="warning")
        else:
            eager = result.side
            notes += result.notes
    elif not rebuilt.bundle.has_eager:
        notes.append("A finished program has no eager model to profile.")
    if rebuilt.lowered.artifact.sha256 != (document.artifact.sha256 if document.artifact else None):
        notes.append("The program was prepared again for this profile; its bytes differ from the measured program.")
    return Profile(created_at=utc_now(), threads=analysis.threads, program=program.side, eager=eager, notes=notes)


async def _ensure_source_map(analysis: Analysis, rebuilt: RebuiltProgram, *, etrecord: bool) -> None:
    """Ensure that the program's folder has a source map (and an ETRecord, if requested).

    A program that was prepared without them is lowered again in a scratch folder. If that gives identical bytes, the
    missing files are added to the program's folder; otherwise they do not describe this program and are dropped.
    """
    folder = Path(rebuilt.program_dir)
    needed = [SOURCE_MAP, ETRECORD] if etrecord else [SOURCE_MAP]
    missing = [name for name in needed if not (folder / name).exists()]
    document = analysis.document
    if not missing or not rebuilt.bundle.has_eager or rebuilt.lowered_with is None:
        return
    reason = "to map operators to their modules" if SOURCE_MAP in missing else "for its ETRecord"
    analysis.say("stage", f"profiling: lowering again {reason}")
    scratch = analysis.cache.scratch(f"map-{analysis.queued.id}")
    try:
        lowered = await analysis.do(
            lower_job(
                document,
                rebuilt.origin,
                rebuilt.lowered_with,
                rebuilt.lowered.artifact.key,
                str(scratch.program_dir("rebuilt")),
                run_id=document.id,
                threads=analysis.cores,
                etrecord=etrecord,
            )
        )
        if lowered.artifact.sha256 != rebuilt.lowered.artifact.sha256:
            analysis.say(
                "log", "lowering again gave a different program, so the source modules of its operators are not known",
                level="warning",
            )  # fmt: skip
            return
        for name in missing:
            made = scratch.program_dir("rebuilt") / name
            if made.exists():
                add_file(folder, name, made)
    except OSError as error:
        raise EtuiError(f"cannot write to the cache {folder}: {error.strerror or error}", "free disk space") from error
    finally:
        scratch.remove()


def _files(stem: str, options: ProfileOptions) -> list[str]:
    names = [f"{stem}{suffix}" for suffix in (_ETDUMP, _TRACE, _CSV)]
    return [*names, f"{stem}{_ETRECORD}"] if options.etrecord else names


def _refuse_existing(target: Path, stem: str, options: ProfileOptions) -> None:
    """Raise EtuiError, before anything is run, if a target file exists."""
    if options.force:
        return
    for name in _files(stem, options):
        if (target / name).exists():
            raise EtuiError(f"{target / name} already exists", "choose another folder, or allow overwriting")


def _make_folder(target: Path) -> None:
    """Create the folder for the files before anything is run. Raises EtuiError if it is not writable."""
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EtuiError(
            f"cannot create the folder {target}: {error.strerror or error}", "choose another folder"
        ) from error
    if not os.access(target, os.W_OK | os.X_OK):
        raise EtuiError(f"the folder {target} is not writable", "choose another folder")


def _write_files(
    result: Profile, made: Path, target: Path, stem: str, document: RunDocument, program_dir: Path,
    options: ProfileOptions,
) -> None:  # fmt: skip
    """Write the files for other tools, each atomically; the larger ones are taken from ``made`` and the program's
    folder.

    Raises:
        EtuiError: a file exists already, or cannot be written.
    """
    if options.etrecord and not (program_dir / ETRECORD).exists():
        raise EtuiError(
            "no ETRecord could be created for this program; its profile is stored", "see the run's log for the reason"
        )
    try:
        timelines = [
            msgspec.json.decode((made / name).read_bytes(), type=Timeline)
            for name in _TIMELINES
            if (made / name).exists()
        ]
        title = f"{document.model.name} {document.configuration}, run {document.id}"
        (made / "trace").write_bytes(chrome_trace(timelines, title=title))
        (made / "csv").write_bytes(profile_csv(result))
        files = {_ETDUMP: made / "program.etdp", _TRACE: made / "trace", _CSV: made / "csv"}
        if options.etrecord:
            files[_ETRECORD] = program_dir / ETRECORD
        for suffix, path in files.items():
            copy_file(path, target / f"{stem}{suffix}", force=options.force)
    except FileExistsError as error:
        raise EtuiError(
            f"{error.filename2 or error.filename} already exists; the profile is stored", "allow overwriting"
        ) from error
    except OSError as error:
        raise EtuiError(
            f"the profile is stored, but its files cannot be written to {target}: {error.strerror or error}",
            "free disk space, or choose another folder",
        ) from error


def _to_text(result: Profile) -> str:
    side = result.program
    kind, share = next(iter(by_kind(side)), ("operators", 1.0))
    return (
        f"profiled {counted(side.inferences, 'inference')} of {number(side.inference_ms)} ms: "
        f"{counted(len(side.operators), 'operator')}, {percent(share)} of the time in {plain(kind)}"
    )
