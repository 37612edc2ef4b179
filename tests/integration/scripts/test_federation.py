"""Stations behind SuperLinks and devices as SuperNodes: the head of one process, and only updates on the wire."""

from __future__ import annotations

import numpy as np
import pytest

from fl.datasets import get
from scripts.process_run import run_processes
from tests.integration.scripts.commands import TINY, Place
from tests.integration.scripts.federated import Federated, Tapped, Wire, gone, programs

pytestmark = pytest.mark.integration

ROUNDS = 2


def test_two_stations_reach_the_head_of_one_process_and_nothing_but_updates_leaves_a_device(
    place: Place, fresh: Place
) -> None:
    federated = Federated.of(place, stations=2, devices=2, rounds=ROUNDS)
    first = federated.stations[0]
    with Wire(first.place.certificate, federated.authority.files, first.place.door) as wire:
        first.place = Tapped.of(first.place, wire.port)
        rows = list(
            run_processes(
                federated.processes(ROUNDS),
                federated.network,
                federated.archive,
                federated.settings,
                ROUNDS,
                lambda text: None,
                federated.warnings.append,
            )
        )
    assert [row.final.number for row in rows] == [1, 2], federated.warnings
    assert [len(row.final.stations) for row in rows] == [2, 2]
    assert gone(programs(place.home), 5.0), "something was left behind"

    options = ("--stations", "2", "--rounds", str(ROUNDS), "--json", "--engine", "loop")
    together = fresh.run("rounds", *TINY[:5], "2", *TINY[6:], *options)
    assert together.code == 0, together
    assert rows[-1].final.model == together.lines()[-1]["model"] == place.head() == fresh.head()
    assert rows[-1].evaluation.accuracy == together.lines()[-1]["accuracy"]

    # This station's device sent its updates through the wire, and was sent the model.
    assert b"train_loss" in wire.sent
    assert b"server-round" in wire.answered
    for device in first.devices:
        partition = get(TINY[1]).load("all", 2)[device.index]
        for examples in (partition.train_x, partition.test_x):
            for example in examples:
                for form in (example, example.astype(np.float64), example.astype(np.float16)):
                    assert form.tobytes()[:16] not in wire.sent, f"an example of device {device.index} on the wire"
        assert partition.train_y.tobytes()[:64] not in wire.sent
        assert device.data.read_bytes()[200:264] not in wire.sent
        secret = device.key.read_text().strip()
        assert bytes.fromhex(secret) not in wire.sent
        assert secret.encode() not in wire.sent
