"""A device's own examples: what comes back is what went in, and nothing else is looked up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fl import devices
from fl.data_files import partition_bytes, read_partition
from fl.devices import device_of
from fl.errors import DataError
from tests.unit.fl import tiny

pytestmark = pytest.mark.unit

PART = tiny.DATASET.load("plain", 3)[1]


def write(folder: Path, **changes: Any) -> Path:
    arrays = {"name": np.array("x"), **{n: getattr(PART, n) for n in ("train_x", "train_y", "test_x", "test_y")}}
    file = folder / "data.npz"
    np.savez(file, **{name: array for name, array in {**arrays, **changes}.items() if array is not None})
    return file


def test_there_and_back(tmp_path: Path) -> None:
    file = tmp_path / "data.npz"
    file.write_bytes(partition_bytes(PART))
    back = read_partition(file)
    assert back.name == PART.name
    for name in ("train_x", "train_y", "test_x", "test_y"):
        np.testing.assert_array_equal(getattr(back, name), getattr(PART, name), strict=True)
    assert partition_bytes(back) == partition_bytes(PART)


def test_a_device_with_a_file_never_looks_the_data_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*arguments: object) -> None:
        pytest.fail(f"looked up {arguments}")

    monkeypatch.setattr(devices, "_partitions", forbidden)
    file = tmp_path / "data.npz"
    file.write_bytes(partition_bytes(PART))
    device = device_of({"dataset": tiny.NAME, "partition-id": 1, "data-file": str(file)})
    assert (device.index, len(device.training), len(device.testing)) == (1, len(PART.train_y), len(PART.test_y))


@pytest.mark.parametrize(
    "changes",
    [
        {"train_x": None},
        {"train_x": PART.train_x.astype(np.float64)},
        {"train_y": PART.train_y[:-1]},
        {"test_y": PART.test_y[:, None]},
        {"train_x": np.array([object()])},  # a pickle, which could run code
    ],
)
def test_other_files_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"data\.npz"):
        read_partition(write(tmp_path, **changes))


@pytest.mark.parametrize("make", [lambda file: None, lambda file: file.write_text("nonsense"), Path.mkdir])
def test_no_file_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    file = tmp_path / "data.npz"
    make(file)
    with pytest.raises(DataError, match=r"data\.npz"):
        read_partition(file)
