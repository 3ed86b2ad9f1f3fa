"""``etui report``: write a report on runs, with verdicts and charts."""

from __future__ import annotations

from pathlib import Path

import click

from etui.cli.comparison_options import margin_option
from etui.cli.complete import complete_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.path_type import OUTPUT_PATH, STDOUT
from etui.cli.run_selection import selected_runs
from etui.errors import UsageError
from etui.text import plain

SUFFIXES = (".md", ".html")


@click.command(
    epilog=examples(
        "etui report 3f2a 91bc -o report.html",
        "etui report 3f2a 91bc 07de -o report.md",
        "etui report session:last -o - | gh pr comment --body-file -",
    )
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN..", shell_complete=complete_run)
@click.option(
    "-o",
    "--output",
    required=True,
    type=OUTPUT_PATH,
    metavar="FILE",
    help="A .md file, or an .html file, which also has charts; - for Markdown on standard output.",
)
@margin_option
@click.option("--force-compare", is_flag=True, help="Compare even if runs are not comparable; the reasons are shown.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.pass_obj
def report(
    settings: Settings, runs: tuple[str, ...], output: Path, margin: float, force_compare: bool, force: bool
) -> None:
    """Write a report on runs and print its file name. The first run of each model is the base for the others.

    RUN is an id, or a filter like those of etui runs. The report is self-contained and opens without a network.
    """
    suffix = output.suffix.lower()
    if suffix not in SUFFIXES and output != STDOUT:
        raise UsageError(f"{plain(str(output))} is neither .md nor .html", "name a file such as report.html")
    with settings.store_with_runs() as store:
        documents = [store.document(run_id) for run_id in selected_runs(store, runs)]
        levels = store.session_levels(documents[0].environment)
    from etui.files.atomic import write_file
    from etui.report.content import report_of
    from etui.report.html_page import as_html
    from etui.report.markdown_page import as_markdown

    content = report_of(documents, margin=margin / 100, force=force_compare, levels=levels)
    page = as_html(content) if suffix == ".html" else as_markdown(content)
    write_file(output, page.encode(), force=force)
    if output != STDOUT:
        click.echo(plain(str(output)))
