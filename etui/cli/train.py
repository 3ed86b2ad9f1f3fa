"""``etui train``: train a classifier on labelled images, also with quantization in the loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etui.cli.complete import complete_file, complete_folder, complete_model
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.path_type import FILE_PATH
from etui.errors import EXIT_CANCELLED, EXIT_DONE, EXIT_FAILED, EXIT_TIMED_OUT, StoreError, UsageError
from etui.text import plain

if TYPE_CHECKING:
    from etui.store import Store
    from etui.task_training import QueuedTraining, TrainingRequest


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
        "etui train resnet18 --data digits --size 64 --ptq --init fp32/best.safetensors -o ptq",
        "etui train net.py:make --data photos --loss focal --optimizer adamw --lr 0.001 -o trained --resume",
        "etui train resnet18 --config train.toml -o trained --json | jq .best",
        "etui train --list",
        "etui train --resume 3f2a     continue a training that was cancelled or interrupted",
        "etui train --delete 3f2a --files",
    )
)
@click.argument("model", required=False, shell_complete=complete_model)
@click.option("--config", type=FILE_PATH, metavar="FILE", is_eager=True, callback=_read_config, expose_value=False,
              shell_complete=complete_file,
              help="TOML file with options, such as `epochs = 10`; options of the command line win.")  # fmt: skip
@click.option("--data", type=FILE_PATH, metavar="DIR", shell_complete=complete_folder,
              help="Folder of labelled images: COCO annotations, or a folder for each category.")  # fmt: skip
@click.option("-o", "--output", type=FILE_PATH, metavar="DIR", shell_complete=complete_folder,
              help="Folder for checkpoints, logs, the program and the result.")  # fmt: skip
@click.option("--epochs", type=Count(min=1, max=100_000), default=50, show_default=True, metavar="N",
              help="Number of epochs.")  # fmt: skip
@click.option("--batch", type=Count(min=2, max=100_000), default=128, show_default=True, metavar="N",
              help="Number of images in a batch.")  # fmt: skip
@click.option("--lr", type=Number(min=0.0, min_open=True), metavar="LR",
              help="Learning rate at the start; it falls to 0 along a cosine.  [default: 0.1, for"
                   " adamw 0.001; a tenth of it with --qat]")  # fmt: skip
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
@click.option("--crop", "least_area", type=Number(min=0.01, max=1.0), metavar="A",
              help="Smallest part of the area of a training image that a random crop keeps; 1: no crop.  [default: 0.8"
                   " for several labels per image, whose objects a smaller crop loses; else 0.4]")  # fmt: skip
@click.option("--amp", is_flag=True, help="Compute in BF16 where PyTorch's autocast does.")
@click.option("--init", "initial", metavar="FILE|pretrained", shell_complete=complete_file,
              help="Weights to begin with: an FP32 checkpoint of etui train, another weight file, or the published"
                   " ones.  [default: random weights]")  # fmt: skip
@click.option("--qat", type=click.Choice(("lsq", "pt2e")),
              help="Train with quantization to INT8: learned step sizes, or moving averages of extremes.")  # fmt: skip
@click.option("--ptq", is_flag=True,
              help="Only quantize the weights of --init to INT8, calibrated on training images.")  # fmt: skip
@click.option("--calibration", type=Count(min=1), metavar="N",
              help="Number of training images that --ptq is calibrated on.  [default: 100]")  # fmt: skip
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
@click.option("--resume", is_flag=True,
              help="Continue from the last checkpoint in the output folder; with the id of a training instead of MODEL,"
                   " with its options.")  # fmt: skip
@click.option("--detach", is_flag=True, help="Print the id and return at once; the training goes on.")
@click.option("-v", "--verbose", is_flag=True, help="Print all messages of the training.")
@click.option("--list", "listing", is_flag=True, help="List the trainings in the database.")
@click.option("--show", "shown", metavar="ID", help="Print a training: settings, epochs, files.")
@click.option("--last", is_flag=True, help="Print the newest training.")
@click.option("--delete", "deleted", multiple=True, metavar="ID",
              help="Delete a training that has ended; may be repeated.")  # fmt: skip
@click.option("--files", is_flag=True, help="With --delete: also the files that it wrote, after a confirmation.")
@click.option("--yes", is_flag=True, help="With --files: do not ask; required without a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, with the figures of all epochs.")
@click.pass_obj
def train(
    app: Settings,
    model: str | None,
    data: Path | None,
    output: Path | None,
    epochs: int,
    batch: int,
    lr: float | None,
    weight_decay: float | None,
    optimizer: Any,
    loss: str,
    pixels: int,
    flip: bool,
    least_area: float | None,
    amp: bool,
    initial: str | None,
    qat: Any,
    ptq: bool,
    calibration: int | None,
    keep_fp32: str | None,
    train_split: str,
    val_split: str,
    seed: int,
    threads: int | None,
    checkpoint_every: int | None,
    resume: bool,
    detach: bool,
    verbose: bool,
    listing: bool,
    shown: str | None,
    last: bool,
    deleted: tuple[str, ...],
    files: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Train MODEL to classify the labelled images of a folder, and lower the best checkpoint to a program.

    MODEL is a classifier of torchvision in `etui models`, or FILE.py:FACTORY with one logit per category. After each
    epoch it is evaluated by mAP (several labels per image) or top-1. The output folder has best.safetensors,
    last.safetensors, model.pte for XNNPACK (INT8 with --qat and --ptq), training.json, and TensorBoard logs.

    A training is queued like a run: it survives the terminal, and `etui log`, `etui cancel` and `etui who` take or show
    it. Ctrl-C cancels it. --resume continues from the last checkpoint, and on a CPU ends with the same weights as
    without the interruption.
    """
    if sum((listing, shown is not None, last, bool(deleted))) > 1:
        raise UsageError("--list, --show, --last and --delete exclude each other", "use one of them")
    if (files or yes) and not deleted:
        raise UsageError("--files and --yes belong to --delete", "leave them out, or add --delete ID")
    if listing or shown is not None or last or deleted:
        if model is not None:
            raise UsageError("--list, --show, --last and --delete take no MODEL", "leave out the model")
        from etui.cli import stored_trainings

        if listing:
            return stored_trainings.list_trainings(app, as_json=as_json)
        if deleted:
            return stored_trainings.delete_trainings(app, deleted, files=files, yes=yes)
        return stored_trainings.show_training(app, shown, as_json=as_json)
    if model is None:
        raise UsageError("no model is named", "name a classifier of `etui models`, or your own FILE.py:FACTORY")
    if detach and as_json:
        raise UsageError("--detach waits for no result, which --json needs", "use one of them")
    if resume and data is None and output is None:
        from etui.cli.stored_trainings import existing_trainings
        from etui.services.train import resume_training

        identity = model
        with existing_trainings(app) as store:
            return _followed(store, lambda: resume_training(store, identity), detach, verbose, as_json)
    if data is None or output is None:
        option = "--data" if data is None else "--output"
        raise click.UsageError(f"Missing option '{option}'.")
    from etui.catalog.find import find_model
    from etui.services.train import default_rates, submit_training
    from etui.task_training import CALIBRATION_IMAGES, TrainingRequest, TrainingSettings

    if keep_fp32 is not None and qat is None:
        raise UsageError("--keep-fp32 belongs to --qat", "add --qat, or leave it out")
    if amp and qat is not None:
        raise UsageError("--amp does not work with --qat, whose scales need FP32", "leave one of them out")
    if calibration is not None and not ptq:
        raise UsageError("--calibration belongs to --ptq", "add --ptq, or leave it out")
    if ptq and (qat is not None or amp or resume):
        raise UsageError("--ptq excludes --qat, --amp and --resume: it does not train", "leave out one of them")
    if ptq and initial is None:
        raise UsageError("--ptq quantizes the weights of --init, which is missing", "add --init FILE")
    names = [name.strip() for name in (keep_fp32 or "").split(",") if name.strip()]
    rate, decay = default_rates(optimizer, qat)
    settings = TrainingSettings(
        model=find_model(model).reference,
        train_split=train_split,
        validation_split=val_split,
        epochs=0 if ptq else epochs,
        batch=batch,
        learning_rate=rate if lr is None else lr,
        weight_decay=decay if weight_decay is None else weight_decay,
        optimizer=optimizer,
        loss=None if loss == "auto" else loss,  # type: ignore[arg-type]
        amp=amp,
        size=pixels,
        flip=flip,
        least_area=least_area,
        calibration=(calibration or CALIBRATION_IMAGES) if ptq else None,
        seed=seed,
        qat=qat,
        keep_fp32=None if keep_fp32 is None else tuple(name for name in names if names != ["none"]),
        initial=initial if initial in (None, "pretrained") else str(Path(str(initial)).absolute()),
    )
    request = TrainingRequest(
        settings=settings, data=str(data.absolute()), folder=str(output.absolute()), resume=resume,
        checkpoint_batches=checkpoint_every or 0, threads=threads,
    )  # fmt: skip
    _check(request)
    with app.open_store() as store:
        return _followed(store, lambda: submit_training(store, request), detach, verbose, as_json)


def _check(request: TrainingRequest) -> None:
    """Refuse a wrong request before a database is made for it."""
    from etui.services.train import check_request

    check_request(request)


def _followed(store: Store, submit: Callable[[], QueuedTraining], detach: bool, verbose: bool, as_json: bool) -> int:
    """Queue a training, print its progress until it ends, and its result; Ctrl-C cancels it."""
    from etui.cli.run_sessions import interrupts_counted
    from etui.cli.train_output import result_text, resume_line
    from etui.events import utc_now
    from etui.runner.start import RunnerFailed
    from etui.services.follow import printing_progress
    from etui.services.follow_training import follow_training
    from etui.services.train import can_resume

    since = utc_now()
    with interrupts_counted() as interrupted:
        training = submit()
        if detach:
            click.echo(training.id)
            short = training.id[:6]
            click.echo(f"queued; follow with `etui log {short} -f`, stop with `etui cancel {short}`", err=True)
            return EXIT_DONE
        with printing_progress({}, verbose=verbose) as printer:
            asked = False

            def stop() -> bool:
                nonlocal asked
                if interrupted and not asked:
                    asked = True
                    printer.line("cancelling (press Ctrl-C again to leave immediately)")
                    store.request_training_cancel([training.id])
                return len(interrupted) > 1

            try:
                ended = follow_training(store, training, printer, since=since, stop=stop)
            except RunnerFailed as error:
                # A later runner must not execute it.
                with suppress(StoreError):
                    store.request_training_cancel([training.id], str(error))
                raise
    if ended.result is not None and ended.status == "done":
        if as_json:
            from etui.formats.json_text import printable_json

            click.echo(printable_json(ended.result))
        else:
            click.echo(plain(result_text(ended.result), keep_lines=True))
        return EXIT_DONE
    why = f": {plain(ended.error)}" if ended.error else ""
    more = f"; {resume_line(ended)}" if can_resume(ended) else ""
    how = "is " if ended.live else "was " if ended.status in ("cancelled", "interrupted") else ""
    click.echo(f"etui: training {ended.id[:6]} {how}{ended.status}{why}{more}", err=True)
    return {"failed": EXIT_FAILED, "interrupted": EXIT_FAILED, "timed out": EXIT_TIMED_OUT}.get(
        ended.status, EXIT_CANCELLED
    )
