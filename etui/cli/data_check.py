"""``etui data check``: the problems, sizes and label counts of a data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etui.charts.bars import bar
from etui.cli.data import LAYOUTS
from etui.cli.lazy_group import examples
from etui.cli.path_type import FILE_PATH
from etui.cli.status_line import status_line
from etui.cli.table import Column, ascii_only, table, wrapped_to_terminal
from etui.errors import EXIT_CROSSED, EXIT_DONE
from etui.formats.json_text import printable_json
from etui.text import MISSING, counted, number, plain

if TYPE_CHECKING:
    from etui.task_data.checking import DataCheck, Problem, SplitFacts, Spread

_BAR = 30
_EXAMPLES = 3
_MOST_CATEGORIES, _ENDS = 100, 20


@click.command(
    epilog=examples(
        "etui data check digits",
        "etui data check coco --split val2017",
        "etui data check photos --json | jq '.problems[].message'",
    )
    + f"\n\n{LAYOUTS}"
)
@click.argument("folder", type=FILE_PATH, metavar="DIR")
@click.option("--split", metavar="NAME", help="Check only this split; the beginning of its name is enough.")
@click.option("--json", "as_json", is_flag=True, help="Print all counts and problems as JSON.")
def check(folder: Path, split: str | None, as_json: bool) -> int:
    """Read every image of the data set in DIR, and report problems, sizes and label counts.

    Errors stop training or evaluation, and end the command with exit status 1: annotations of another format, missing
    images, images that cannot be read or are truncated, and splits with different categories. Warnings do not: a
    category without an image in a split, and identical files within a split or in several splits, which make a result
    look better than it is. Of widths and heights the median is printed, and in parentheses the smallest and largest.
    """
    from etui.task_data.checking import check_data

    with status_line() as line:
        found = check_data(folder, split, lambda done, of: line.show(f"{done:,} of {of:,} images", done, of))
    if as_json:
        click.echo(printable_json(found))
    else:
        for part in _parts(found):
            click.echo(part)
    return EXIT_CROSSED if found.has_errors else EXIT_DONE


def _parts(found: DataCheck) -> Iterator[str]:
    if found.splits:
        yield f"{plain(found.folder)}  {found.kind}, {_categories(len(found.categories))}\n"
        yield f"{table(_SPLIT_COLUMNS, [_split_row(facts) for facts in found.splits])}\n"
        yield f"{_chart(found)}\n"
    for problem in found.problems:
        yield wrapped_to_terminal(_line(problem))
    levels = [problem.level for problem in found.problems]
    counts = [counted(levels.count(level), level) for level in ("error", "warning") if level in levels]
    yield ", ".join(counts) or "no problems found"


def _categories(count: int) -> str:
    return f"{count:,} {'category' if count == 1 else 'categories'}"


_SPLIT_COLUMNS = (
    Column("split"),
    Column("images", right=True),
    Column("readable", right=True, spare=2),
    Column("without label", right=True, spare=3),
    Column("labels/image", right=True, spare=1),
    Column("width px", right=True, spare=4),
    Column("height px", right=True, spare=4),
    Column("size MB", right=True, spare=5),
)


def _split_row(facts: SplitFacts) -> tuple[str, ...]:
    return (
        facts.split or MISSING,
        f"{facts.images:,}",
        f"{facts.readable:,}",
        f"{facts.by_labels.get(0, 0):,}",
        number(sum(facts.by_category) / facts.images) if facts.images else MISSING,
        _range(facts.width),
        _range(facts.height),
        number(facts.size_bytes / 1e6),
    )


def _range(spread: Spread | None) -> str:
    if spread is None:
        return MISSING
    return f"{spread.median}" if spread.least == spread.most else f"{spread.median} ({spread.least}-{spread.most})"


def _chart(found: DataCheck) -> str:
    """Return a table of the number of images by category, with a bar for their sum; of many categories, the ends."""
    totals = [sum(facts.by_category[place] for facts in found.splits) for place in range(len(found.categories))]
    places = list(range(len(totals)))
    note = ""
    if len(places) > _MOST_CATEGORIES:
        places.sort(key=lambda place: (-totals[place], place))
        note = f"\n{len(places) - 2 * _ENDS:,} categories between these are not listed; --json has all"
        places = places[:_ENDS] + places[-_ENDS:]
    several = len(found.splits) > 1
    columns = [
        Column("category"),
        *(Column(facts.split or "images", right=True, spare=1 if several else 0) for facts in found.splits),
        Column("all splits" if several else "images"),
    ]
    most = max(totals, default=0) or 1
    rows = [
        (
            found.categories[place],
            *(f"{facts.by_category[place]:,}" for facts in found.splits),
            bar(totals[place] / most, _BAR, unicode=not ascii_only()),
        )
        for place in places
    ]
    return table(columns, rows) + note


def _line(problem: Problem) -> str:
    split = f"{problem.split}: " if problem.split is not None else ""
    shown = ", ".join(problem.examples[:_EXAMPLES])
    more = problem.count - _EXAMPLES
    examples_text = f": {shown}" + (f" and {more:,} more" if more > 0 else "") if shown else ""
    return plain(f"{problem.level:<7}  {split}{problem.message}{examples_text}")
