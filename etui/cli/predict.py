"""``etui predict``: what Arm's compiler estimates for a model on an Ethos-U."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from etui.cli.complete import complete_folder, complete_model
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.path_type import FILE_PATH
from etui.cli.status_line import status_line
from etui.errors import EXIT_DONE, UsageError
from etui.npu_prediction import NPUS


@click.command(
    epilog=examples(
        "etui predict --make-env",
        "etui predict mobilenet_v2 --npu ethos-u55-128",
        "etui predict net.py:make --npu ethos-u85-256 --env ~/arm-env",
        "etui predict mobilenet_v2 --npu ethos-u85-256 --json | jq '.cycles'",
    )
)
@click.argument("model", required=False, shell_complete=complete_model)
@click.option("--npu", type=click.Choice(NPUS), metavar="NAME",
              help="ethos-u55-32, -64, -128, -256, ethos-u65-256, -512, ethos-u85-128, -256, -512, -1024 or"
                   " -2048.")  # fmt: skip
@click.option("--env", type=FILE_PATH, metavar="DIR", shell_complete=complete_folder,
              help="The Python environment with executorch[ethos-u].  [default: ETUI_NPU_ENV, or npu-env in the user's"
                   " data folder]")  # fmt: skip
@click.option("--make-env", is_flag=True, help="Make this environment first if it does not exist, after confirmation.")
@click.option("--yes", is_flag=True, help="Make it without confirmation; required without a terminal.")
@click.option("--weights", default="auto", show_default=True, metavar="auto|pretrained|synthetic|PATH",
              help="Weights; how far they can be compressed affects the estimate.")  # fmt: skip
@click.option("--calibration", type=Count(min=1), default=8, show_default=True, metavar="N",
              help="Number of inputs to calibrate INT8 on.")  # fmt: skip
@click.option("--input-size", metavar="N|HxW",
              help="Size of the images in pixels, such as 128 or 160x320.  [default: the model's own]")  # fmt: skip
@click.option("--batch", type=Count(min=1), metavar="N",
              help="Number of items in one inference.  [default: the model's own]")  # fmt: skip
@click.option("--sequence", type=Count(min=1), metavar="N",
              help="Length of the texts in tokens.  [default: the model's own]")  # fmt: skip
@click.option("--seed", type=Count(), default=0, show_default=True, metavar="N",
              help="Seed of synthetic weights and random inputs.")  # fmt: skip
@click.option("--allow-pickle", is_flag=True, help="Allow a .pt2 file to run code that it contains.")
@click.option("--timeout", type=Number(min=0.1), default=1800.0, show_default=True, metavar="S",
              help="Time limit in seconds.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the prediction as JSON.")
def predict(
    model: str | None,
    npu: str | None,
    env: Path | None,
    make_env: bool,
    yes: bool,
    weights: str,
    calibration: int,
    input_size: str | None,
    batch: int | None,
    sequence: int | None,
    seed: int,
    allow_pickle: bool,
    timeout: float,
    as_json: bool,
) -> int:
    """Predict cycles, time and memory traffic of MODEL in INT8 on an Arm Ethos-U, without the hardware.

    MODEL is a name of `etui models`, FILE.py:FACTORY, or FILE.pt2. It is quantized statically, lowered by ExecuTorch's
    Arm backend, and compiled by Arm's compiler Vela, whose estimate is shown with the operators that the NPU does not
    run. Nothing is run or measured, and the prediction is not stored. The tools need other versions of packages than
    etui, so they are in an environment of their own.
    """
    from etui import paths
    from etui.services.predict_npu import NpuRequest, check_environment
    from etui.services.predict_npu import predict as predicted
    from etui.services.shapes import parse_size
    from etui.spec import Shape

    environment = env.absolute() if env is not None else paths.npu_environment()
    if model is None and not make_env:
        raise UsageError("no model given", "name one of `etui models`, or FILE.py:FACTORY")
    if model is not None and npu is None:
        raise UsageError("no NPU given", f"use --npu with one of {', '.join(NPUS)}")
    if make_env:
        _make(environment, yes=yes)
    if model is None:
        check_environment(environment)
        click.echo(f"{environment} has the tools", err=True)
        return EXIT_DONE
    assert npu is not None
    size = parse_size(input_size) if input_size is not None else None
    with status_line() as line:
        made = predicted(
            NpuRequest(
                model,
                npu,
                Shape(input_size=size, batch=batch, sequence=sequence),
                weights=weights,
                seed=seed,
                calibration_count=calibration,
                allow_pickle=allow_pickle,
            ),
            environment,
            limit_s=timeout,
            begin=line.begin,
        )
    if as_json:
        from etui.formats.json_text import printable_json

        click.echo(printable_json(made))
        return EXIT_DONE
    from etui.cli.section_text import section_lines
    from etui.cli.table import wrapped_to_terminal
    from etui.text import plain
    from etui.wording import npu_prediction as wording

    lines = [wording.title(made)]
    for section in wording.sections(made):
        lines += ["", *section_lines(section)]
    lines += ["", wrapped_to_terminal(wording.NOT_MEASURED)]
    click.echo(plain("\n".join(lines), keep_lines=True))
    return EXIT_DONE


def _make(environment: Path, *, yes: bool) -> None:
    """Make the environment after confirmation, unless it has the tools already."""
    from etui.host import npu_environment

    if npu_environment.problem(environment) is None:
        return
    what = f"Install {', '.join(npu_environment.requirements())} into {environment} ({npu_environment.SIZE})"
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("cannot ask for confirmation without a terminal", f"use --yes to confirm: {what}")
        if not click.confirm(f"{what}?", err=True):
            raise UsageError("the environment was not made", "name one with --env")
    with status_line() as line:
        npu_environment.make(environment, line.begin)
