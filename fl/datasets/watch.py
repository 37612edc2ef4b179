"""Smartwatch recordings of shoulder exercises: 10 subjects, each one device.

140 recordings (10 subjects × 2 wrists × 7 exercises) of accelerometer and gyroscope at 50 Hz, shipped with the
package seglearn. Here: 25 Hz, windows of 4 s every 2 s, 6 channels × 100 samples. The channels already have about
unit variance, so nothing is normalised and nothing can leak from test to training data.

Source: D. Burns et al., Shoulder physiotherapy exercise recognition: machine learning the inertial signals from a
smartwatch, Physiological Measurement 39(7), 2018.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fl.datasets import Dataset, Partition, Task
from fl.errors import DataError

SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"
SUBJECTS = 10
CLASSES = 7
CHANNELS = 6
WINDOW = 100  # samples: 4 s at 25 Hz
STEP = 50  # samples between two windows' beginnings
TEST_SHARE = 0.2  # of each recording, its end, in the temporal split


@dataclass(frozen=True)
class Recording:
    """One exercise on one wrist.

    Attributes:
        subject: 1 to 10.
        label: exercise, 0 to 6.
        samples: float32, time × channel, 25 Hz.
    """

    subject: int
    label: int
    samples: NDArray[np.float32]


def data_file() -> Path:
    """Return where the package seglearn has put the recordings, without running its code.

    Raises:
        DataError: the package isn't installed.
    """
    try:
        files = importlib.metadata.files("seglearn") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise DataError("the watch data come with the package seglearn, which isn't installed: make setup") from error
    for file in files:
        if file.name == "watch_dataset.npy":
            return Path(str(file.locate()))
    raise DataError("the installed seglearn has no watch_dataset.npy: expected version 1.2.5")


@lru_cache(maxsize=2)
def recordings(file: Path) -> tuple[Recording, ...]:
    """Read the recordings.

    Raises:
        DataError: missing, or not the published file.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the watch data in {file}: {error.strerror}") from error
    actual = hashlib.sha256(data).hexdigest()
    # Before it is unpickled: a pickle that somebody changed can run any code. And the bytes that were checked, not
    # the file once more: it could be another one by then.
    if actual != SHA256:
        raise DataError(
            f"watch data in {file}: expected SHA-256 {SHA256}, got {actual}; reinstall seglearn 1.2.5 (make distclean)"
        )
    raw: dict[str, Any] = np.load(io.BytesIO(data), allow_pickle=True).item()
    return tuple(
        Recording(int(subject), int(label), np.ascontiguousarray(samples[::2], dtype=np.float32))
        for samples, label, subject in zip(raw["X"], raw["y"], raw["subject"], strict=True)
    )


def windows(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut a recording (time × channel) into windows (window × channel × time)."""
    starts = range(0, len(samples) - WINDOW + 1, STEP)
    if not starts:
        return np.empty((0, CHANNELS, WINDOW), np.float32)
    return np.stack([samples[start : start + WINDOW].T for start in starts])


def partition(split: str, devices: int, file: Path | None = None) -> tuple[Partition, ...]:
    """Spread the recordings over devices; see `Dataset.load` and `DATASET.splits`."""
    recorded = recordings(file or data_file())
    if split == "temporal":
        return tuple(_temporal(recorded, subject) for subject in range(1, devices + 1))
    kind, _, left_out = split.partition(":")
    if kind == "loso" and left_out.isdecimal() and 1 <= int(left_out) <= SUBJECTS:
        return _leave_one_out(recorded, int(left_out), devices)
    raise DataError(
        f"unknown split {split!r} of the watch data: expected temporal, or loso:K with K from 1 to {SUBJECTS}"
    )


def _temporal(recorded: tuple[Recording, ...], subject: int) -> Partition:
    train, test = [], []
    for recording in recorded:
        if recording.subject == subject:
            border = int(len(recording.samples) * (1 - TEST_SHARE))
            # Cut first, then window: no window straddles the border.
            train.append((windows(recording.samples[:border]), recording.label))
            test.append((windows(recording.samples[border:]), recording.label))
    return Partition(f"subject {subject}", *_stack(train), *_stack(test))


def _leave_one_out(recorded: tuple[Recording, ...], left_out: int, devices: int) -> tuple[Partition, ...]:
    others = [subject for subject in range(1, SUBJECTS + 1) if subject != left_out]
    if devices > len(others):
        raise DataError(
            f"split loso:{left_out} leaves {len(others)} subjects to train: expected that many devices, got {devices}"
        )
    test_x, test_y = _stack([(windows(r.samples), r.label) for r in recorded if r.subject == left_out])
    parts = []
    for index, subject in enumerate(others[:devices]):
        train = _stack([(windows(r.samples), r.label) for r in recorded if r.subject == subject])
        # The devices share the work of testing on the subject that none of them has seen.
        parts.append(Partition(f"subject {subject}", *train, test_x[index::devices], test_y[index::devices]))
    return tuple(parts)


def _stack(parts: list[tuple[NDArray[np.float32], int]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    x = np.concatenate([windows_ for windows_, _ in parts])
    y = np.concatenate([np.full(len(windows_), label, np.int64) for windows_, label in parts])
    return x, y


def network() -> nn.Module:
    """Return the untrained 1D-CNN: three convolutions with GroupNorm, 24,423 parameters.

    GroupNorm, not BatchNorm: running statistics of devices with different data must not be averaged (Hsieh et al.,
    The non-IID data quagmire of decentralized machine learning, 2020).
    """
    return nn.Sequential(
        nn.Conv1d(CHANNELS, 32, 5, padding=2),
        nn.GroupNorm(4, 32),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(32, 64, 5, padding=2),
        nn.GroupNorm(8, 64),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(64, 64, 3, padding=1),
        nn.GroupNorm(8, 64),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(64, CLASSES),
    )


DATASET = Dataset(
    name="watch",
    description="smartwatch recordings of shoulder exercises, one subject per device (seglearn)",
    splits={
        "temporal": "each device trains on the first 80 % of every recording and tests on the rest",
        "loso:K": "leave one subject out: nobody trains on subject K, all test on it",
    },
    devices=SUBJECTS,
    task=Task(build=network, epochs=5, batch=32, learning_rate=0.02, momentum=0.9),
    partition=partition,
)
