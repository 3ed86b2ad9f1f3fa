"""``etui train``: train a classifier on labelled images, also with quantization in the loop."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etui.cli.complete import complete_file, complete_folder, complete_model
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.path_type import FILE_PATH
from etui.cli.status_line import StatusLine, status_line
from etui.errors import EXIT_DONE, UsageError
from etui.text import plain, size

if TYPE_CHECKING:
    from etui.events import Event
    from etui.task_training import TrainedModel

_QAT_RATE, _QAT_DECAY = 0.1, 0.5
"""What QAT multiplies the default learning rate and weight decay with."""


def _read_config(context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """Make the values of a TOML file the defaults of the options; its keys are their names without dashes in front."""
    if path is None:
        return None
    import tomllib

    try:
        values = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {plain(str(path))}: {error}", "correct the file") from error
    names = {
        option.removeprefix("--"): parameter.name
        for parameter in context.command.params
        if parameter.name != "config"
        for option in [*parameter.opts, *parameter.secondary_opts]
        if option.startswith("--")
    }
    unknown = next((key for key in values if key not in names), None)
    if unknown is not None:
        raise UsageError(
            f"{plain(str(path))} has an unknown key {plain(unknown)}", f"known: {', '.join(sorted(names))}"
        )
    context.default_map = {str(names[key]): value for key, value in values.items()}
    return path


@click.command(
    epilog=examples(
        "etui data make-digits digits && etui train resnet18 --data digits --size 64 --epochs 10 -o fp32",
        "etui train resnet18 --data digits --size 64 --epochs 3 --qat lsq --init fp32/best.safetensors -o lsq",
        "etui train net.py:make --data photos --loss focal --optimizer adamw --lr 0.001 -o trained --resume",
        "etui train resnet18 --config train.toml -o trained --json | jq .best",
    )
)
@click.argument("model", shell_complete=complete_model)
@click.option("--config", type=FILE_PATH, metavar="FILE", is_eager=True, callback=_read_config, expose_value=False,
              shell_complete=complete_file,
              help="TOML file with options, such as `epochs = 10`; options of the command line win.")  # fmt: skip
@click.option("--data", type=FILE_PATH, metavar="DIR", required=True, shell_complete=complete_folder,
              help="Folder of labelled images: COCO annotations, or a folder for each category.")  # fmt: skip
@click.option("-o", "--output", type=FILE_PATH, metavar="DIR", required=True, shell_complete=complete_folder,
              help="Folder for checkpoints, logs, the program and the result.")  # fmt: skip
@click.option("--epochs", type=Count(min=1, max=100_000), default=50, show_default=True, metavar="N",
              help="Number of epochs.")  # fmt: skip
@click.option("--batch", type=Count(min=2, max=100_000), default=128, show_default=True, metavar="N",
              help="Number of images in a batch.")  # fmt: skip
@click.option("--lr", type=Number(min=0.0, min_open=True), metavar="LR",
              help="Learning rate at the start; it falls to 0 along a cosine.  [default: 0.1; 0.01 with"
                   " --qat]")  # fmt: skip
@click.option("--weight-decay", type=Number(min=0.0), metavar="X",
              help="Weight decay.  [default: 0.0001, with --qat 0.00005]")  # fmt: skip
@click.option("--optimizer", type=click.Choice(("sgd", "adamw")), default="sgd", show_default=True,
              help="sgd has Nesterov momentum of 0.9.")  # fmt: skip
@click.option("--loss", type=click.Choice(("auto", "cross-entropy", "bce", "focal", "asymmetric")), default="auto",
              show_default=True, help="auto: bce for several labels per image, else cross-entropy.")  # fmt: skip
@click.option("--size", "pixels", type=Count(min=8, max=4096), default=224, show_default=True, metavar="N",
              help="Height and width of the inputs in pixels.")  # fmt: skip
@click.option("--flip/--no-flip", default=True, show_default=True,
              help="Mirror half of the training images; not for digits or text.")  # fmt: skip
@click.option("--amp", is_flag=True, help="Compute in BF16 where PyTorch's autocast does.")
@click.option("--init", "initial", metavar="FILE|pretrained", shell_complete=complete_file,
              help="Weights to begin with: an FP32 checkpoint of etui train, another weight file, or the published"
                   " ones.  [default: random weights]")  # fmt: skip
@click.option("--qat", type=click.Choice(("lsq", "pt2e")),
              help="Train with quantization to INT8: learned step sizes, or moving averages of extremes.")  # fmt: skip
@click.option("--keep-fp32", metavar="MODULE,..",
              help="Modules that --qat leaves in FP32; none for no module.  [default: lsq the first and the last layer,"
                   " pt2e none]")  # fmt: skip
@click.option("--train-split", default="train", show_default=True, metavar="NAME", help="Split to train on.")
@click.option("--val-split", default="val", show_default=True, metavar="NAME",
              help="Split to evaluate after each epoch. A data set without splits is divided 80:20 by the"
                   " seed.")  # fmt: skip
@click.option("--seed", type=Count(), default=0, show_default=True, metavar="N",
              help="Seed of weights, order and augmentation.")  # fmt: skip
@click.option("--threads", type=Count(min=1), metavar="N", help="Number of threads.  [default: all cores]")
@click.option("--checkpoint-every", type=Count(min=1), metavar="N",
              help="Also write a checkpoint after every N batches of an epoch.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint in the output folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, with the figures of all epochs.")
def train(
    model: str,
    data: Path,
    output: Path,
    epochs: int,
    batch: int,
    lr: float | None,
    weight_decay: float | None,
    optimizer: Any,
    loss: str,
    pixels: int,
    flip: bool,
    amp: bool,
    initial: str | None,
    qat: Any,
    keep_fp32: str | None,
    train_split: str,
    val_split: str,
    seed: int,
    threads: int | None,
    checkpoint_every: int | None,
    resume: bool,
    as_json: bool,
) -> int:
    """Train MODEL to classify the labelled images of a folder, and lower the best checkpoint to a program.

    MODEL is a classifier of torchvision in `etui models`, or FILE.py:FACTORY with one logit per category. After each
    epoch it is evaluated by mAP (several labels per image) or top-1. The output folder has best.safetensors,
    last.safetensors, model.pte for XNNPACK (INT8 with --qat), training.json, and TensorBoard logs.

    Training holds the machine lock. Stop it with Ctrl-C: --resume with the same options continues from the last
    checkpoint, and on a CPU ends with the same weights as without the interruption.
    """
    from etui.catalog.find import find_model
    from etui.services.train import train as run
    from etui.task_training import TrainingSettings

    if keep_fp32 is not None and qat is None:
        raise UsageError("--keep-fp32 belongs to --qat", "add --qat, or leave it out")
    if amp and qat is not None:
        raise UsageError("--amp does not work with --qat, whose scales need FP32", "leave one of them out")
    names = [name.strip() for name in (keep_fp32 or "").split(",") if name.strip()]
    settings = TrainingSettings(
        model=find_model(model).reference,
        train_split=train_split,
        validation_split=val_split,
        epochs=epochs,
        batch=batch,
        learning_rate=lr if lr is not None else 0.1 * (_QAT_RATE if qat else 1),
        weight_decay=weight_decay if weight_decay is not None else 1e-4 * (_QAT_DECAY if qat else 1),
        optimizer=optimizer,
        loss=None if loss == "auto" else loss,  # type: ignore[arg-type]
        amp=amp,
        size=pixels,
        flip=flip,
        seed=seed,
        qat=qat,
        keep_fp32=None if keep_fp32 is None else tuple(name for name in names if names != ["none"]),
        initial=initial if initial in (None, "pretrained") else str(Path(str(initial)).absolute()),
    )
    with status_line() as line:
        done = run(
            settings, data, output, resume=resume, checkpoint_batches=checkpoint_every or 0, threads=threads,
            log=partial(_log, line), waiting=lambda text: click.echo(text, err=True),
        )  # fmt: skip
    if as_json:
        from etui.formats.json_text import printable_json

        click.echo(printable_json(done))
    else:
        click.echo(plain(_as_text(done), keep_lines=True))
    return EXIT_DONE


def _log(line: StatusLine, event: Event) -> None:
    if event.kind == "log":
        line.close()
        click.echo(plain(event.message), err=True)
    else:
        line.show(plain(event.message), event.done or 0.0, event.total or 0.0)


def _as_text(done: TrainedModel) -> str:
    precision = "INT8" if done.settings.qat else "FP32"
    return "\n".join(
        (
            f"best epoch        {done.best_epoch} of {len(done.epochs)}",
            f"{done.metric:<17} {done.best:.4f} of {done.validation_images} images",
            f"{done.metric + ' of program':<17} {done.program_metric:.4f} ({precision}, XNNPACK,"
            f" {size(done.program_bytes)})",
            f"output            {done.folder}",
        )
    )
