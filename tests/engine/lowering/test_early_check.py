"""Mistakes in how a factory gives a dataset are named with the next step before the session is queued."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.engine.lowering.early_check import run_check
from etui.errors import PreparationError
from etui.jobs import CheckJob

_FACTORIES = """
import torch
from torch.utils.data import DataLoader, TensorDataset

import etui


def net():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4)).eval()


def in_tuple():
    return net(), TensorDataset(torch.randn(8, 3, 4))


def loader_in_tuple():
    return net(), DataLoader(TensorDataset(torch.randn(8, 3, 4)), batch_size=4)


def unlabelled_pairs():
    return etui.Model(net(), inputs=TensorDataset(torch.randn(8, 3, 4), torch.zeros(8)))
"""


@pytest.mark.parametrize(
    ("factory", "hint"),
    [("in_tuple", "etui.Model("), ("loader_in_tuple", "etui.Model("), ("unlabelled_pairs", "labels=True")],
)
def test_a_dataset_given_wrongly_names_the_right_way(tmp_path: Path, factory: str, hint: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(_FACTORIES)
    with pytest.raises(PreparationError) as raised:
        run_check(
            CheckJob(model=f"{path}:{factory}", weights="auto", seed=0, cache_dir=str(tmp_path)), lambda event: None
        )
    assert hint in raised.value.hint
