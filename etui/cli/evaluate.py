"""``etui evaluate``: the accuracy of programs on a task, on labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from etui.cli.complete import complete_folder, complete_model, complete_run_or_file
from etui.cli.context import Settings
from etui.cli.data import LAYOUTS
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.path_type import FILE_PATH
from etui.cli.status_line import status_line
from etui.cli.task_programs import programs_of
from etui.cli.trust_option import trust_option
from etui.errors import EXIT_DONE, UsageError
from etui.text import plain


@click.command(
    epilog=examples(
        "etui evaluate net.pte --data digits --split test --threshold auto",
        "etui evaluate 3f2a 9b1c --data photos --split val",
        "etui evaluate resnet18.pte --model resnet18 --data photos",
        "etui evaluate training/best.safetensors training/model.pte --data digits --split test",
        "etui evaluate 3f2a --eager --data photos --split val",
        "etui evaluate net.pte --data digits --split test --json | jq '.programs[].metrics.mean_average_precision'",
    )
    + f"\n\n{LAYOUTS}"
)
@click.argument(
    "targets", nargs=-1, required=True, metavar="FILE.pte|CHECKPOINT|RUN..", shell_complete=complete_run_or_file
)
@click.option("--data", "folder", required=True, type=FILE_PATH, metavar="DIR", shell_complete=complete_folder,
              help="Data set of labelled images.")  # fmt: skip
@click.option("--split", metavar="NAME", help="Split to evaluate on; the beginning of its name is enough.")
@click.option("--threshold", metavar="auto|P",
              help="Probability from which a category counts as predicted; auto chooses that with the largest micro F1"
                   " on another split.  [default: that of the program's metadata, else 0.5]")  # fmt: skip
@click.option("--limit", type=Count(min=1), metavar="N",
              help="Use N images of a split, chosen by their content.")  # fmt: skip
@click.option("--model", metavar="NAME", shell_complete=complete_model,
              help="Model whose classes and preprocessing a program without metadata has.")  # fmt: skip
@click.option("--metadata", type=FILE_PATH, metavar="FILE",
              help="Metadata of the programs.  [default: FILE.task.json next to FILE.pte]")  # fmt: skip
@click.option("--outputs", type=click.Choice(["logits", "probabilities"]),
              help="What the programs compute: logits, or probabilities, of which no sigmoid or softmax is applied."
                   "  [default: as their metadata or their last operators say]")  # fmt: skip
@click.option("--eager", is_flag=True, help="Before each run's program, also its model in eager PyTorch.")
@trust_option
@click.option("--threads", type=Count(min=1), metavar="N",
              help="Threads of the program.  [default: half of the cores; the others read images]")  # fmt: skip
@click.option("--seed", type=Count(), default=0, show_default=True, metavar="N", help="Seed of the intervals.")
@click.option("--timeout", type=Number(min=0.1), default=3600.0, show_default=True, metavar="S",
              help="Time limit for each program in seconds.")  # fmt: skip
@click.option("--classes", is_flag=True, help="Also print a table of the categories.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: one row for each program, category and metric.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def evaluate(
    settings: Settings,
    targets: tuple[str, ...],
    folder: Path,
    split: str | None,
    threshold: str | None,
    limit: int | None,
    model: str | None,
    metadata: Path | None,
    outputs: Literal["logits", "probabilities"] | None,
    eager: bool,
    trusted: tuple[str, ...],
    threads: int | None,
    seed: int,
    timeout: float,
    classes: bool,
    as_csv: bool,
    as_json: bool,
) -> int:
    """Evaluate programs on labelled images, and compare them with the first.

    Data with several labels for each image: mean average precision (mAP), precision, recall and F1. Data with one
    label: top-1 and top-5. Both: calibration error. Intervals (95 %) are bootstrapped over images, those of differences
    with the same images for both programs.

    A program's categories and preprocessing come from its metadata, FILE.task.json next to FILE.pte, or from the
    catalog for models of torchvision; the categories of the data must be among them, by name. A checkpoint of etui
    train has them itself, and is evaluated in eager PyTorch. Nothing is stored.
    """
    from etui.services.evaluate import evaluate_programs

    if as_csv and as_json:
        raise UsageError("--csv and --json exclude each other", "choose one")
    programs = programs_of(settings, targets, metadata, model, eager=eager, trusted=trusted)
    with status_line() as line:
        found = evaluate_programs(
            programs, folder, split, threshold=_threshold(threshold), limit=limit, seed=seed, threads=threads,
            limit_s=timeout, outputs=outputs, progress=line.show,
        )  # fmt: skip
    if as_json:
        from etui.formats.json_text import printable_json

        click.echo(printable_json(found))
    elif as_csv:
        from etui.cli.evaluate_output import as_csv as csv_of

        click.echo(csv_of(found), nl=False)
    else:
        from etui.cli.evaluate_output import as_text

        click.echo(as_text(found, classes=classes))
    return EXIT_DONE


def _threshold(text: str | None) -> float | Literal["auto"] | None:
    if text is None or text == "auto":
        return "auto" if text else None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"the threshold {plain(text)} is not a probability", "use auto, or a number from 0 to 1")
    return value
