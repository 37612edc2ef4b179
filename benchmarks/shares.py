"""The watch data for more devices than there are subjects: each subject's windows dealt out to several devices."""

from __future__ import annotations

from fl.datasets import Dataset, Partition
from fl.datasets.watch import DATASET as WATCH

SHARES = 7  # per subject: 70 devices


def _partition(split: str, devices: int) -> tuple[Partition, ...]:
    subjects = WATCH.partition("temporal", WATCH.devices)
    parts = []
    for index in range(devices):
        share, subject = divmod(index, WATCH.devices)
        whole = subjects[subject]
        parts.append(
            Partition(
                f"{whole.name}, share {share}",
                whole.train_x[share::SHARES],
                whole.train_y[share::SHARES],
                whole.test_x[share::SHARES],
                whole.test_y[share::SHARES],
            )
        )
    return tuple(parts)


DATASET = Dataset(
    name="watch-shares",
    description=f"the watch data, each subject's windows dealt out to {SHARES} devices",
    splits={"temporal": WATCH.splits["temporal"]},
    devices=WATCH.devices * SHARES,
    task=WATCH.task,
    partition=_partition,
)
