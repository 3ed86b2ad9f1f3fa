"""`etui run` and `etui sweep`: check the request, queue it, follow it to its end, and print the results."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from etui.cli.complete import (
    complete_baselines,
    complete_config,
    complete_delegates,
    complete_folder,
    complete_model,
    complete_models,
    complete_precisions,
    complete_weights,
)
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Counts, Number
from etui.cli.path_type import FILE_PATH, STDOUT
from etui.cli.wait_quiet import minutes_to_wait, wait_quiet_option
from etui.errors import EXIT_DONE, UsageError
from etui.text import plain

if TYPE_CHECKING:
    from etui.services.session_config import Planned, Session, SessionConfig
    from etui.spec import SessionSpec
    from etui.store import Store

_EXIT_STATUS = (
    "\n\nExit status: 0 success and within tolerance, 1 a tolerance was crossed, 2 usage error, 3 a run failed, 4 timed"
    " out, 130 cancelled. Ctrl-C cancels a run; closing the terminal does not."
)


class Names(click.ParamType[tuple[str, ...]]):
    """A list of names separated by commas."""

    name = "NAME,.."

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split at commas; an empty list is a usage error."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(part.strip() for part in str(value).split(",") if part.strip()))
        if not names:
            self.fail("give at least one name", param, ctx)
        return names


NAMES = Names()


def _use_litert_python(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    """Set the variable from which the runner, which this process may start, takes the converter's environment."""
    if value is not None:
        from etui.host.litert_converter import VARIABLE

        os.environ[VARIABLE] = str(value.absolute())


_MEASURING: list[Any] = [
    click.option("--baseline", type=NAMES, metavar="B,..", shell_complete=complete_baselines,
                 help="Other runtimes to measure in the same session, in each precision that they support: compile"
                 " (torch.compile's Inductor), onnxruntime, litert.  [default: only eager]"),
    click.option("--litert-python", type=FILE_PATH, metavar="FILE", expose_value=False, callback=_use_litert_python,
                 help="The Python of an environment with litert-torch, which converts models to LiteRT.  [default:"
                 " ETUI_LITERT_PYTHON]"),
    click.option("--preset", type=click.Choice(["quick", "default", "rigorous"]), default="default", show_default=True,
                 help="quick: 3 blocks of 0.5 s. default: 6 of 1 s. rigorous: up to 20 of 2 s, until within 1 %."),
    click.option("--repeat", type=Count(min=1), metavar="N",
                 help="Total timed inferences per variant, divided among the blocks.  [default: by the preset's time]"),
    click.option("--warmup", type=Count(min=0), metavar="N",
                 help="Warm-up inferences per block.  [default: until latency settles]"),
    click.option("--threads", type=Counts(), metavar="N,..",
                 help="Threads of eager and ExecuTorch; each of several is a variant.  [default: all cores]"),
    click.option("--input-size", type=NAMES, metavar="N,HxW,..",
                 help="Sizes of the images in pixels, such as 128,224 or 160x320 (height x width); each is a variant."
                 "  [default: the model's own]"),
    click.option("--batch", type=Counts(), metavar="N,..",
                 help="Numbers of items in one inference; each is a variant.  [default: the model's own]"),
    click.option("--sequence", type=Counts(), metavar="N,..",
                 help="Lengths of the texts in tokens; each is a variant.  [default: the model's own]"),
    click.option("--dynamic", is_flag=True,
                 help="Also measure, at each shape, one program that is lowered for the range of the shapes."),
    click.option("--weights", default="auto", show_default=True, metavar="auto|pretrained|synthetic|PATH",
                 shell_complete=complete_weights,
                 help="PATH: a Hugging Face folder, a safetensors file or a state dict."),
    click.option("--timeout", type=Number(min=0, min_open=True), metavar="S",
                 help="Time limit of a session in seconds, without waiting for the machine (at most 24 hours, or"
                 " ETUI_WAIT_MACHINE minutes) or for an idle machine.  [default: 3600]"),
    wait_quiet_option,
    click.option("--calibration", type=Count(min=1), metavar="N",
                 help="Number of calibration inputs for static quantization.  [default: 8; 100 with --data that has"
                 " splits]"),
    click.option("--inputs", type=Count(min=1), default=8, show_default=True, metavar="N",
                 help="Number of evaluation inputs for accuracy."),
    click.option("--data", metavar="DIR", shell_complete=complete_folder,
                 help="Make calibration and evaluation inputs from the files of a folder: images, .npz or .safetensors"
                 " with the model's inputs by name, or .jsonl with texts."),
    click.option("--split", metavar="NAME",
                 help="With labelled images in --data: evaluate on this split; calibration uses the training split."
                 "  [default: val]"),
    click.option("--tolerance", type=NAMES, metavar="LIMIT,..",
                 help="Largest losses to eager on labelled images, in percentage points: map_drop=N or top1_drop=N."),
    click.option("--keep-fp32", type=NAMES, metavar="MODULE,..",
                 help="Modules, with their submodules, to exclude from quantization."),
    click.option("--seed", type=Count(min=0, max=2**63 - 1), default=0, show_default=True, metavar="N",
                 help="Seed for synthetic weights, image crops, tokens and block order."),
    click.option("--allow-pickle", is_flag=True,
                 help="Load a .pt2 with pickled objects other than tensors. This executes code from the file."),
    click.option("--no-check", is_flag=True,
                 help="Queue without first loading your own model, its weights and the modules named to check them."),
    click.option("--cache/--no-cache", default=True,
                 help="Use and fill the program cache, or prepare everything anew.  [default: use it]"),
    click.option("--priority", type=click.Choice(["high", "normal", "low"]), default="normal", show_default=True,
                 help="Place in the queue: before waiting sessions of lower priority; what runs is not interrupted."),
    click.option("--config", metavar="FILE|NAME", shell_complete=complete_config,
                 help="Take models and options from a session file (TOML), or from a configuration saved on the screen."
                 " Options on the command line replace those of the file."),
    click.option("--print-config", is_flag=True, help="Print a session file that makes the same sessions, and exit."),
    click.option("--dry-run", is_flag=True,
                 help="Print the programs, which of them are cached, and an estimate of the time; queue nothing."),
    click.option("--detach", is_flag=True, help="Queue the runs, print their ids and return immediately."),
    click.option("--json", "as_json", is_flag=True,
                 help="Print run summaries as a JSON array; with --dry-run, the plan as a JSON object."),
    click.option("-v", "--verbose", is_flag=True, help="Also print worker output and every block."),
]  # fmt: skip


def _measuring_options(command: Any) -> Any:
    for option in reversed(_MEASURING):
        command = option(command)
    return command


@click.command(
    epilog=examples(
        "etui run resnet18",
        "etui run mobilenet_v2 --precision fp32,int8 --delegate xnnpack",
        "etui run resnet18 -p fp32,int8 -d xnnpack,portable,openvino --preset quick",
        "etui run minilm --weights ./all-MiniLM-L6-v2 --precision int8 --json | jq .",
        "etui run ./my_model.py:make_model --precision int8 -o result.json",
        "etui run ./speech.pte --method encode,decode",
        "etui run resnet50 --detach",
        "etui run resnet18 mobilenet_v2 --precision int8 --dry-run",
        "etui run resnet18 --precision fp32,int8 --print-config > bench.toml",
        "etui run --config bench.toml --preset quick",
        "etui run resnet18 --input-size 128,224,320 --batch 1,4",
        "etui run distilbert --sequence 16,64,128 --dynamic",
        "etui run resnet18 --threads 1,2",
        "etui run resnet18 --precision int8 --keep-fp32 conv1,layer4.1",
        "etui run resnet18 --delegate coreml --export-only -o ./programs",
        "etui run resnet18 -p fp32,int8 --baseline compile,onnxruntime",
    )
    + _EXIT_STATUS
)
@click.argument("models", nargs=-1, metavar="[MODEL]..", shell_complete=complete_model)
@click.option("-p", "--precision", type=NAMES, metavar="P,..", shell_complete=complete_precisions,
              help="Precisions.  [default: fp32]")  # fmt: skip
@click.option("-d", "--delegate", type=NAMES, metavar="D,..", shell_complete=complete_delegates,
              help="Delegates.  [default: xnnpack]")  # fmt: skip
@click.option("--method", type=NAMES, metavar="NAME,..",
              help="Methods of a .pte, each measured as a variant.  [default: forward, or its only one]")  # fmt: skip
@_measuring_options
@click.option("--export-only", is_flag=True, help="Write the programs to the folder given with -o, without measuring.")
@click.option(
    "-o",
    "--output",
    type=FILE_PATH,
    metavar="FILE",
    help="Export the runs to FILE as JSON; with --export-only, the folder for programs.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite existing files.")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    models: tuple[str, ...],
    precision: tuple[str, ...] | None,
    delegate: tuple[str, ...] | None,
    method: tuple[str, ...] | None,
    export_only: bool,
    output: Path | None,
    force: bool,
    **options: Any,
) -> int:
    """Export each MODEL, measure it against eager PyTorch, and store the runs; several models are one session each.

    MODEL is a name from `etui models`, FILE.py:FACTORY, an exported program (.pt2) or an ExecuTorch program (.pte).
    """  # fmt: skip
    if export_only and output is None:
        raise UsageError("--export-only needs an output folder", "add -o DIR")
    if output is not None and options["detach"] and not export_only:
        raise UsageError(
            "-o and --detach cannot be combined", "export the run when it is done: `etui export RUN -o FILE`"
        )
    configured = _configured(ctx, options, models=models, precisions=precision, delegates=delegate, methods=method)
    if not configured.config.models:
        raise click.UsageError("Missing argument 'MODEL'; name one from `etui models`, or give --config FILE", ctx)
    planned = configured.plan(
        skip=configured.path is not None or len(configured.config.models) > 1,
        measure=not export_only,
        export_only_dir=str(output.absolute()) if export_only and output else None,
    )
    if output is not None and export_only:
        from etui.catalog.delegates import program_file
        from etui.files.atomic import refuse_existing
        from etui.spec import program_name

        for session in planned.sessions:
            for variant in session.spec.variants:
                suffix = Path(program_file(variant.delegate)).suffix
                refuse_existing(output / program_name(session.model.name, variant, suffix), force=force)
    elif output is not None:
        _check_writable(output, force)
    return _measure(ctx.obj, configured, planned, options, None if export_only else output, force=force)


@click.command(
    epilog=examples(
        "etui sweep --models resnet18,mobilenet_v2 --precisions fp32,int8 --delegates xnnpack,openvino",
        "etui sweep --models resnet18,resnet50 --precisions int8 --preset rigorous --detach",
    )
    + "\n\nUnsupported combinations are skipped with a warning."
    + _EXIT_STATUS
)
@click.option("--models", type=NAMES, metavar="A,B", shell_complete=complete_models,
              help="Models, measured in one session each.")  # fmt: skip
@click.option("--precisions", type=NAMES, metavar="P,..", shell_complete=complete_precisions,
              help="Precisions.  [default: fp32]")  # fmt: skip
@click.option("--delegates", type=NAMES, metavar="D,..", shell_complete=complete_delegates,
              help="Delegates.  [default: xnnpack]")  # fmt: skip
@_measuring_options
@click.pass_context
def sweep(
    ctx: click.Context,
    /,
    models: tuple[str, ...] | None,
    precisions: tuple[str, ...] | None,
    delegates: tuple[str, ...] | None,
    **options: Any,
) -> int:
    """Measure several models in every precision on every delegate."""
    configured = _configured(ctx, options, models=models, precisions=precisions, delegates=delegates)
    if not configured.config.models:
        raise click.UsageError("Missing option '--models'; name models from `etui models`, or give --config FILE", ctx)
    return _measure(ctx.obj, configured, configured.plan(skip=True), options)


@dataclass(frozen=True)
class _Configured:
    """The configuration of a command line: ``config``, the session file that it is based on, if any, and the keys that
    come from there."""

    config: SessionConfig
    path: Path | None = None
    keys: frozenset[str] = frozenset()

    def plan(self, **how: Any) -> Planned:
        """Return the sessions, and print what is skipped. Raises UsageError, with the file and key of a value that
        comes from the session file."""
        from etui.services.session_config import plan

        with self.located():
            planned = plan(self.config, **how)
        for line in (*planned.skipped, *planned.notices):
            click.echo(f"etui: {line}", err=True)
        return planned

    @contextmanager
    def located(self) -> Iterator[None]:
        """Add the file and the key to a UsageError about a value that comes from the session file."""
        from etui.services.session_file import locate

        try:
            yield
        except UsageError as error:
            raise (locate(error, self.path, self.keys) if self.path is not None else error) from error


def _configured(ctx: click.Context, options: Mapping[str, Any], **lists: tuple[str, ...] | None) -> _Configured:
    """Return the configuration: the values of the session file, replaced by what the command line has."""
    from etui.services.session_config import KEYS, from_values, with_absolute_paths
    from etui.services.session_file import find_session_file, read_session_file

    given: dict[str, object] = {key: list(names) for key, names in lists.items() if names}
    for key in KEYS:
        if key in options and ctx.get_parameter_source(key) is ParameterSource.COMMANDLINE:
            given[key] = options[key]
    given = with_absolute_paths(given, Path.cwd()) if options["print_config"] else given
    path = None if options["config"] is None else find_session_file(options["config"])
    values = {} if path is None else read_session_file(path)
    return _Configured(from_values({**values, **given}), path, frozenset(values.keys() - given.keys()))


def _measure(
    settings: Settings,
    configured: _Configured,
    planned: Planned,
    options: Mapping[str, Any],
    output: Path | None = None,
    *,
    force: bool = False,
) -> int:
    """Queue the sessions, follow them and print their results; or print only what would be done."""
    from etui.catalog.find import describe
    from etui.cli.run_sessions import finish, followed
    from etui.runner.start import check_owner
    from etui.services.submit import submit

    if options["print_config"]:
        from etui.services.session_file import as_toml

        click.echo(as_toml(configured.config), nl=False)
        return EXIT_DONE
    if options["dry_run"]:
        from etui.cli.dry_run import print_plan

        print_plan(settings, planned, as_json=options["as_json"])
        return EXIT_DONE
    # Before user code runs for a session that cannot be queued.
    check_owner(settings.database)
    with configured.located():
        _check_early(planned, options)
    with settings.open_store() as store:
        sessions = [(spec, describe(session.model)) for spec, session in _when_calm(store, planned, configured.config)]
        ids = followed(store, lambda: (submit(store, spec, model) for spec, model in sessions), options)
        if output is not None:
            from etui.store.transfer import write_documents

            target = STDOUT if str(output) == "-" else output
            write_documents([store.document(one) for one in ids], target, force=force)
        return finish(store, ids, options)


def _check_early(planned: Planned, options: Mapping[str, Any]) -> None:
    """Check the models, weights and named modules before anything is queued. Raises UsageError for what would fail."""
    from etui.services.early_check import check_early

    def begin(text: str) -> None:
        click.echo(f"etui: {plain(text)}", err=True)

    for session in () if options["no_check"] else planned.sessions:
        if notice := check_early(session.spec, session.model, begin=begin):
            click.echo(f"etui: {plain(notice)}", err=True)


def _when_calm(store: Store, planned: Planned, config: SessionConfig) -> list[tuple[SessionSpec, Session]]:
    """Return the sessions with the time to wait for an idle machine; on a busy one, the user is asked."""
    import msgspec

    if any(session.spec.export_only_dir is not None for session in planned.sessions):
        return [(session.spec, session) for session in planned.sessions]
    minutes = minutes_to_wait(store, config.wait_quiet_min, max(config.threads, default=None))
    if minutes is None:
        return [(session.spec, session) for session in planned.sessions]
    return [(msgspec.structs.replace(session.spec, wait_quiet_min=minutes), session) for session in planned.sessions]


def _check_writable(output: Path, force: bool) -> None:
    from etui.files.atomic import is_stream, refuse_existing

    if str(output) == "-" or is_stream(output):
        return
    folder = output if output.is_dir() else output.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"the folder {folder} does not exist", "create it, or choose another FILE")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"the folder {folder} is not writable", "choose another FILE")
    if output.is_file():
        refuse_existing(output, force=force)
