"""``etui check-training``: whether a model trains."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import click

from etui.cli.complete import complete_folder, complete_model, complete_optimizers
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.path_type import FILE_PATH
from etui.cli.status_line import StatusLine, status_line
from etui.errors import EXIT_CROSSED, EXIT_DONE, EtuiError, UsageError
from etui.formats.json_text import printable_json
from etui.text import counted, plain

if TYPE_CHECKING:
    from pathlib import Path

    from etui.store import Store
    from etui.training_check import OptimizerName, StoredCheck, TrainingCheck, TrainingStep

_WHAT_TO_START = "make one with: etui check-training MODEL"
_LOSSES = ("auto", "cross-entropy", "bce", "mse", "language-modelling")


@click.command(
    epilog=examples(
        "etui check-training resnet18",
        "etui check-training gpt2 --optimizer sgd,adam,adamw --steps 40",
        "etui check-training net.py:make --loss bce --learning-rate 0.001",
        "etui check-training net.py:make --last --json | jq '.optimizers[].losses'",
        "etui check-training --list",
        "etui check-training --show 3f2a --json",
    )
)
@click.argument("model", required=False, shell_complete=complete_model)
@click.option("--optimizer", "optimizers", default="adamw", show_default=True, metavar="NAME,..",
              shell_complete=complete_optimizers,
              help="sgd (momentum 0.9), adam, adamw, rmsprop, adagrad; each starts from the same weights.")  # fmt: skip
@click.option("--loss", type=click.Choice(_LOSSES), default="auto", show_default=True,
              help="Loss of the first output; auto chooses by shape: cross-entropy for [N, C], language-modelling for"
                   " [N, T, V] of tokens, else mse. Other outputs have mse.")  # fmt: skip
@click.option("--steps", type=Count(min=4, max=100_000), default=20, show_default=True, metavar="N",
              help="Number of training steps.")  # fmt: skip
@click.option("--learning-rate", type=Number(min=0.0, min_open=True), metavar="LR",
              help="Learning rate.  [default: up to three are tried, such as 0.0003, 0.003 and 0.00003 for adam, until"
                   " the loss falls]")  # fmt: skip
@click.option("--batch", type=Count(min=1, max=100_000), metavar="N",
              help="Number of items in the batch.  [default: that of the example inputs; 4 if that is 1]")  # fmt: skip
@click.option("--data", type=FILE_PATH, metavar="DIR", shell_complete=complete_folder,
              help="Folder of inputs; subfolders of images are their classes.")  # fmt: skip
@click.option("--seed", type=Count(), default=0, show_default=True, metavar="N",
              help="Seed of weights, inputs, targets and dropout.")  # fmt: skip
@click.option("--timeout", type=Number(min=0.1), default=600.0, show_default=True, metavar="S",
              help="Time limit in seconds.")  # fmt: skip
@click.option("--last", is_flag=True, help="Print the last check of this model again.")
@click.option("--list", "listing", is_flag=True, help="List the stored checks, of MODEL or of all models.")
@click.option("--show", "shown", metavar="ID", help="Print a stored check again, by its id or the beginning of it.")
@click.option("--delete", "deleted", multiple=True, metavar="ID", help="Delete a stored check; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with the losses of all steps.")
@click.pass_obj
def check_training(
    settings: Settings,
    model: str | None,
    optimizers: str,
    loss: str,
    steps: int,
    learning_rate: float | None,
    batch: int | None,
    data: Path | None,
    seed: int,
    timeout: float,
    last: bool,
    listing: bool,
    shown: str | None,
    deleted: tuple[str, ...],
    as_json: bool,
) -> int:
    """Check whether MODEL trains, by a few training steps in a separate process.

    MODEL is a name of `etui models`, or FILE.py:FACTORY; its own labels are used if it has some, else targets are drawn
    with the seed. All steps use the same batch, which a model that trains overfits. Reported are the losses,
    parameters without a gradient, weights that do not change, layers whose outputs are zero or not finite, gradient
    norms, time per step and memory.

    PASS needs a mean loss in the last quarter of the steps that is below 0.9 of that in the first quarter. The exit
    status is 1 if a check failed with any optimizer, 4 after the time limit.

    Each check is stored in the database with its losses; one that ends with an error is stored with that alone, and one
    that is interrupted is not.
    """
    names = _optimizers(optimizers)
    if sum((last, listing, shown is not None, bool(deleted))) > 1:
        raise UsageError("--last, --list, --show and --delete exclude each other", "use one of them")
    if model is not None and (shown is not None or deleted):
        raise UsageError("--show and --delete take the id of a check, without a MODEL", "leave out the model")
    if listing:
        return _list(settings, model, as_json)
    if deleted:
        with _store(settings) as store:
            count = store.delete_training_checks(deleted)
        click.echo(f"deleted {counted(count, 'training check')}", err=True)
        return EXIT_DONE
    if shown is not None:
        with _store(settings) as store:
            return _print_stored(store.training_check(shown), as_json)
    if model is None:
        raise UsageError("no model is named", "name one of `etui models`, or your own FILE.py:FACTORY")
    if last:
        return _print(_last(settings, model), as_json)
    from etui.services.check_training import check_training as check
    from etui.training_check import TrainingOptions

    chosen: Any = None if loss == "auto" else loss
    options = TrainingOptions(
        optimizers=names,
        loss=chosen,
        steps=steps,
        learning_rate=learning_rate,
        batch=batch,
        data=None if data is None else str(data),
        seed=seed,
    )
    with status_line() as line:
        found = check(
            model, options, limit_s=timeout, begin=line.begin, step=partial(_show, line),
            keep=partial(_keep, settings, line),
        )  # fmt: skip
    return _print(found, as_json)


def _store(settings: Settings) -> Store:
    store = settings.existing_store()
    if store is None:
        raise UsageError(f"there are no training checks yet in {settings.database}", _WHAT_TO_START)
    return store


def _list(settings: Settings, model: str | None, as_json: bool) -> int:
    from etui.cli.check_training_output import list_text
    from etui.services.check_training import reference_of

    reference = None if model is None else reference_of(model)
    store = settings.existing_store()
    found = []
    if store is not None:
        with store:
            found = store.training_checks(reference)
    if as_json:
        click.echo(printable_json(found))
    elif found:
        click.echo(list_text(found))
    else:
        click.echo(f"no training checks; {_WHAT_TO_START}", err=True)
    return EXIT_DONE


def _last(settings: Settings, model: str) -> TrainingCheck:
    from etui.services.check_training import reference_of

    reference = reference_of(model)
    with _store(settings) as store:
        last = next((one for one in store.training_checks(reference) if one.passed is not None), None)
        check = None if last is None else store.training_check(last.id).check
    if check is None:
        raise UsageError(f"{plain(model)} has no stored training check with a result", "check it without --last")
    return check


def _show(line: StatusLine, step: TrainingStep) -> None:
    from etui.wording.training_check import step_text

    line.show(step_text(step))


def _keep(settings: Settings, line: StatusLine, stored: StoredCheck) -> None:
    try:
        with settings.open_store() as store:
            store.add_training_check(stored)
    except EtuiError as error:
        line.close()
        click.echo(f"etui: the training check was not stored: {plain(error.message)}", err=True)
    else:
        line.note(f"stored as {stored.id}; list with: etui check-training --list")


def _print(check: TrainingCheck, as_json: bool) -> int:
    from etui.cli.check_training_output import as_text, check_fields

    if as_json:
        click.echo(printable_json(check_fields(check)))
    else:
        click.echo(as_text(check))
    return EXIT_DONE if check.passed else EXIT_CROSSED


def _print_stored(stored: StoredCheck, as_json: bool) -> int:
    from etui.cli.check_training_output import stored_fields, stored_text

    if as_json:
        click.echo(printable_json(stored_fields(stored)))
    else:
        click.echo(stored_text(stored))
    return EXIT_DONE if stored.check is None or stored.check.passed else EXIT_CROSSED


def _optimizers(given: str) -> tuple[OptimizerName, ...]:
    from etui.training_check import OptimizerName

    known = get_args(OptimizerName)
    names = tuple(dict.fromkeys(part.strip() for part in given.split(",") if part.strip()))
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None or not names:
        what = f"unknown optimizer {unknown!r}" if unknown is not None else "no optimizer is named"
        raise UsageError(what, f"choose from {', '.join(known)}")
    return names  # type: ignore[return-value]
