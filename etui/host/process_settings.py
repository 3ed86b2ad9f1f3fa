"""Process settings that can change the speed or results of a model: environment variables, nice level, CPU affinity
and resource limits.

A runner inherits them from the front end that starts it, and workers from the runner. They are stored with a run, and a
runner only executes sessions of front ends with the same settings.
"""

from __future__ import annotations

import hashlib
import os
import re
import resource
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import etui

SPEED_VARIABLES = (
    "OMP_*", "GOMP_*", "KMP_*", "MKL_*", "OPENBLAS_*", "BLIS_*", "TBB_*", "ONEDNN_*", "DNNL_*", "ATEN_*", "TORCH_*",
    "PYTORCH_*", "EXECUTORCH_*", "XNNPACK_*", "OPENVINO_*", "OV_*", "NPY_*", "CUDA_VISIBLE_DEVICES", "GLIBC_TUNABLES",
    "LD_PRELOAD", "LD_LIBRARY_PATH", "MALLOC_*", "MIMALLOC_*", "TCMALLOC_*", "PYTHONMALLOC", "PYTHONOPTIMIZE",
    "PYTHONDEVMODE",
)  # fmt: skip
"""Variables that can change results or speed (``*`` matches any suffix): runs that differ in one of them are not
compared."""

PLACE_VARIABLES = ("TORCH_HOME", "HF_*", "TRANSFORMERS_*", "HUGGINGFACE_*", "XDG_CACHE_HOME", "PYTHONPATH")
"""Variables that decide which files are found. They are stored with a run and must be the same in front end and runner;
whether runs are compared depends only on the hashes and versions of those files."""

FIXED_VARIABLES: Mapping[str, str] = {
    # NumPy's BLAS would start a thread pool at import, which does not survive a fork.
    "OPENBLAS_NUM_THREADS": "1",
    "TORCHAO_FORCE_SKIP_LOADING_SO_FILES": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Variables that have these values in every worker, whatever they are in the front end."""

_WITHOUT_EFFECT = frozenset(
    {
        *FIXED_VARIABLES,
        # These only change the output of libraries; the engine sets them in its own process.
        "TRANSFORMERS_VERBOSITY",
        "HF_HUB_DISABLE_PROGRESS_BARS",
        "HF_HUB_DISABLE_TELEMETRY",
        "HF_HUB_VERBOSITY",
        "TORCH_LOGS",
        "TORCH_SHOW_CPP_STACKTRACES",
    }
)
_SECRET = re.compile("TOKEN|SECRET|KEY|PASSW|CREDENTIAL|AUTH", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"//[^/@\s]+@")
_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_STACK, resource.RLIMIT_MEMLOCK)


_FOLDERS = frozenset({"TORCH_HOME", "HF_HOME", "HF_HUB_CACHE"})
_OWN_FOLDERS = ("ETUI_CACHE", "ETUI_STATE", "ETUI_BOX_LOCK")


def variables(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that are stored with a run, by name; unset ones are omitted.

    Names that suggest a secret are omitted, and user names and passwords in URLs are masked, because the result is
    stored. Folders are absolute, and ``PYTHONPATH`` does not contain etui's own folder.
    """
    source = os.environ if environment is None else environment
    selected = {
        name: _absolute(value) if name in _FOLDERS else _IN_ADDRESS.sub("//***@", value)
        for name, value in sorted(source.items())
        if _is_relevant(name)
    }
    if "PYTHONPATH" in selected:
        folders = [folder for folder in _python_path(source) if folder != str(code_folder())]
        selected["PYTHONPATH"] = os.pathsep.join(folders)
        if not folders:
            del selected["PYTHONPATH"]
    return selected


def affects_speed(name: str) -> bool:
    """Whether a variable can change results or speed itself, not only which files are found."""
    return not _matches(name, PLACE_VARIABLES) and _matches(name, SPEED_VARIABLES)


def nice_level() -> int:
    """Return the nice level of this process: 0 by default, 19 is the lowest priority."""
    return os.getpriority(os.PRIO_PROCESS, 0)


def affinity() -> list[int] | None:
    """Return the logical CPUs this process may run on, sorted; None if the system does not report them."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def code_folder() -> Path:
    """Return the folder that etui was imported from."""
    return Path(etui.__file__).parent.parent


def digest() -> str:
    """Return a hash of the settings, which does not reveal their values."""
    settings = (
        sorted(variables().items()),
        nice_level(),
        affinity(),
        os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None,
        [resource.getrlimit(limit)[0] for limit in _LIMITS],
    )
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:16]


def worker_environment() -> dict[str, str]:
    """Return an environment for a process in another working folder that must find the same code and files: paths are
    absolute, and ``PYTHONPATH`` starts with etui's own folder unless etui is installed."""
    folders = _python_path(os.environ)
    code = str(code_folder())
    if code not in folders and not _is_installed(code_folder()):
        folders.insert(0, code)
    environment = dict(os.environ)
    environment.pop("PYTHONPATH", None)
    for name in (*_FOLDERS, *_OWN_FOLDERS):
        if environment.get(name):
            environment[name] = _absolute(environment[name])
    return environment | ({"PYTHONPATH": os.pathsep.join(folders)} if folders else {})


def _is_relevant(name: str) -> bool:
    relevant = _matches(name, SPEED_VARIABLES) or _matches(name, PLACE_VARIABLES)
    return relevant and name not in _WITHOUT_EFFECT and not _SECRET.search(name)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _absolute(path: str) -> str:
    # The home folder is the same in every process; readers of the variable expand it.
    return path if path.startswith("~") or not path else str(Path(path).absolute())


def _python_path(environment: Mapping[str, str]) -> list[str]:
    given = environment.get("PYTHONPATH", "")
    # An empty entry means the working folder.
    return [str(Path(folder).absolute()) for folder in given.split(os.pathsep)] if given else []


def _is_installed(folder: Path) -> bool:
    return folder.name in {"site-packages", "dist-packages"}
