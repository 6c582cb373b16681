"""Conditions of every test: one thread, a fixed seed, no network, no display."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Set before NumPy and torch start their threads, and inherited by what a test starts.
os.environ.update(OMP_NUM_THREADS="1", MPLBACKEND="Agg", HF_HUB_OFFLINE="1")

import hypothesis
import numpy as np
import pytest
import torch

torch.set_num_threads(1)
hypothesis.settings.register_profile("seeded", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("seeded")

LOOPBACK = ("127.", "::1", "localhost")


def data_folder(name: str = "") -> Path:
    """The folder `name` under MKE_DATA_ROOT; skips the test where there is none."""
    root = os.environ.get("MKE_DATA_ROOT")
    if not root:
        pytest.skip("MKE_DATA_ROOT is not set; name the folder that holds the real data")
    if not Path(root).is_dir():
        pytest.fail(f"MKE_DATA_ROOT names {root!r}, which is no folder; correct it or unset it")
    folder = Path(root) / name
    if not folder.is_dir():
        pytest.skip(f"there is no {name!r} in the folder that MKE_DATA_ROOT names")
    return folder


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.data("av_digits")` skips where that folder is missing."""
    for mark in item.iter_markers("data"):
        for name in mark.args or ("",):
            data_folder(name)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder that holds the real data, one sub-folder a data set."""
    return data_folder()


@pytest.fixture(autouse=True)
def _seed() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, loopback_only(getattr(socket.socket, name)))
        yield


def loopback_only(connect: Callable[..., Any]) -> Callable[..., Any]:
    """`connect`, refusing every internet address but this machine's own."""

    def guarded(self: socket.socket, address: Any) -> Any:
        internet = self.family in (socket.AF_INET, socket.AF_INET6)
        if internet and not str(address[0]).startswith(LOOPBACK):
            raise RuntimeError(f"a test tried to reach {address[0]}; tests have to run offline")
        return connect(self, address)

    return guarded
