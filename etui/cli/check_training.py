"""``etui check-training``: whether a model trains."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, get_args

import click

from etui.cli.complete import complete_folder, complete_model, complete_optimizers
from etui.cli.lazy_group import examples
from etui.cli.number_types import Count, Number
from etui.cli.path_type import FILE_PATH
from etui.errors import EXIT_CROSSED, EXIT_DONE, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from etui.training_check import OptimizerName, TrainingStep

_INTERVAL_S = 5.0
_LOSSES = ("auto", "cross-entropy", "bce", "mse", "language-modelling")


@click.command(
    epilog=examples(
        "etui check-training resnet18",
        "etui check-training gpt2 --optimizer sgd,adam,adamw --steps 40",
        "etui check-training net.py:make --loss bce --learning-rate 0.001",
        "etui check-training net.py:make --last --json | jq '.optimizers[].losses'",
    )
)
@click.argument("model", shell_complete=complete_model)
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
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with the losses of all steps.")
def check_training(
    model: str,
    optimizers: str,
    loss: str,
    steps: int,
    learning_rate: float | None,
    batch: int | None,
    data: Path | None,
    seed: int,
    timeout: float,
    last: bool,
    as_json: bool,
) -> int:
    """Check whether MODEL trains, by a few training steps in a separate process.

    MODEL is a name of `etui models`, or FILE.py:FACTORY; its own labels are used if it has some, else targets are drawn
    with the seed. All steps use the same batch, which a model that trains overfits. Reported are the losses,
    parameters without a gradient, weights that do not change, layers whose outputs are zero or not finite, gradient
    norms, time per step and memory.

    PASS needs a mean loss in the last quarter of the steps that is below 0.9 of that in the first quarter. The exit
    status is 1 if a check failed with any optimizer, 4 after the time limit.
    """
    from etui.services.check_training import TrainingOptions, last_check
    from etui.services.check_training import check_training as check

    names = _optimizers(optimizers)
    if last:
        done = last_check(model)
    else:
        chosen: Any = None if loss == "auto" else loss
        options = TrainingOptions(
            optimizers=names, loss=chosen, steps=steps, learning_rate=learning_rate, batch=batch, data=data, seed=seed
        )
        done = check(model, options, limit_s=timeout, begin=_begin, step=_Steps())
    if as_json:
        import msgspec

        from etui.formats.json_text import harmless

        fields = {"passed": done.passed, **msgspec.to_builtins(done)}
        click.echo(harmless(msgspec.json.format(msgspec.json.encode(fields), indent=2)))
    else:
        from etui.cli.check_training_output import as_text

        click.echo(as_text(done))
    return EXIT_DONE if done.passed else EXIT_CROSSED


def _optimizers(given: str) -> tuple[OptimizerName, ...]:
    from etui.training_check import OptimizerName

    known = get_args(OptimizerName)
    names = tuple(dict.fromkeys(part.strip() for part in given.split(",") if part.strip()))
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None or not names:
        what = f"unknown optimizer {unknown!r}" if unknown is not None else "no optimizer is named"
        raise UsageError(what, f"choose from {', '.join(known)}")
    return names  # type: ignore[return-value]


class _Steps:
    """Prints steps on a terminal, not more often than the reader needs."""

    def __init__(self) -> None:
        self._printed = time.monotonic()

    def __call__(self, step: TrainingStep) -> None:
        now = time.monotonic()
        if now - self._printed >= _INTERVAL_S:
            from etui.wording.training_check import step_text

            self._printed = now
            _begin(f"  {step_text(step)}")


def _begin(line: str) -> None:
    if sys.stderr.isatty():
        click.echo(line, err=True)
