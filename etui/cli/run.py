"""`etui run` and `etui sweep`: check the request, queue it, follow it to its end, and print the results."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etui.cli.complete import (
    complete_baselines,
    complete_delegates,
    complete_model,
    complete_models,
    complete_precisions,
    complete_weights,
)
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.path_type import FILE_PATH
from etui.cli.wait_quiet import minutes_to_wait, wait_quiet_option
from etui.errors import UsageError

if TYPE_CHECKING:
    from etui.catalog.find import Model
    from etui.spec import SessionSpec, Variant
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

_MEASURING: list[Any] = [
    click.option("--baseline", "baselines", type=NAMES, metavar="B,..", shell_complete=complete_baselines,
                 help="Other runtimes to measure in the same session, in each precision that they support: compile"
                 " (torch.compile's Inductor), onnxruntime.  [default: only eager]"),
    click.option("--preset", type=click.Choice(["quick", "default", "rigorous"]), default="default", show_default=True,
                 help="quick: 3 blocks of 0.5 s. default: 6 of 1 s. rigorous: up to 20 of 2 s, until within 1 %."),
    click.option("--repeat", type=Count(min=1), metavar="N",
                 help="Total timed inferences per variant, divided among the blocks.  [default: by the preset's time]"),
    click.option("--warmup", type=Count(min=0), metavar="N",
                 help="Warm-up inferences per block.  [default: until latency settles]"),
    click.option("--threads", type=Count(min=1), metavar="N",
                 help="Threads of eager and ExecuTorch.  [default: all cores]"),
    click.option("--weights", default="auto", show_default=True, metavar="auto|pretrained|synthetic|PATH",
                 shell_complete=complete_weights,
                 help="PATH: a Hugging Face folder, a safetensors file or a state dict."),
    click.option("--timeout", type=Number(min=0, min_open=True), metavar="S",
                 help="Time limit of a session in seconds, without waiting for the machine (at most 24 hours, or"
                 " ETUI_WAIT_MACHINE minutes) or for an idle machine.  [default: 3600]"),
    wait_quiet_option,
    click.option("--calibration", type=Count(min=1), default=8, show_default=True, metavar="N",
                 help="Number of calibration inputs for static quantization."),
    click.option("--inputs", type=Count(min=1), default=8, show_default=True, metavar="N",
                 help="Number of evaluation inputs for accuracy."),
    click.option("--keep-fp32", type=NAMES, metavar="MODULE,..",
                 help="Modules, with their submodules, to exclude from quantization."),
    click.option("--seed", type=Count(min=0, max=2**63 - 1), default=0, show_default=True, metavar="N",
                 help="Seed for synthetic weights, image crops, tokens and block order."),
    click.option("--allow-pickle", is_flag=True,
                 help="Load a .pt2 with pickled objects other than tensors. This executes code from the file."),
    click.option("--no-cache", is_flag=True, help="Do not use or fill the program cache."),
    click.option("--detach", is_flag=True, help="Queue the runs, print their ids and return immediately."),
    click.option("--json", "as_json", is_flag=True, help="Print run summaries as a JSON array."),
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
        "etui run resnet50 --detach",
        "etui run resnet18 --precision int8 --keep-fp32 conv1,layer4.1",
        "etui run resnet18 --delegate coreml --export-only -o ./programs",
        "etui run resnet18 -p fp32,int8 --baseline compile,onnxruntime",
    )
    + _EXIT_STATUS
)
@click.argument("model", shell_complete=complete_model)
@click.option("-p", "--precision", type=NAMES, metavar="P,..", shell_complete=complete_precisions,
              help="Precisions.  [default: fp32]")  # fmt: skip
@click.option("-d", "--delegate", type=NAMES, metavar="D,..", shell_complete=complete_delegates,
              help="Delegates.  [default: xnnpack]")  # fmt: skip
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
@click.pass_obj
def run(
    settings: Settings,
    /,
    model: str,
    precision: tuple[str, ...] | None,
    delegate: tuple[str, ...] | None,
    export_only: bool,
    output: Path | None,
    force: bool,
    **options: Any,
) -> int:
    """Export MODEL, measure it against eager PyTorch, and store the runs.

    MODEL is a name from `etui models`, FILE.py:FACTORY, an exported program (.pt2) or an ExecuTorch program (.pte).
    """  # fmt: skip
    from etui.catalog.find import describe
    from etui.cli.run_sessions import finish, followed
    from etui.services.request import with_baselines
    from etui.services.submit import submit

    found, variants = _check_configuration(
        model, precision, delegate, measure=not export_only, allow_pickle=options["allow_pickle"]
    )
    variants = with_baselines(found, variants, options["baselines"] or ())
    if export_only and output is None:
        raise UsageError("--export-only needs an output folder", "add -o DIR")
    if output is not None and options["detach"] and not export_only:
        raise UsageError(
            "-o and --detach cannot be combined", "export the run when it is done: `etui export RUN -o FILE`"
        )
    if output is not None and not export_only:
        _check_writable(output, force)
    if output is not None and export_only:
        from etui.catalog.delegates import program_file
        from etui.files.atomic import refuse_existing
        from etui.spec import program_name

        for variant in variants:
            suffix = Path(program_file(variant.delegate)).suffix
            refuse_existing(output / program_name(found.name, variant, suffix), force=force)
    spec = _specification(
        found, variants, options, export_only_dir=str(output.absolute()) if export_only and output else None
    )
    with settings.open_store() as store:
        if not export_only:
            spec = _when_calm(store, [spec], options)[0]
        ids = followed(store, lambda: [submit(store, spec, describe(found))], options)
        if not options["detach"] and output is not None and not export_only:
            from etui.store.transfer import write_documents

            target = Path("/dev/stdout") if str(output) == "-" else output
            write_documents([store.document(one) for one in ids], target, force=force)
        return finish(store, ids, options)


@click.command(
    epilog=examples(
        "etui sweep --models resnet18,mobilenet_v2 --precisions fp32,int8 --delegates xnnpack,openvino",
        "etui sweep --models resnet18,resnet50 --precisions int8 --preset rigorous --detach",
    )
    + "\n\nUnsupported combinations are skipped with a warning."
    + _EXIT_STATUS
)
@click.option("--models", type=NAMES, required=True, metavar="A,B", shell_complete=complete_models,
              help="Models, measured in one session each.")  # fmt: skip
@click.option("--precisions", type=NAMES, default="fp32", show_default=True, metavar="P,..",
              shell_complete=complete_precisions, help="Precisions.")  # fmt: skip
@click.option("--delegates", type=NAMES, default="xnnpack", show_default=True, metavar="D,..",
              shell_complete=complete_delegates, help="Delegates.")  # fmt: skip
@_measuring_options
@click.pass_obj
def sweep(
    settings: Settings,
    /,
    models: tuple[str, ...],
    precisions: tuple[str, ...],
    delegates: tuple[str, ...],
    **options: Any,
) -> int:
    """Measure several models in every precision on every delegate."""
    from etui.catalog.find import describe
    from etui.cli.run_sessions import finish, followed
    from etui.services.request import check_model, combine, with_baselines
    from etui.services.submit import submit

    wanted = []
    for text in models:
        found = check_model(text, allow_pickle=options["allow_pickle"])
        variants, refused = combine(found, precisions, delegates)
        for variant, reason in refused.items():
            click.echo(f"etui: skipping {found.name} {variant.label}: {reason}", err=True)
        if variants:
            variants = with_baselines(found, variants, options["baselines"] or ())
            wanted.append((_specification(found, variants, options), found))
    if not wanted:
        raise UsageError("no supported combination to measure", "see `etui models` and `etui delegates`")
    with settings.open_store() as store:
        specs = _when_calm(store, [spec for spec, _ in wanted], options)
        sessions = [(spec, describe(model)) for spec, (_, model) in zip(specs, wanted, strict=True)]
        ids = followed(store, lambda: (submit(store, spec, model) for spec, model in sessions), options)
        return finish(store, ids, options)


def _check_configuration(
    model: str,
    precisions: tuple[str, ...] | None,
    delegates: tuple[str, ...] | None,
    *,
    measure: bool,
    allow_pickle: bool,
) -> tuple[Model, list[Variant]]:
    """Return the model and its variants without loading anything. Raises UsageError for unsupported ones."""
    from etui.services.request import check_model, combine, default_configuration

    found = check_model(model, allow_pickle=allow_pickle)
    precision, delegate = default_configuration(found)
    variants, refused = combine(found, precisions or (precision,), delegates or (delegate,), measure=measure)
    for variant, reason in refused.items():
        raise UsageError(f"{found.name} cannot be run as {variant.label}: {reason}")
    return found, variants


def _specification(
    model: Model, variants: Sequence[Variant], options: dict[str, Any], export_only_dir: str | None = None
) -> SessionSpec:
    from etui.services.request import Options, specification

    chosen = Options(
        preset=options["preset"],
        repeat=options["repeat"],
        warmup=options["warmup"],
        threads=options["threads"],
        weights=options["weights"],
        timeout_s=options["timeout"],
        calibration_count=options["calibration"],
        accuracy_inputs=options["inputs"],
        seed=options["seed"],
        use_cache=not options["no_cache"],
        keep_fp32=options["keep_fp32"] or (),
        wait_quiet_min=options["wait_quiet"],
        allow_pickle=options["allow_pickle"],
    )
    return specification(model, variants, chosen, export_only_dir=export_only_dir)


def _when_calm(store: Store, specs: Sequence[SessionSpec], options: Mapping[str, Any]) -> list[SessionSpec]:
    """Return the specifications with the time to wait for an idle machine; on a busy one, the user is asked."""
    import msgspec

    minutes = minutes_to_wait(store, options["wait_quiet"], options["threads"])
    if minutes is None:
        return list(specs)
    return [msgspec.structs.replace(spec, wait_quiet_min=minutes) for spec in specs]


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
