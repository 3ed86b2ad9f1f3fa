"""The pytest plugin in a project: pytest runs in a separate folder, with real measurements of a small model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree

import pytest

from tests.facts import lacking
from tests.machines import PATIENCE_S, Machine, machine_in

TINY = Path(__file__).parent / "engine" / "tiny.py"
MODEL = f"{TINY}:convolutional"


def _pytest(machine: Machine, folder: Path, *arguments: str | Path, status: int = 0, alone: bool = True) -> str:
    """Run pytest in ``folder`` and return its output; ``alone``: without the other plugins of this environment."""
    if alone:
        arguments = ("-p", "etui.pytest_plugin", *arguments)
    environment = machine.environment | ({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if alone else {})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={folder / 'temporary'}", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def _write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(dedent(text))


@pytest.mark.slow
def test_other_pytest_sessions_import_nothing_heavy_and_keep_their_option_names(
    machine: Machine, tmp_path: Path
) -> None:
    _write(
        tmp_path,
        conftest="""
            def pytest_addoption(parser):
                for name in ("--model", "--precision", "--delegate", "--preset", "--tolerance"):
                    parser.addoption(name)
        """,
        test_theirs="""
            import sys

            def test_theirs(pytestconfig):
                assert pytestconfig.getoption("model") == "theirs"
                assert pytestconfig.pluginmanager.hasplugin("etui.pytest_plugin")
                heavy = {"torch", "textual", "msgspec", "click", "etui.store", "etui.testing"} & set(sys.modules)
                assert not heavy
        """,
    )
    output = _pytest(machine, tmp_path, "--model", "theirs")
    assert "1 passed" in output and "= etui =" not in output
    assert not machine.database.exists() and not machine.cache.exists()


@pytest.mark.slow
def test_help_groups_the_options_and_the_plugin_can_be_disabled(machine: Machine, tmp_path: Path) -> None:
    shown = _pytest(machine, tmp_path, "--help", alone=False)
    group = shown[shown.index("\netui (") :].split("\n\n")[0]
    assert "--etui-db=FILE" in group and "--etui-tolerance" in group and "--model" not in shown
    assert "--model" in _pytest(machine, tmp_path, "--pyargs", "etui.verify", "--help")
    assert "--etui-db" not in _pytest(machine, tmp_path, "-p", "no:etui", "--help", alone=False)
    off = _pytest(machine, tmp_path, "-p", "no:etui", "--pyargs", "etui.verify", status=2, alone=False)
    assert "-p no:etui" in off


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "etui.verify needs a model: --model NAME; see `etui models`"),
        (["--model", "resnet81"], "did you mean resnet18"),
        (["--model", "resnet18", "--precision", "8da4w"], "cannot be run as 8da4w/xnnpack"),
        (["--model", "resnet18", "--tolerance", "psnr=3"], "sqnr_db, cosine, top1, mae"),
        (["--model", "resnet18", "--threads", "4096"], "cores, not 4096"),
    ],
)
def test_invalid_verification_is_reported_before_anything_starts(
    machine: Machine, tmp_path: Path, arguments: list[str], message: str
) -> None:
    shown = _pytest(machine, tmp_path, "--pyargs", "etui.verify", *arguments, status=4)
    assert "ERROR: etui: " in shown and message in shown
    assert "Traceback" not in shown and not machine.database.exists()


@pytest.fixture(scope="module")
def warm_machine(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Machine]:
    """Yield a simulated machine that the tests share, with the program cache of other modules."""
    with machine_in(tmp_path_factory.mktemp("box"), programs) as shared:
        yield shared


@pytest.mark.slow
class TestMeasuring:
    """Real measurements, stored in the database of a simulated machine whose runner stays warm."""

    @pytest.mark.slow
    def test_project_measures_its_own_model(self, warm_machine: Machine, tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text(TINY.read_text())
        _write(
            tmp_path,
            test_mine="""
                import mine
                import pytest

                def test_by_reference(etui_run):
                    run = etui_run("mine.py:convolutional", precision="int8", repeat=20)
                    assert run.accuracy.verdict == "PASS", run.accuracy.reason
                    assert run.latency_ms.median > 0 and run.preset == "quick"

                def test_by_function_interleaved(etui_run):
                    first, second = etui_run.together(mine.convolutional, ["fp32", "int8"], repeat=40)
                    assert first.session.id == second.session.id and len(etui_run.runs) == 3
                    assert [block.index for block in first.blocks] == [block.index for block in second.blocks]

                def test_model_that_cannot_be_built(etui_run):
                    assert etui_run("mine.py:raises", check=False).status == "failed"
                    etui_run("mine.py:raises")

                def test_function_that_no_worker_can_find(etui_run):
                    etui_run(lambda: None)
            """,
        )
        arguments = ("--etui-db", warm_machine.database, "--etui-preset", "quick", "--junitxml", "out.xml")
        output = _pytest(warm_machine, tmp_path, *arguments, status=1)
        assert "2 failed, 2 passed" in output
        assert "the user's own mistake" in output
        # The failed run's log is shown with the test, the metrics of every run at the end.
        assert "ZeroDivisionError" in output[output.index("Captured stderr") :]
        summary = output[output.index("= etui =") :].split("= short")[0].splitlines()[1:]
        assert sum("eager PyTorch" in line for line in summary) == 3 and sum("failed" in line for line in summary) == 2
        assert len(warm_machine.summaries()) == 5
        properties = ElementTree.parse(tmp_path / "out.xml").findall(".//property[@name='etui']")
        assert len(properties) == 5

    @pytest.mark.slow
    def test_verify_passes_and_fails_with_an_impossible_tolerance(self, warm_machine: Machine, tmp_path: Path) -> None:
        arguments = (
            "--pyargs", "etui.verify", "--model", MODEL, "--precision", "fp32,int8", "--preset", "quick",
            "--threads", "1", "-v",
        )  # fmt: skip
        output = _pytest(warm_machine, tmp_path, *arguments, "--etui-db", warm_machine.database)
        assert "6 passed" in output
        for test in ("test_exports", "test_accuracy", "test_latency"):
            assert f"{test}[fp32/xnnpack]" in output and f"{test}[int8/xnnpack]" in output
        output = _pytest(
            warm_machine,
            tmp_path,
            *arguments,
            "--etui-db",
            warm_machine.database,
            "--tolerance",
            "sqnr_db=80,mae=1",
            status=1,
        )
        # Only the quantized variant has an error that large.
        assert "1 failed, 5 passed" in output
        assert not lacking(output, "int8/xnnpack", "worst SQNR", "80 dB")

    def test_model_that_does_not_export_fails_once(self, warm_machine: Machine, tmp_path: Path) -> None:
        arguments = ("--pyargs", "etui.verify", "--model", f"{TINY}:raises", "--etui-db", warm_machine.database)
        output = _pytest(warm_machine, tmp_path, *arguments, status=1)
        assert "1 failed, 2 skipped" in output
        assert not lacking(output, "fp32/xnnpack", "failed", "the user's own mistake")


@pytest.mark.slow
@pytest.mark.shared_programs
def test_temporary_database_leaves_no_runner_and_no_files_in_the_users_folders(
    machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "project").mkdir()
    _write(
        tmp_path / "project",
        test_mine=f"""
            def test_mine(etui_run):
                assert etui_run({MODEL!r}, repeat=20).status == "done"
        """,
    )
    assert "1 passed" in _pytest(machine, tmp_path / "project")
    assert not machine.database.exists() and not list((machine.folder / "state").iterdir())
    assert (machine.cache / "programs").is_dir()
    assert not machine.processes()
