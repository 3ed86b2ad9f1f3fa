"""The process settings that belong to the identity of a run: which they are, which are stored, and which distinguish
runners."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from etui import paths
from etui.host import installed, process_settings
from etui.host.environment import read_environment

CONFIGURATION = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


@pytest.mark.parametrize(
    ("name", "is_stored", "is_compared"),
    [
        ("OMP_WAIT_POLICY", True, True),
        ("ONEDNN_MAX_CPU_ISA", True, True),
        ("LD_PRELOAD", True, True),
        ("ATEN_CPU_CAPABILITY", True, True),
        ("KMP_BLOCKTIME", True, True),
        ("MALLOC_CONF", True, True),
        ("TORCH_HOME", True, False),
        ("HF_HOME", True, False),
        ("HF_TOKEN", False, False),
        ("TORCH_API_KEY", False, False),
        # Every worker sets its own values of these.
        ("OPENBLAS_NUM_THREADS", False, False),
        ("TRANSFORMERS_VERBOSITY", False, False),
        ("HOME", False, False),
    ],
)
def test_which_variables_belong_to_a_run(name: str, is_stored: bool, is_compared: bool) -> None:
    assert (name in process_settings.variables({name: "value"})) is is_stored
    assert (is_stored and process_settings.affects_speed(name)) is is_compared


def test_password_in_an_address_is_not_stored() -> None:
    stored = process_settings.variables({"HF_ENDPOINT": "https://me:hunter2@hub.example/x"})
    assert stored == {"HF_ENDPOINT": "https://***@hub.example/x"}


def test_environment_of_a_run_contains_its_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    environment = read_environment(tmp_path)
    assert environment.variables is not None and environment.variables["OMP_WAIT_POLICY"] == "passive"
    assert environment.nice == os.nice(0) and environment.affinity == sorted(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("name", "value"),
    [("ONEDNN_MAX_CPU_ISA", "SSE41"), ("LD_LIBRARY_PATH", "/opt/lib"), ("HF_HOME", "/hf"), ("ETUI_CACHE_GB", "3")],
)
def test_different_settings_are_a_different_installation(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.delenv(name, raising=False)
    before = paths.installation()
    monkeypatch.setenv(name, value)
    assert paths.installation() != before
    monkeypatch.delenv(name)
    assert paths.installation() == before


def test_stored_name_of_an_installation_contains_no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    before = paths.installation()
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert paths.installation() == before
    monkeypatch.setenv("HF_ENDPOINT", "https://internal.example")
    assert "internal" not in paths.installation()


def test_nice_level_and_limits_distinguish_installations() -> None:
    program = "import sys; from etui.paths import installation; print(installation())"
    command = [sys.executable, "-c", program]
    installations = [
        subprocess.run([*before, *command], capture_output=True, text=True, check=True).stdout
        for before in ([], ["nice", "-n", "1"], ["sh", "-c", 'ulimit -s 4096; exec "$@"', "sh"])
    ]
    assert len(set(installations)) == 3


def test_worker_in_another_folder_imports_the_same_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"libraries{os.pathsep}/opt/more")
    monkeypatch.setenv("ETUI_CACHE", "cache")
    monkeypatch.setenv("HF_HOME", "hf")
    expected = [str(tmp_path / "libraries"), "/opt/more"]
    assert process_settings.variables()["PYTHONPATH"].split(os.pathsep) == expected
    environment = process_settings.worker_environment()
    program = "import etui; from etui.paths import installation; print(etui.__file__); print(installation())"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd="/", env=environment, capture_output=True, text=True, check=True
    )
    import etui

    assert environment["HF_HOME"] == str(tmp_path / "hf")
    assert done.stdout.splitlines() == [etui.__file__, paths.installation()]


def test_documentation_names_every_variable() -> None:
    section = CONFIGURATION.read_text("utf-8").partition("## Process settings")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([A-Z_]+\*?)`", section))
    assert {*process_settings.SPEED_VARIABLES, *process_settings.PLACE_VARIABLES} <= named


def test_newly_installed_packages_are_detected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    before = installed.stamp()
    (tmp_path / "unrelated-1.0.dist-info").mkdir()
    (tmp_path / "textual-99.0.dist-info").mkdir()
    assert installed.changed_since(before) == []
    (tmp_path / "executorch-9.9.9.dist-info").mkdir()
    assert installed.changed_since(before) == ["executorch"]
    before = installed.stamp()
    os.utime(tmp_path / "executorch-9.9.9.dist-info", ns=(1, 1))
    assert installed.changed_since(before) == ["executorch"]
