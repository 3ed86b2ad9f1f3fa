"""`etui run` and `etui sweep`: check what is asked for, queue it, follow it to its end, print the table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etui.cli.context import Settings
from etui.cli.file_path import FILE_PATH
from etui.cli.lazy import examples
from etui.cli.numbers import Count, Number
from etui.errors import UsageError

if TYPE_CHECKING:
    from etui.catalog.find import Model
    from etui.spec import SessionSpec, Variant

_EXIT_STATUS = (
    "\n\nExit status: 0 done and within tolerance, 1 a tolerance was crossed, 2 wrong usage, 3 a run failed, 4 timed"
    " out, 130 cancelled. Ctrl-C cancels a run; closing the terminal lets it go on."
)


class Names(click.ParamType[tuple[str, ...]]):
    """A list of names separated by commas."""

    name = "NAME,.."

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split at commas; an empty list is a mistake."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(part.strip() for part in str(value).split(",") if part.strip()))
        if not names:
            self.fail("give at least one name", param, ctx)
        return names


NAMES = Names()

_MEASURING: list[Any] = [
    click.option("--preset", type=click.Choice(["quick", "default", "rigorous"]), default="default", show_default=True,
                 help="quick: 3 blocks of 0.5 s. default: 6 of 1 s. rigorous: up to 20 of 2 s, until within 1 %."),
    click.option("--repeat", type=Count(min=1), metavar="N",
                 help="Timed inferences of each variant in all, dealt over the blocks, instead of the preset's time."),
    click.option("--warmup", type=Count(min=0), metavar="N",
                 help="Warm-up inferences before timing in each block, instead of warming up until it settles."),
    click.option("--threads", type=Count(min=1), metavar="N",
                 help="Threads of eager and ExecuTorch alike.  [default: every core]"),
    click.option("--weights", default="auto", show_default=True, metavar="auto|pretrained|synthetic|PATH",
                 help="PATH is a Hugging Face folder, a safetensors file or a state dict."),
    click.option("--timeout", type=Number(min=0, min_open=True), metavar="S",
                 help="Seconds a session may take in all, waiting for the machine (24 hours at most, or"
                 " ETUI_WAIT_MACHINE minutes) or for calm not counted.  [default: 3600]"),
    click.option("--wait-quiet", type=Number(min=0), metavar="MIN", envvar="ETUI_WAIT_QUIET",
                 help="Minutes to wait at most for other programs to leave the cores alone, before the first block; 0"
                 " measures at once.  [default: 0.5]"),
    click.option("--calibration", type=Count(min=1), default=8, show_default=True, metavar="N",
                 help="Inputs that static quantization is calibrated on."),
    click.option("--inputs", type=Count(min=1), default=8, show_default=True, metavar="N",
                 help="Inputs that accuracy is compared on."),
    click.option("--keep-fp32", type=NAMES, metavar="MODULE,..",
                 help="Leave these modules of the model (and what is in them) in FP32 where the rest is quantized."),
    click.option("--seed", type=Count(min=0, max=2**63 - 1), default=0, show_default=True, metavar="N",
                 help="Seed of synthetic weights, crops, tokens and the order of blocks."),
    click.option("--allow-pickle", is_flag=True,
                 help="Load a .pt2 whose pickled parts hold more than tensors. That runs whatever code they name."),
    click.option("--no-cache", is_flag=True, help="Prepare everything anew and leave nothing in the cache."),
    click.option("--detach", is_flag=True, help="Queue, print the run ids, and return at once."),
    click.option("--json", "as_json", is_flag=True, help="Print the runs' summaries as a JSON array."),
    click.option("-v", "--verbose", is_flag=True, help="Also tell what the child processes print, and every block."),
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
    )
    + _EXIT_STATUS
)
@click.argument("model")
@click.option("-p", "--precision", type=NAMES, metavar="P,..", help="One or more precisions.  [default: fp32]")
@click.option("-d", "--delegate", type=NAMES, metavar="D,..", help="One or more delegates.  [default: xnnpack]")
@_measuring_options
@click.option("--export-only", is_flag=True, help="Write the programs to the folder given with -o; measure nothing.")
@click.option(
    "-o",
    "--output",
    type=FILE_PATH,
    metavar="FILE",
    help="Write the runs as JSON to FILE; with --export-only, the programs' folder.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite FILE, or programs that are there.")
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

    MODEL is a name from `etui models`, FILE.py:FACTORY, a .pt2 exported program or a .pte.
    """  # fmt: skip
    from etui.catalog.find import describe
    from etui.cli.sessions import finish, followed
    from etui.runner.client import submit

    found, variants = _check_choice(
        model, precision, delegate, measure=not export_only, allow_pickle=options["allow_pickle"]
    )
    if export_only and output is None:
        raise UsageError("--export-only needs a folder", "name it with -o DIR")
    if output is not None and options["detach"] and not export_only:
        raise UsageError("-o cannot be written with --detach", "`etui export RUN -o FILE` writes it when it is done")
    if output is not None and not export_only:
        _check_writable(output, force)
    if output is not None and export_only and not force:
        from etui.spec import program_name

        for variant in variants:
            target = output / program_name(found.name, variant)
            if target.exists():
                raise UsageError(f"{target} exists already", "choose another folder, or overwrite it with --force")
    spec = _specification(
        found, variants, options, export_only_dir=str(output.absolute()) if export_only and output else None
    )
    with settings.open_store() as store:
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
    + "\n\nCombinations that cannot be are left out, and said."
    + _EXIT_STATUS
)
@click.option("--models", type=NAMES, required=True, metavar="A,B", help="Models to measure, one session each.")
@click.option("--precisions", type=NAMES, default="fp32", show_default=True, metavar="P,..")
@click.option("--delegates", type=NAMES, default="xnnpack", show_default=True, metavar="D,..")
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
    from etui.cli.sessions import finish, followed
    from etui.request import check_model, combine
    from etui.runner.client import submit

    wanted = []
    for text in models:
        found = check_model(text, allow_pickle=options["allow_pickle"])
        variants, refused = combine(found, precisions, delegates)
        for variant, reason in refused.items():
            click.echo(f"etui: leaving out {found.name} {variant.label}: {reason}", err=True)
        if variants:
            wanted.append((_specification(found, variants, options), found))
    if not wanted:
        raise UsageError("no combination is left to measure", "see `etui models` and `etui delegates`")
    with settings.open_store() as store:
        ids = followed(store, lambda: (submit(store, spec, describe(model)) for spec, model in wanted), options)
        return finish(store, ids, options)


def _check_choice(
    model: str,
    precisions: tuple[str, ...] | None,
    delegates: tuple[str, ...] | None,
    *,
    measure: bool,
    allow_pickle: bool,
) -> tuple[Model, list[Variant]]:
    """The model and its variants. Refuses names that do not exist and combinations that cannot be, loading nothing."""
    from etui.request import check_model, combine, default_choice

    found = check_model(model, allow_pickle=allow_pickle)
    precision, delegate = default_choice(found)
    variants, refused = combine(found, precisions or (precision,), delegates or (delegate,), measure=measure)
    for variant, reason in refused.items():
        raise UsageError(f"{found.name} cannot be run as {variant.label}: {reason}")
    return found, variants


def _specification(
    model: Model, variants: Sequence[Variant], options: dict[str, Any], export_only_dir: str | None = None
) -> SessionSpec:
    from etui.request import Options, specification

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


def _check_writable(output: Path, force: bool) -> None:
    from etui.files import is_stream

    if str(output) == "-" or is_stream(output):
        return
    folder = output if output.is_dir() else output.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "make it first, or choose another FILE")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"the folder {folder} is not writable", "choose another FILE")
    if output.is_file() and not force:
        raise UsageError(f"{output} exists already", "choose another FILE, or overwrite it with --force")
