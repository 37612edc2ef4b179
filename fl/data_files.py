"""A device's own examples in a file: what a device on another machine has instead of a data set.

NumPy's archive format (``.npz``), read without pickle: whoever could write the file must not be able to run code.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from fl.datasets import Partition
from fl.errors import DataError

_DTYPES = {"train_x": np.float32, "train_y": np.int64, "test_x": np.float32, "test_y": np.int64}


def partition_bytes(partition: Partition) -> bytes:
    """Return a device's file; equal examples give equal bytes.

    Law: ``read_partition`` of a file with these bytes gives the partition.
    """
    stream = io.BytesIO()
    np.savez(stream, name=np.array(partition.name), **{name: getattr(partition, name) for name in _DTYPES})
    return stream.getvalue()


def read_partition(file: Path) -> Partition:
    """Read a device's file.

    Raises:
        DataError: no such file, or not as `partition_bytes` makes it.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _DTYPES}
            name = str(stored["name"])
    except OSError as error:
        raise DataError(f"cannot read the device's data {file}: {error.strerror or error}") from error
    except Exception as error:  # zipfile and NumPy each have their own
        raise DataError(f"device's data {file}: expected an .npz with {', '.join(_DTYPES)}, got {error}") from error
    for array, kind in _DTYPES.items():
        if arrays[array].dtype != kind:
            raise DataError(f"device's data {file}: expected {array} of {np.dtype(kind)}, got {arrays[array].dtype}")
    for part in ("train", "test"):
        if len(arrays[f"{part}_x"]) != len(arrays[f"{part}_y"]) or arrays[f"{part}_y"].ndim != 1:
            raise DataError(f"device's data {file}: expected one label for each example of {part}_x")
    return Partition(name, arrays["train_x"], arrays["train_y"], arrays["test_x"], arrays["test_y"])
