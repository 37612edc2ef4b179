"""The watch data for more devices than there are subjects: each subject's windows dealt out to several devices."""

from __future__ import annotations

from functools import partial

from fl.datasets import Dataset, Partition
from fl.datasets.watch import DATASET as WATCH


def _partition(shares: int, split: str, devices: int) -> tuple[Partition, ...]:
    subjects = WATCH.partition("temporal", WATCH.devices)
    parts = []
    for index in range(devices):
        share, subject = divmod(index, WATCH.devices)
        whole = subjects[subject]
        parts.append(
            Partition(
                f"{whole.name}, share {share}",
                whole.train_x[share::shares],
                whole.train_y[share::shares],
                whole.test_x[share::shares],
                whole.test_y[share::shares],
            )
        )
    return tuple(parts)


def _dataset(shares: int) -> Dataset:
    return Dataset(
        name=f"watch-shares-{shares}",
        description=f"the watch data, each subject's windows dealt out to {shares} devices",
        splits={"temporal": WATCH.splits["temporal"]},
        devices=WATCH.devices * shares,
        task=WATCH.task,
        partition=partial(_partition, shares),
    )


HUNDRED = _dataset(10)
