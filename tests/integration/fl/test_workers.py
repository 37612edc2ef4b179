"""Worker processes: the bits of one process, and nothing left of them whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.clientapp import ClientApp

from fl.arrays import to_record
from fl.client_app import app
from fl.engines import LocalEngine
from fl.errors import EngineError
from fl.grid import InProcessGrid
from fl.strategies import StrategySpec
from fl.workers import WorkerEngine
from tests.unit.fl import private
from tests.unit.fl.world import Memory, digest_of, genesis, trainers
from twins.updates import StationUpdate

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def workers() -> Iterator[WorkerEngine]:
    engine = WorkerEngine(2)
    yield engine
    engine.close()


def learn(folder: Path, engine: LocalEngine | WorkerEngine, spec: StrategySpec | None = None) -> StationUpdate:
    trainer = trainers(folder, stations=1, devices=7, spec=spec, engine=engine, receipts=folder / "receipts")[0]
    return trainer.learn(genesis(), digest_of(genesis()), 1, Memory())


def processes(engine: WorkerEngine) -> list[int]:
    assert engine._pool is not None
    return list(engine._pool._processes)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc").is_dir() else True


def wait_until(so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not so():
        assert time.monotonic() < deadline, f"expected {what}"
        time.sleep(0.1)


def wait_until_gone(pids: list[int]) -> None:
    wait_until(lambda: not any(map(alive, pids)), f"none of the workers {pids} to be left")


@pytest.mark.parametrize("spec", [StrategySpec(), StrategySpec("FedAvg", privacy=private.CLIENT)], ids=["plain", "dp"])
def test_a_stations_update_is_the_loops_bit_for_bit(tmp_path: Path, workers: WorkerEngine, spec: StrategySpec) -> None:
    looped, spread = learn(tmp_path, LocalEngine(), spec), learn(tmp_path, workers, spec)
    assert [one.payload for one in spread.updates] == [one.payload for one in looped.updates]
    assert [one.signature for one in spread.updates] == [one.signature for one in looped.updates]
    assert spread.model == looped.model
    assert spread.engine == looped.engine, "or a run with another number of workers would have another head"


def test_cohorts_in_workers_are_cohorts_of_their_size(tmp_path: Path) -> None:
    engine = WorkerEngine(2, LocalEngine(4))
    try:
        first, second = learn(tmp_path, engine), learn(tmp_path, engine)
    finally:
        engine.close()
    assert first.model == second.model
    assert first.engine["cohort"] == 4


def test_a_model_is_tested_alike(tmp_path: Path, workers: WorkerEngine) -> None:
    one, other = (
        trainers(tmp_path, stations=1, devices=7, engine=engine)[0].evaluate(genesis())
        for engine in (LocalEngine(), workers)
    )
    assert one == other


def grid_of(engine: WorkerEngine, told: list[int], the_app: ClientApp = app) -> tuple[InProcessGrid, list[Message]]:
    def config(index: int) -> dict[str, str | int | float | bool]:
        return {"dataset": "no such", "split": "plain", "partition-id": index, "num-partitions": 7, "key-file": "none"}

    grid = InProcessGrid(the_app, {2: config(0), 3: config(1)}, progress=told.append, engine=engine)
    content = RecordDict({"arrays": to_record(genesis()), "config": ConfigRecord({})})
    return grid, [Message(content, node, MessageType.EVALUATE) for node in grid.get_node_ids()]


def test_what_a_device_raises_is_its_reply(workers: WorkerEngine) -> None:
    told: list[int] = []
    grid, requests = grid_of(workers, told)
    replies = grid.send_and_receive(requests)
    assert [reply.metadata.src_node_id for reply in replies] == [2, 3]
    assert all(reply.has_error() and "no such" in str(reply.error.reason) for reply in replies)
    assert told == []


def test_another_app_than_the_workers_is_refused(workers: WorkerEngine) -> None:
    grid, requests = grid_of(workers, [], ClientApp())
    with pytest.raises(EngineError, match=r"fl\.client_app:app"):
        grid.send_and_receive(requests)


def test_devices_that_have_replied_are_told(tmp_path: Path, workers: WorkerEngine) -> None:
    told: list[int] = []
    trainer = trainers(tmp_path, stations=1, devices=7, engine=workers)[0]
    trainer._grid._progress = told.append
    trainer.evaluate(genesis())
    assert sorted(told) == list(range(2, 9))


def test_a_worker_that_is_killed_is_said_and_the_next_round_has_new_ones(tmp_path: Path) -> None:
    engine = WorkerEngine(2)
    try:
        expected = learn(tmp_path, engine)
        killed = processes(engine)
        os.kill(killed[0], signal.SIGKILL)
        # An idle worker's end is noticed a little later; a round that needs no other worker until then is a good one.
        wait_until(lambda: engine._pool is None or bool(engine._pool._broken), "the end of the worker to be noticed")
        with pytest.raises(EngineError, match="a worker process ended"):
            learn(tmp_path, engine)
        wait_until_gone(killed)
        assert learn(tmp_path, engine).model == expected.model
    finally:
        left = processes(engine)
        engine.close()
    wait_until_gone(left)
    engine.close()  # twice does no harm
    with pytest.raises(EngineError, match="after they were closed"):
        engine.start()
    assert engine._pool is None


PARENT = """
import sys, time
from fl.workers import WorkerEngine
if __name__ == "__main__":
    engine = WorkerEngine(2)
    engine.start()
    while len(engine._pool._processes) < 2:
        time.sleep(0.05)
    print(*engine._pool._processes, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda end: end.name)
def test_workers_never_outlive_the_process_that_started_them(tmp_path: Path, end: signal.Signals) -> None:
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    parent = subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    )
    try:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        time.sleep(0.5)  # one that is killed while it starts is a case, too
        parent.send_signal(end)
        parent.wait(timeout=90)  # it waits for what they have begun: to import, perhaps
    finally:
        parent.kill()
        parent.wait()
        if parent.stdout is not None:
            parent.stdout.close()
    wait_until_gone(pids)
