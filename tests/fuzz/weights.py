"""Targets of files with weights: state dicts, safetensors and Hugging Face folders, read in a separate process.

Reading weights needs torch, and a crash there must not end the harness.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

from tests.fuzz import mutate
from tests.fuzz.harness import Deviation, Outcome

_REAL_POPEN = subprocess.Popen


class Weights:
    """A file of weights with some bytes changed: its tensors, or a WeightsError."""

    name = "weights"
    share = 3.0
    kind = "file"

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Callable[[random.Random], Outcome]]:
        """Start a reader process, again whenever an input has ended it."""
        reader = _Reader(self.kind)
        try:
            yield partial(_read, reader)
        finally:
            reader.close()


class Folders(Weights):
    """A Hugging Face folder with changed files, with the same expectation."""

    name = "folder"
    share = 1.0
    kind = "folder"


class _Reader:
    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._process: subprocess.Popen[str] | None = None

    def ask(self, case: str) -> str:
        """Return the reader's answer to a case; raise Deviation if the case has ended the reader."""
        if self._process is None:
            self._process = _REAL_POPEN(
                [sys.executable, "-m", "tests.fuzz.weights", self._kind],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1,
            )  # fmt: skip
        sent, answers = self._process.stdin, self._process.stdout
        assert sent is not None and answers is not None
        with contextlib.suppress(BrokenPipeError):
            sent.write(f"{case}\n")
            sent.flush()
        answer = answers.readline()
        if not answer:
            status = self._process.wait()
            self._process = None
            raise Deviation(f"the process that reads weights ended with status {status}")
        return answer.strip()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def _read(reader: _Reader, rng: random.Random) -> Outcome:
    answer = reader.ask(str(rng.getrandbits(62)))
    if answer not in ("refused", "accepted"):
        raise Deviation(answer)
    return "refused" if answer == "refused" else "accepted"


def main(kind: str, cases: IO[str]) -> None:
    """Answer each case (a seed) with its outcome, in one line."""
    import traceback

    import torch
    from safetensors.torch import save_file

    from etui.engine.models.weights import read_state_dict
    from etui.errors import WeightsError

    state = {"conv.weight": torch.arange(24.0).reshape(2, 3, 4), "conv.bias": torch.zeros(2), "n": torch.tensor(3)}
    with tempfile.TemporaryDirectory(prefix="etui-fuzz-") as place:
        folder = Path(place)
        torch.save(state, folder / "zip.pt")
        torch.save(state, folder / "old.pt", _use_new_zipfile_serialization=False)
        save_file(state, folder / "sound.safetensors")
        sound: dict[str, bytes] = {path.suffix + path.stem: path.read_bytes() for path in folder.iterdir()}
        for line in cases:
            rng = random.Random(line.strip())
            target = _file(rng, folder, sound) if kind == "file" else _folder(rng, folder / "hf", sound)
            try:
                read_state_dict(target)
                answer = "accepted"
            except WeightsError:
                answer = "refused"
            except Exception as error:  # noqa: BLE001 - any exception is a result of the search
                answer = f"{error!r:.300} at {traceback.extract_tb(error.__traceback__)[-1]}".replace("\n", " ")
            sys.stdout.write(f"{answer}\n")
            sys.stdout.flush()


def _file(rng: random.Random, folder: Path, sound: dict[str, bytes]) -> Path:
    name = rng.choice(list(sound))
    data = sound[name]
    if rng.random() < 0.97:
        data = mutate.change_bytes(rng, data)
    path = folder / f"changed{rng.choice(('.safetensors',)) if 'safetensors' in name else '.pt'}"
    path.write_bytes(data)
    return path


def _folder(rng: random.Random, folder: Path, sound: dict[str, bytes]) -> Path:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    weights = sound[".safetensorssound"]
    index: Any = {"weight_map": {"conv.weight": "a.safetensors", "conv.bias": "b.safetensors"}}
    mutate.change_tree(rng, index)
    data = json.dumps(index).encode()
    files = {
        "model.safetensors.index.json": mutate.change_bytes(rng, data) if rng.random() < 0.4 else data,
        "a.safetensors": weights,
        "b.safetensors": mutate.change_bytes(rng, weights) if rng.random() < 0.3 else weights,
        "pytorch_model.bin": mutate.change_bytes(rng, sound[".ptold"]),
        "model.safetensors": mutate.change_bytes(rng, weights),
        "config.json": mutate.change_bytes(rng, b'{"model_type": "bert"}'),
    }
    for name, content in files.items():
        if rng.random() < (0.15 if name == "model.safetensors" else 0.75):
            (folder / name).write_bytes(content)
    return folder


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin)
