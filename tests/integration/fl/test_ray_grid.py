"""Flower's simulation on a real Ray: the bits of the in-process grid, and nothing left of it afterwards."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode

from fl.arrays import from_record, to_record
from fl.client_app import RoundConfig
from fl.client_app import app as device_app
from fl.datasets import get
from fl.engines import Engine, LocalEngine
from fl.errors import EngineError
from fl.grid import InProcessGrid
from fl.ray_grid import RayEngine, RayGrid
from fl.station_trainer import Membership, StationTrainer
from fl.strategies import StrategySpec
from fl.training import initial_model, pin
from tests.unit.fl import tiny
from tests.unit.fl.world import DOMAIN, OPEN, SEED, TWIN, Memory, account, digest_of, genesis, key_files
from twins.updates import StationUpdate

# Ray leaves files open and processes unasked how they ended, and Python complains when it comes upon them.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::ResourceWarning")]

MLP, DEVICES = "benchmarks.mlp:DATASET", 4
NODES: dict[int, dict[str, str | int | float | bool]] = {5: {"name": "five"}, 2: {"name": "two"}, 3: {"name": "three"}}
PATIENCE = 10.0  # seconds


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """One for all tests: Ray takes many seconds to start."""
    engine = RayEngine(2)
    yield engine
    engine.close()
    gc.collect()  # now: in another file's tests it would be an error


def odd(message: Message, context: Context) -> Message:
    """Do what the message says, and tell where."""
    pin()
    told = str(message.content.config_records["config"]["do"])
    if told == "raise":
        raise ValueError("the disk is full")
    if told == "die":
        os._exit(3)
    calls = context.state.setdefault("calls", MetricRecord({"n": 0}))
    calls["n"] += 1
    facts = {"node": context.node_id, "calls": calls["n"], "nice": os.nice(0), "threads": torch.get_num_threads()}
    return Message(RecordDict({"metrics": MetricRecord(facts)}), reply_to=message)


odd_app = ClientApp()
odd_app.train()(odd)


def tell(grid: InProcessGrid, **told: str) -> list[Message]:
    """Send the nodes named words: ``n3="raise"``."""
    grid.get_node_ids()
    return grid.send_and_receive(
        Message(RecordDict({"config": ConfigRecord({"do": word})}), int(node[1:]), MessageType.TRAIN)
        for node, word in told.items()
    )


def metric(replies: list[Message], name: str) -> list[object]:
    return [reply.content.metric_records["metrics"][name] for reply in replies]


@dataclass
class Watched:
    """What there is of Ray below a process.

    Attributes:
        processes: of Ray.
        folder: of its files.
    """

    processes: list[psutil.Process]
    folder: Path

    @classmethod
    def below(cls, process: psutil.Process) -> Watched:
        children = {child: found for child in process.children() for found in folders_of(child)}
        found = [one for child in children for one in (child, *child.children(recursive=True))]
        return cls(found, next(iter(children.values()), Path("none")))

    def require_gone(self) -> None:
        assert self.processes
        assert psutil.wait_procs(self.processes, timeout=PATIENCE)[1] == []
        assert not self.folder.exists()


def folders_of(process: psutil.Process) -> list[Path]:
    """Ray's folder, if the process names it: ``/.../ray-XXXXXXXX/session_...``."""
    try:
        words = [word.partition("=")[2] for word in process.cmdline()]
    except psutil.Error:  # it has ended by now
        return []
    return [Path(word.split("/session_")[0]) for word in words if "/ray-" in word and "/session_" in word][:1]


def test_devices_reply_the_bits_of_the_in_process_grid(engine: RayEngine, tmp_path: Path) -> None:
    files = key_files(tmp_path, DEVICES)
    base = initial_model(get(MLP).task, SEED)
    config = RoundConfig(1, SEED, TWIN, account("station 0"), digest_of(base), DOMAIN)
    nodes = {
        2 + i: {"dataset": MLP, "split": "iid", "partition-id": i, "num-partitions": DEVICES, "key-file": str(file)}
        for i, file in enumerate(files)
    }

    def replies(engine: Engine) -> list[tuple[object, ...]]:
        grid = InProcessGrid(device_app, nodes, engine=engine)
        content = RecordDict({"arrays": to_record(base), "config": config.to_record()})
        found: list[tuple[object, ...]] = []
        for reply in grid.send_and_receive([Message(content, i, MessageType.TRAIN) for i in grid.get_node_ids()]):
            records = reply.content
            model = from_record(records.array_records["arrays"])
            metrics, contribution = records.metric_records["metrics"], records.config_records["contribution"]
            found.append((reply.metadata.src_node_id, model.to_bytes(), dict(metrics), dict(contribution)))
        tests = [Message(RecordDict({"arrays": to_record(base)}), i, MessageType.EVALUATE) for i in nodes]
        return found + [tuple(test.content.metric_records["metrics"].items()) for test in grid.send_and_receive(tests)]

    assert replies(engine) == replies(LocalEngine())


def test_a_stations_update_is_the_same_bit_for_bit(engine: RayEngine, tmp_path: Path) -> None:
    files = key_files(tmp_path, DEVICES)

    def updates(engine: Engine) -> list[StationUpdate]:
        trainer = StationTrainer(
            station=account("station 0"),
            twin=TWIN,
            domain=DOMAIN,
            dataset=tiny.DATASET,
            dataset_name=tiny.NAME,
            split="plain",
            devices=DEVICES,
            members=Membership(tuple(range(DEVICES)), files),
            spec=StrategySpec(),
            seed=SEED,
            policy=OPEN,
            engine=engine,
        )
        first = trainer.learn(genesis(), digest_of(genesis()), 1, Memory())
        return [first, trainer.learn(first.model, digest_of(first.model), 2, Memory())]

    assert updates(engine) == updates(LocalEngine())


def test_an_actor_has_one_thread_of_torch_and_the_priority_of_this_process(engine: RayEngine) -> None:
    replies = tell(InProcessGrid(odd_app, NODES, engine=engine), n5="work", n2="work", n3="work")
    assert metric(replies, "node") == [2, 3, 5]
    assert metric(replies, "threads") == [1, 1, 1]
    assert metric(replies, "nice") == [os.nice(0)] * 3


def test_a_device_that_raises_is_the_error_reply_of_the_in_process_grid(engine: RayEngine) -> None:
    told: list[int] = []
    grids = [InProcessGrid(odd_app, NODES, engine=engine, progress=told.append), InProcessGrid(odd_app, NODES)]
    (good, bad), expected = [tell(grid, n3="raise", n2="work") for grid in grids]
    assert bad.error.code == expected[1].error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    assert bad.error.reason == expected[1].error.reason == "ValueError: the disk is full"
    assert bad.metadata.src_node_id == 3
    assert not good.has_error()
    assert told == [2]


def test_a_nodes_state_stays_from_message_to_message_even_within_one_push(engine: RayEngine) -> None:
    grid = InProcessGrid(odd_app, NODES, engine=engine)
    grid.get_node_ids()
    content = RecordDict({"config": ConfigRecord({"do": "work"})})
    replies = grid.send_and_receive([Message(content, node, MessageType.TRAIN) for node in (2, 2, 2, 3)])
    assert metric(replies, "calls") == [1, 2, 3, 1]
    assert metric(tell(grid, n2="work"), "calls") == [4]


def test_ray_listens_on_loopback_alone_and_leaves_this_program_its_signals(engine: RayEngine) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    engine.start()
    assert {number: signal.getsignal(number) for number in before} == before
    this = psutil.Process()
    found = {
        connection.laddr.ip
        for process in (this, *Watched.below(this).processes)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert found
    assert found <= {"127.0.0.1", "::ffff:127.0.0.1"}


def test_a_process_has_one_ray(engine: RayEngine) -> None:
    engine.start()
    with pytest.raises(EngineError, match="a process can have one only, so share it"):
        RayEngine(1).start()
    assert metric(tell(InProcessGrid(odd_app, NODES, engine=engine), n2="work"), "node") == [2]


def test_nothing_is_left_after_the_end_but_what_came_back(engine: RayEngine) -> None:
    """Ray hands out views of its shared memory."""
    large = ClientApp()

    @large.train()
    def fill(message: Message, context: Context) -> Message:
        return Message(RecordDict({"arrays": ArrayRecord({"w": torch.ones(1_000_000)})}), reply_to=message)

    (reply,) = tell(InProcessGrid(large, NODES, engine=engine), n2="work")
    watched, threads = Watched.below(psutil.Process()), {thread.name for thread in threading.enumerate()}
    engine.close()
    watched.require_gone()
    assert {thread.name for thread in threading.enumerate()} < threads
    assert from_record(reply.content.array_records["arrays"]).tensors["w"].sum() == 1_000_000


def test_an_actor_that_dies_is_the_engines_error_and_nothing_is_left(engine: RayEngine) -> None:
    engine.close()
    seen: list[Watched] = []
    with RayGrid(odd_app, NODES, workers=2, progress=lambda node: seen.append(Watched.below(psutil.Process()))) as grid:
        with pytest.raises(EngineError, match="an actor did not answer"):
            tell(grid, n2="work", n3="work", n5="die")
        assert seen
        seen[0].require_gone()


PROGRAM = """
import time
from flwr.app import Message, MessageType, RecordDict
from flwr.clientapp import ClientApp
from fl.ray_grid import RayGrid

app = ClientApp()

@app.train()
def sleep(message, context):
    time.sleep(100)

with RayGrid(app, {2: {}, 3: {}, 4: {}}, workers=2) as grid:
    grid.get_node_ids()
    grid.send_and_receive([Message(RecordDict(), node, MessageType.TRAIN) for node in (2, 3, 4)])
"""


@pytest.mark.parametrize("moment", ["gcs_server", "ray::ClientAppActor.run"])
def test_ctrl_c_leaves_nothing_while_ray_starts_and_while_devices_train(moment: str) -> None:
    program = subprocess.Popen([sys.executable, "-c", PROGRAM], stderr=subprocess.PIPE, start_new_session=True)
    try:
        watched = until_named(psutil.Process(program.pid), moment)
        os.killpg(program.pid, signal.SIGINT)  # as a terminal does
        complaints = program.communicate(timeout=6 * PATIENCE)[1]
    finally:
        program.kill()
    assert b"KeyboardInterrupt" in complaints
    watched.require_gone()
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if str(watched.folder) in line]


def until_named(process: psutil.Process, name: str) -> Watched:
    """Wait until Ray has a process of that name; return what there is."""
    until = time.monotonic() + 12 * PATIENCE
    while time.monotonic() < until and process.is_running():
        try:
            found = Watched.below(process)
            if any(name in " ".join(one.cmdline()) for one in found.processes):
                return found
        except psutil.Error:  # one has just ended
            pass
        time.sleep(0.05)
    raise AssertionError(f"expected a process {name}")
