"""The settings of this process that can change how fast a model runs or what it computes: environment variables, nice
level, CPU affinity and resource limits.

A runner inherits them from the front end that starts it, and its workers inherit them from it. They belong to the
identity of a run: they are stored with it, and a runner only takes sessions of front ends that have the same ones.
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
"""Variables that can change numbers or speed (``*`` stands for any ending): runs that differ in one of them are not
compared."""

PLACE_VARIABLES = ("TORCH_HOME", "HF_*", "TRANSFORMERS_*", "HUGGINGFACE_*", "XDG_CACHE_HOME", "PYTHONPATH")
"""Variables that decide which files are found. They are stored with a run and must agree between front end and runner;
what was found there has a hash or a version of its own, and only that decides whether runs are compared."""

FIXED_VARIABLES: Mapping[str, str] = {
    # NumPy's BLAS would start a thread pool at import, which no fork survives.
    "OPENBLAS_NUM_THREADS": "1",
    "TORCHAO_FORCE_SKIP_LOADING_SO_FILES": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Variables that every worker has with these values, whatever the front end's are."""

_WITHOUT_EFFECT = frozenset(
    {
        *FIXED_VARIABLES,
        # They only change what the libraries print; the engine sets them in its own process.
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
    """The variables that belong to the identity of a run, by name; those that are not set are left out.

    Names that suggest a secret are left out, and a user name or password within an address is masked: what is
    returned here is stored. Folders are absolute, and ``PYTHONPATH`` is without the one that etui itself lies in.
    """
    found = os.environ if environment is None else environment
    chosen = {
        name: _absolute(value) if name in _FOLDERS else _IN_ADDRESS.sub("//***@", value)
        for name, value in sorted(found.items())
        if _is_wanted(name)
    }
    if "PYTHONPATH" in chosen:
        folders = [folder for folder in _python_path(found) if folder != str(code_folder())]
        chosen["PYTHONPATH"] = os.pathsep.join(folders)
        if not folders:
            del chosen["PYTHONPATH"]
    return chosen


def affects_speed(name: str) -> bool:
    """Whether a variable can change numbers or speed by itself, and not only which files are found."""
    return not _matches(name, PLACE_VARIABLES) and _matches(name, SPEED_VARIABLES)


def nice_level() -> int:
    """The nice level of this process: 0 unless somebody changed it, 19 yields to everybody."""
    return os.getpriority(os.PRIO_PROCESS, 0)


def affinity() -> list[int] | None:
    """The logical CPUs this process may run on, sorted; None on a system that does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def code_folder() -> Path:
    """The folder that etui was imported from."""
    return Path(etui.__file__).parent.parent


def digest() -> str:
    """A hash that differs between processes with different settings. The values cannot be read from it."""
    settings = (
        sorted(variables().items()),
        nice_level(),
        affinity(),
        os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None,
        [resource.getrlimit(limit)[0] for limit in _LIMITS],
    )
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:16]


def worker_environment() -> dict[str, str]:
    """The environment of a process in another working folder that has to find the same code and files as this one:
    paths are absolute, and ``PYTHONPATH`` begins with etui's own folder unless it is an installed package's."""
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


def _is_wanted(name: str) -> bool:
    wanted = _matches(name, SPEED_VARIABLES) or _matches(name, PLACE_VARIABLES)
    return wanted and name not in _WITHOUT_EFFECT and not _SECRET.search(name)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _absolute(path: str) -> str:
    # The home folder is the same in every process; who reads the variable puts it in.
    return path if path.startswith("~") or not path else str(Path(path).absolute())


def _python_path(environment: Mapping[str, str]) -> list[str]:
    given = environment.get("PYTHONPATH", "")
    # An empty entry means the working folder.
    return [str(Path(folder).absolute()) for folder in given.split(os.pathsep)] if given else []


def _is_installed(folder: Path) -> bool:
    return folder.name in {"site-packages", "dist-packages"}
