"""Completion in a shell: what is suggested for a line, through the installed command and through bash."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
import pytest

from etui.catalog.delegates import RECORDS, is_listed
from etui.catalog.diffusion_models import DIFFUSION
from etui.catalog.models import MODELS
from etui.catalog.precisions import PRECISIONS
from etui.cli.main import COMMANDS, cli
from tests.cli.conftest import Etui
from tests.cli.test_command_line import HEAVY
from tests.documents import make_document

Complete = Callable[..., list[str]]

FILES = "file"
"""What the answer has if the shell is to complete the name of a file."""

ROOT = Path(__file__).parents[2]


@pytest.fixture
def complete(etui: Etui) -> Complete:
    """Return the suggestions for the last word of a line, as bash receives them."""

    def answer(*words: str, **variables: str) -> list[str]:
        line = " ".join(words)
        done = etui(_ETUI_COMPLETE="bash_complete", COMP_WORDS=f"etui {line}", COMP_CWORD=str(len(words)), **variables)
        assert (done.returncode, done.stderr) == (0, "")
        items = [suggestion.partition(",") for suggestion in done.stdout.splitlines() if suggestion]
        return [value if kind == "plain" else kind for kind, _, value in items]

    return answer


def test_commands_and_options(complete: Complete) -> None:
    assert complete("") == list(COMMANDS)
    assert complete("co") == [name for name in COMMANDS if name.startswith("co")]
    assert {"--db", "--debug", "--help"} <= set(complete("--"))
    assert "--json" in complete("show", "--")
    assert complete("run", "resnet18", "--preset", "") == ["quick", "default", "rigorous"]
    assert complete("completion", "") == ["bash", "zsh", "fish"]
    assert complete("nonsense", "") == complete("")


def test_models_precisions_and_delegates(complete: Complete) -> None:
    assert complete("run", "") == [*MODELS, *DIFFUSION]
    assert complete("run", "resnet1") == ["resnet18"]
    assert complete("run", "./my") == [FILES]
    assert "int8" in complete("run", "resnet18", "--precision", "in")
    assert complete("run", "resnet18", "-p", "fp32,fp") == ["fp32,fp16"]
    assert complete("run", "resnet18", "-d", "") == [name for name in RECORDS if is_listed(name)]
    assert complete("sweep", "--models", "resnet18,gpt") == ["resnet18,gpt2"]
    assert complete("runs", "--columns", "id,mod") == ["id,model"]
    assert complete("run", "resnet18", "--weights", "s") == ["synthetic"]
    assert complete("run", "resnet18", "--weights", "./x") == complete("import", "r") == complete("--db", "") == [FILES]
    assert complete("export", "a", "-o", "x") == [FILES]


def test_saved_configurations_and_places_of_the_queue(complete: Complete, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "configurations"
    folder.mkdir(parents=True)
    for name in ("nightly", "night-2", "other"):
        (folder / f"{name}.toml").touch()
    config = {"ETUI_CONFIG": str(tmp_path / "config")}
    assert complete("run", "--config", "ni", **config) == ["night-2", "nightly"]
    assert complete("sweep", "--config", "./b", **config) == [FILES]
    assert complete("move", "abc", "") == ["first", "last", "sooner", "later"]


def test_run_ids_come_newest_first_and_once_a_line(complete: Complete, stored: Callable[..., None]) -> None:
    stored(
        make_document("aaaaaaaaaaa1", created_at="2026-11-20T10:00:00.000Z"),
        make_document("aabbbbbbbbb2", created_at="2026-11-22T10:00:00.000Z"),
        make_document("ccccccccccc3", created_at="2026-11-21T10:00:00.000Z"),
    )
    for command in ("show", "compare", "delete", "tag", "note", "trend", "gate"):
        assert complete(command, "") == ["aabbbbbbbbb2", "ccccccccccc3", "aaaaaaaaaaa1"]
    assert complete("show", "aa") == ["aabbbbbbbbb2", "aaaaaaaaaaa1"]
    assert complete("compare", "ccccccccccc3", "") == ["aabbbbbbbbb2", "aaaaaaaaaaa1"]
    assert complete("duel", "aaaaaaaaaaa1", "c") == ["ccccccccccc3"]
    assert complete("inspect", "c") == ["ccccccccccc3"] and complete("inspect", "x.pte") == [FILES]
    assert complete("runs", "--model", "") == ["resnet18"]


def test_run_ids_of_the_database_that_the_line_names(
    complete: Complete, etui: Etui, written: Callable[..., Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    etui("--db", other, "import", written("one.json", make_document("ddddddddddd4")))
    assert complete("--db", str(other), "show", "") == ["ddddddddddd4"]
    assert complete("show", "") == []


def test_tags(complete: Complete, stored: Callable[..., None]) -> None:
    first, second = make_document("aaaaaaaaaaa1"), make_document("bbbbbbbbbbb2")
    first.tags, second.tags = ["release", "old"], ["candidate", "rejected"]
    stored(first, second)
    assert complete("tag", "a", "+re") == ["+rejected", "+release"]
    assert complete("tag", "aaaaaaaaaaa1", "+release", "+re") == ["+rejected"]
    assert complete("tag", "aaaaaaaaaaa1", "-")[-2:] == ["-old", "-release"]
    assert complete("tag", "b", "-r") == ["-rejected"]


def test_text_that_a_shell_would_execute_is_not_suggested(complete: Complete, stored: Callable[..., None]) -> None:
    run = make_document("aaaaaaaaaaa1")
    run.model = msgspec.structs.replace(run.model, name="$(reboot)")
    run.tags = ["$(reboot)", "a;b", "a b", "a\nb", "`x`", "fine"]
    stored(run)
    assert complete("tag", "a", "+") == ["+fine"]
    assert complete("runs", "--model", "") == []


def test_no_database_is_created_and_errors_are_silent(complete: Complete, database: Path) -> None:
    assert complete("show", "") == complete("tag", "+") == complete("runs", "--model", "") == []
    assert not database.parent.exists()
    database.parent.mkdir()
    database.write_bytes(b"not a database")
    assert complete("show", "") == complete("tag", "+") == []
    assert database.read_bytes() == b"not a database" and len(list(database.parent.iterdir())) == 1
    assert complete("show", "", ETUI_DB="~nobody-of-this-name/x.db") == []
    assert complete("'show", "") is not None


def test_an_unknown_request_is_silent(etui: Etui) -> None:
    done = etui(_ETUI_COMPLETE="tcsh_complete", COMP_WORDS="etui ", COMP_CWORD="1")
    assert (done.stdout, done.stderr) == ("", "") and done.returncode != 0


@pytest.mark.parametrize(
    ("line", "absent"),
    [("etui ", {"etui.cli.runs", "etui.cli.run", "etui.store", "etui.catalog"}), ("etui show ", {"etui.cli.run"}),
     ("etui run resnet18 -p ", {"etui.store"})],
)  # fmt: skip
def test_completing_imports_only_what_it_needs(
    database: Path, stored: Callable[..., None], line: str, absent: set[str]
) -> None:
    stored(make_document())
    code = (
        "import sys\nfrom etui.cli.main import cli\nreal = sys.stderr\n"
        "try: cli()\nfinally: real.write(repr(sorted(sys.modules)))"
    )
    request = {"_ETUI_COMPLETE": "zsh_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | request | {"ETUI_DB": str(database)},
    )  # fmt: skip
    assert done.stdout
    modules = set(eval(done.stderr))
    assert not (HEAVY | absent) & (modules | {name.split(".")[0] for name in modules})


def test_a_run_is_described_in_shells_that_show_it(etui: Etui, stored: Callable[..., None]) -> None:
    stored(make_document("aaaaaaaaaaa1"))
    done = etui(_ETUI_COMPLETE="zsh_complete", COMP_WORDS="etui show ", COMP_CWORD="2")
    assert done.stdout.splitlines()[:2] == ["plain", "aaaaaaaaaaa1"]
    assert all(part in done.stdout.splitlines()[2] for part in ("resnet18", "fp32/xnnpack", "done"))


def test_every_parameter_that_takes_a_run_completes_it() -> None:
    missing = [
        f"{command}: {parameter.name}"
        for command in COMMANDS
        for parameter in _command(command).params
        if parameter.name in ("run", "runs", "base", "others", "run_a", "run_b")
        and parameter._custom_shell_complete is None
    ]
    assert not missing


def _command(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(etui: Etui, shell: str) -> None:
    done = etui("completion", shell)
    assert (done.returncode, done.stderr) == (0, "") and f"_ETUI_COMPLETE={shell}_complete" in done.stdout
    assert etui("completion", SHELL=f"/usr/bin/{shell}").stdout == done.stdout
    assert etui("completion", SHELL="/bin/csh").returncode == etui("completion", "csh").returncode == 2


def test_zsh_and_fish_complete_the_value_after_an_equals_sign(etui: Etui) -> None:
    line = "etui run resnet18 --precision=fp32,fp"
    word = line.split()[-1]
    done = etui(_ETUI_COMPLETE="zsh_complete", COMP_WORDS=line, COMP_CWORD="3")
    assert done.stdout.splitlines()[:2] == ["plain", "--precision=fp32,fp16"]
    done = etui(_ETUI_COMPLETE="fish_complete", COMP_WORDS=line, COMP_CWORD=word)
    assert done.stdout.startswith("plain,--precision=fp32,fp16")
    # Its script takes the value as a whole.
    assert "string split --max 1" in etui("completion", "fish").stdout


def test_bash_completes_with_the_script(etui: Etui, stored: Callable[..., None], database: Path) -> None:
    stored(make_document("aaaaaaaaaaa1"))
    script = (
        'eval "$(etui completion bash)"; complete -p etui >/dev/null || exit 9;'
        ' answer() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=();'
        ' _etui_completion etui; echo "${COMPREPLY[@]}"; };'
        " answer etui sho; answer etui show aaa; answer etui run resnet18 -p fp32,fp;"
        " answer etui run resnet18 --precision = fp1; answer etui run resnet18 --precision =;"
        " answer etui run --precision = int8 resnet1"
    )
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "ETUI_DB": str(database),
    }  # fmt: skip
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "show", "aaaaaaaaaaa1", "fp32,fp16", "fp16", " ".join(PRECISIONS), "resnet18",
    ]  # fmt: skip


def test_filters_are_completed_where_runs_are_named(
    complete: Complete, etui: Etui, stored: Callable[..., None]
) -> None:
    run = make_document("aaaaaaaaaaa1")
    run.tags = ["release"]
    stored(run)
    assert etui("runs", "p50<5", "--save", "fast").returncode == 0
    assert complete("runs", "mod") == ["model:"] and complete("runs", "model:res") == ["model:resnet18"]
    assert complete("export", "tag:r") == ["tag:release"] and complete("compare", "a", "@f") == ["@fast"]
    assert {"@fast", "model:", "since:"} <= set(complete("runs", ""))
    assert complete("runs", "precision=int8-d") == ["precision=int8-dynamic"]
    assert complete("runs", "--sort", "p5") == ["p50"]


def test_bash_divides_a_filter_and_completes_its_last_part(etui: Etui, stored: Callable[..., None]) -> None:
    stored(make_document("aaaaaaaaaaa1"))
    assert etui("runs", "p50<5", "--save", "fast").returncode == 0
    for words, expected in (
        (["runs", "model", ":", "res"], ["resnet18"]), (["runs", "model", ":"], ["resnet18"]),
        (["runs", "@", "fa"], ["fast"]), (["runs", "precision", "=", "int8-d"], ["int8-dynamic"]),
        (["runs", "model", ":", "resnet18", "stat"], ["status:"]),
    ):  # fmt: skip
        line = "\n".join(["etui", *words])
        done = etui(_ETUI_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words)))
        assert done.stdout.splitlines() == [f"plain,{value}" for value in expected], words
