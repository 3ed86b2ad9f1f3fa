"""The options that ``compare`` and ``gate`` share, and how both apply them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etui.cli.number_types import Number
from etui.cli.path_type import OUTPUT_PATH, check_one_on_stdout
from etui.formats.json_text import printable_json

if TYPE_CHECKING:
    from etui.analysis.gates import Limits
    from etui.analysis.session_variance import SessionLatency
    from etui.cli.comparison_output import Compared
    from etui.results import RunDocument

_ABOVE_ZERO = Number(min=0.0)

margin_option = click.option(
    "--margin",
    type=Number(min=0.0, max=100.0),
    default=2.0,
    show_default=True,
    metavar="PCT",
    help="Equivalence margin: runs within this percentage count as equally fast.",
)


@dataclass(frozen=True)
class ComparisonOptions:
    """How to compare, the limits, and the outputs."""

    margin: float
    force: bool
    everything: bool
    as_json: bool
    fail_if_slower: float | None
    fail_if_mae_above: float | None
    fail_if_inconclusive: bool
    fail_if_map_drops: float | None
    fail_if_top1_drops: float | None
    junit: Path | None
    markdown: Path | None

    def limits(self) -> Limits:
        """Return the requested limits."""
        from etui.analysis.gates import Limits

        return Limits(
            slower=self.fail_if_slower,
            mae=self.fail_if_mae_above,
            inconclusive=self.fail_if_inconclusive,
            map_drop=self.fail_if_map_drops,
            top1_drop=self.fail_if_top1_drops,
        )

    @property
    def has_limit(self) -> bool:
        """Whether any limit on a value is requested."""
        limits = (self.fail_if_slower, self.fail_if_mae_above, self.fail_if_map_drops, self.fail_if_top1_drops)
        return any(limit is not None for limit in limits)

    def compared(self, base: RunDocument, others: Sequence[RunDocument], levels: Sequence[SessionLatency]) -> Compared:
        """Compare the others with the base and check the limits; ``levels`` are those of earlier sessions."""
        from etui.cli.comparison_output import Compared

        return Compared.of(
            base, others, margin=self.margin / 100, force=self.force, limits=self.limits(), levels=levels
        )

    def put_out(self, compared: Sequence[Compared], *, many: bool) -> int:
        """Write the files, print text or JSON (an array if there may be ``many``), and return the exit status.

        Raises:
            StoreError: a file cannot be written.
            UsageError: two outputs are to go to standard output.
        """
        is_taken = check_one_on_stdout(json=self.as_json, junit=self.junit, markdown=self.markdown)
        from etui.cli import comparison_output as output

        output.write_reports(compared, junit=self.junit, page=self.markdown, everything=self.everything)
        if self.as_json:
            found = output.as_json(compared)
            click.echo(printable_json(found if many else found[0]))
        elif compared and not is_taken:
            click.echo(output.as_text(compared, everything=self.everything))
        output.report_unsettled(compared)
        return output.status_of(compared, self.limits())


_OPTIONS = (
    margin_option,
    click.option("--force", is_flag=True, help="Compare even if runs are not comparable; the reasons are shown."),
    click.option("--all", "everything", is_flag=True, help="Also show metrics that do not differ."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    click.option(
        "--fail-if-slower",
        type=_ABOVE_ZERO,
        metavar="PCT",
        help="Exit with status 1 if the whole confidence interval is slower than the base by more than PCT.",
    ),
    click.option(
        "--fail-if-mae-above",
        type=_ABOVE_ZERO,
        metavar="X",
        help="Exit with status 1 if the mean absolute error is above X.",
    ),
    click.option(
        "--fail-if-map-drops",
        type=_ABOVE_ZERO,
        metavar="N",
        help="Exit with status 1 if a run loses more than N percentage points of mAP to its eager baseline on labelled"
        " images, with the whole confidence interval.",
    ),
    click.option(
        "--fail-if-top1-drops",
        type=_ABOVE_ZERO,
        metavar="N",
        help="The same for top-1.",
    ),
    click.option(
        "--fail-if-inconclusive", is_flag=True, help="Exit with status 1 if the comparison is inconclusive or refused."
    ),
    click.option("--junit", type=OUTPUT_PATH, metavar="FILE", help="Write a JUnit XML file, or - for standard output."),
    click.option(
        "--markdown", type=OUTPUT_PATH, metavar="FILE", help="Write a Markdown file, or - for standard output."
    ),
)


def comparison_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add these options to a command, which receives them as its argument ``comparison_options``."""

    @wraps(command)
    def gathered(*arguments: Any, **options: Any) -> int:
        taken = {field.name: options.pop(field.name) for field in fields(ComparisonOptions)}
        return command(*arguments, comparison_options=ComparisonOptions(**taken), **options)

    made: Callable[..., int] = gathered
    for option in reversed(_OPTIONS):
        made = option(made)
    return made
