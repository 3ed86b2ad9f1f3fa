"""`etui run` with session files, and what it prints instead of measuring, through the installed command."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from etui.catalog import diffusion_models
from etui.store import Store
from tests.cli.conftest import Etui
from tests.documents import make_document
from tests.machines import Machine

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
MORE = ("--precision", "fp32,int8", "--delegate", "xnnpack", "--seed", "3", "--repeat", "40", "--keep-fp32", "fc")


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUI_CONFIG", str(tmp_path / "config" / "config.toml"))


def test_what_print_config_prints_gives_the_same_sessions(etui: Etui, tmp_path: Path, database: Path) -> None:
    printed = etui("run", "resnet18", "mobilenet_v2", *MORE, "--print-config")
    assert printed.returncode == 0, printed.stderr
    (tmp_path / "bench.toml").write_text(printed.stdout)
    again = etui("run", "--config", "bench.toml", "--print-config")
    assert again.stdout == printed.stdout
    assert tomllib.loads(printed.stdout)["keep_fp32"] == ["fc"]
    plans = [
        etui("run", *arguments, "--dry-run", "--json").stdout
        for arguments in (["resnet18", "mobilenet_v2", *MORE], ["--config", "bench.toml"])
    ]
    assert plans[0] == plans[1] and json.loads(plans[0])["programs"] == 4
    assert not database.exists()


def test_the_command_line_replaces_what_the_file_has(etui: Etui, tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text(
        'models = ["resnet18"]\nprecisions = ["fp32"]\npreset = "rigorous"\nseed = 5\ncache = false\nwait_quiet = 7\n'
    )
    words = ("mobilenet_v2", "-p", "int8", "--preset", "default", "--cache")
    done = etui("run", *words, "--config", "bench.toml", "--print-config", ETUI_WAIT_QUIET="1")
    values = tomllib.loads(done.stdout)
    assert (values["models"], values["precisions"]) == (["mobilenet_v2"], ["int8"])
    assert (values["preset"], values["seed"], values["cache"], values["wait_quiet"]) == ("default", 5, True, 7)


def test_paths_are_absolute_so_that_the_file_can_be_anywhere(etui: Etui, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def make(): ...\n")
    values = tomllib.loads(etui("run", "net.py:make", "--weights", "synthetic", "--print-config").stdout)
    assert values["models"] == [str(tmp_path / "net.py:make")]
    assert values["weights"] == "synthetic"


@pytest.mark.parametrize(
    ("text", "words", "parts"),
    [
        ("models = ['resnt18']", (), ("bench.toml: models: unknown model 'resnt18'; did you mean resnet18",)),
        ("models = ['resnet18']\nprecisions = ['int9']", (), ("bench.toml: precisions: unknown precision 'int9'",)),
        ("models = ['resnet18']\ndelegates = ['xnpack']", (), ("bench.toml: delegates: ", "xnnpack")),
        ("models = ['resnet18']\nweights = 'none'", (), ("bench.toml: weights: weights not found",)),
        ("models = ['resnet18']\nkeep_fp32 = ['fc']", (), ("bench.toml: keep_fp32: fp32 does not quantize",)),
        ("models = ['resnet18']\nrepaet = 4", (), ("bench.toml: unknown key 'repaet'; did you mean repeat?",)),
        ("precisions = ['int8']", (), ("MODEL",)),
        ("models = ['resnet18']", ("-p", "int9"), ("etui: unknown precision 'int9'",)),
    ],
)
def test_a_mistake_ends_with_status_2_and_one_line(
    etui: Etui, tmp_path: Path, database: Path, text: str, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    (tmp_path / "bench.toml").write_text(text)
    done = etui("run", "--config", "bench.toml", *words)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert all(part in done.stderr for part in parts), done.stderr
    assert not database.exists()


@pytest.mark.skipif(not diffusion_models.is_installed(), reason="needs pip install 'etui[diffusion]'")
def test_a_dry_run_estimates_the_memory_of_a_large_model(etui: Etui) -> None:
    def needed(*words: str) -> list[int | None]:
        plan = json.loads(etui("run", *words, "--dry-run", "--json").stdout)
        return [session["memory_bytes"] for session in plan["sessions"]]

    (fp32,), (int8, small) = needed("sd15_unet"), needed("sd15_unet", "resnet18", "-p", "fp32,int8")
    assert fp32 is not None and int8 is not None
    assert 4 * 859_520_964 < fp32 < int8
    assert small is None
    assert "memory" in etui("run", "sd15_unet", "--dry-run").stdout
    assert "memory" not in etui("run", "resnet18", "--dry-run").stdout


def test_a_dry_run_names_the_cached_programs_and_the_time(
    etui: Etui, tmp_path: Path, database: Path, stored: Callable[..., None]
) -> None:
    plan = json.loads(etui("run", "resnet18", "-p", "fp32,int8", "--dry-run", "--json").stdout)
    assert (plan["programs"], plan["cached"], plan["sessions"][0]["basis"]) == (2, 0, "size")
    document = make_document(precision="fp32")
    assert document.artifact is not None and document.artifact.key is not None
    spec = document.session.spec | {
        "weights": "auto", "seed": 0, "calibration_count": 8, "accuracy_inputs": 8, "keep_fp32": []
    }  # fmt: skip
    document = msgspec.structs.replace(document, session=msgspec.structs.replace(document.session, spec=spec))
    stored(document)
    assert document.artifact is not None
    program = tmp_path / "cache" / "programs" / document.artifact.key / "program.pte"
    program.parent.mkdir(parents=True)
    program.touch()
    plan = json.loads(etui("run", "resnet18", "-p", "fp32,int8", "--dry-run", "--json").stdout)
    states = {program["precision"]: program["cached"] for program in plan["sessions"][0]["programs"]}
    assert states == {"fp32": True, "int8": False}
    assert (plan["cached"], plan["sessions"][0]["basis"]) == (1, "both")
    other = json.loads(etui("run", "resnet18", "--seed", "1", "--threads", "1,2", "--dry-run", "--json").stdout)
    assert (other["cached"], other["programs"], other["runs"]) == (0, 1, 2)
    with Store.open(database) as store:
        assert store.count() == 1, "a dry run queues nothing"


def test_the_time_of_an_own_model_without_similar_runs_is_unknown(etui: Etui, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def make(): ...\n")
    done = etui("run", "net.py:make", "--dry-run")
    assert "unknown" in done.stdout and "1 program in 1 session" in done.stdout
    assert json.loads(etui("run", "net.py:make", "--dry-run", "--json").stdout)["estimate_s"] is None


def test_the_time_of_a_model_of_unknown_size_without_similar_runs_is_unknown(etui: Etui, tmp_path: Path) -> None:
    config = {"architectures": ["BertModel"], "model_type": "bert", "vocab_size": 100}
    (tmp_path / "config.json").write_text(json.dumps(config))
    plan = json.loads(etui("run", f"hf:{tmp_path}", "--dry-run", "--json").stdout)
    assert (plan["estimate_s"], plan["sessions"][0]["basis"]) == (None, "unknown")


def test_a_sweep_takes_a_session_file_too(etui: Etui, tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text("models = ['resnet18', 'minilm']\nprecisions = ['8da4w']\n")
    done = etui("sweep", "--config", "bench.toml", "--dry-run", "--json")
    assert [session["model"] for session in json.loads(done.stdout)["sessions"]] == ["minilm"]
    assert "skipping resnet18 8da4w/xnnpack" in done.stderr


def test_a_saved_configuration_is_named_without_its_path(etui: Etui, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "configurations"
    folder.mkdir(parents=True)
    (folder / "nightly.toml").write_text('models = ["resnet18"]\n')
    assert json.loads(etui("run", "--config", "nightly", "--dry-run", "--json").stdout)["programs"] == 1
    wrong = etui("run", "--config", "nightli")
    assert wrong.returncode == 2 and "did you mean nightly?" in wrong.stderr


@pytest.mark.slow
def test_a_module_that_the_model_does_not_have_is_found_before_queueing(
    etui: Etui, tmp_path: Path, database: Path
) -> None:
    text = f"models = ['{TINY}:spoiled']\nprecisions = ['int8']\nkeep_fp32 = ['nowhere']\n"
    (tmp_path / "bench.toml").write_text(text)
    done = etui("run", "--config", "bench.toml")
    assert done.returncode == 2 and "bench.toml: keep_fp32: " in done.stderr.splitlines()[-1]
    assert not database.exists()


@pytest.mark.slow
@pytest.mark.shared_programs
def test_a_session_file_measures_one_session_per_model(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    models = f'["{TINY}:spoiled", "{TINY}:convolutional"]'
    path.write_text(f"models = {models}\npreset = 'quick'\nrepeat = 4\nwarmup = 1\nthreads = 1\ntimeout = 240\n")
    first = json.loads(machine.etui("run", "--config", path, "--json", status=None).stdout)
    assert [run["model"] for run in first] == ["tiny-spoiled", "tiny-convolutional"]
    assert len({run["session"] for run in first}) == 2 and {run["status"] for run in first} == {"done"}
    plan = json.loads(machine.etui("run", "--config", path, "--dry-run", "--json").stdout)
    assert (plan["cached"], plan["sessions"][0]["basis"]) == (2, "similar")
