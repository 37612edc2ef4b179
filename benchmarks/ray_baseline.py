"""Flower's simulation as its users run it: ``flwr.simulation.run_simulation`` on Ray, FedAvg, nothing recorded.

It is what the speed of engines is compared with: the same data and the same training, but nothing is signed, verified,
stored or tested, and Flower's own nodes bring Flower's own messages. They train as their users do, by PyTorch's modules
and autograd, not by `fl.formulation`, which is one of the things that are compared.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

from benchmarks.apart import apart
from fl._flower_ray import LocalRay
from fl.datasets import get
from fl.devices import device_of
from fl.training import device_seed, initial_model, load_model, train

_SEED = 1

app = ClientApp()


@app.train()
def train_on_node(message: Message, context: Context) -> Message:
    """Train on the partition of the node, one thread of torch."""
    config = message.content.config_records["config"]
    device = device_of({**context.node_config, "dataset": config["dataset"], "split": config["split"]})
    device.network.load_state_dict(message.content.array_records["arrays"].to_torch_state_dict())
    seed = device_seed(_SEED, int(config["server-round"]), device.index)  # type: ignore[arg-type]
    loss = train(device.network, device.task, device.training, seed=seed, plain=True)
    metrics = MetricRecord({"num-examples": len(device.training), "train_loss": loss})
    arrays = ArrayRecord(device.network.state_dict())
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


class _Timed(FedAvg):
    """FedAvg over all nodes that remembers when each round began."""

    def __init__(self, nodes: int) -> None:
        super().__init__(fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes)
        self.began: list[float] = []

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        self.began.append(perf_counter())
        return super().configure_train(server_round, arrays, config, grid)


def updates_per_second(dataset: str, split: str, devices: int, rounds: int, actors: int) -> list[float]:
    """Measure plain Flower on Ray, in a process of its own: nothing of it is left.

    Args:
        dataset: in the registry, or ``module:attribute``.
        split: of the data set.
        devices: all of which train in every round.
        rounds: that are measured, after one to warm up.
        actors: of Ray, with one processor each.

    Returns:
        Devices' updates per second, of each round.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    job = {"dataset": dataset, "split": split, "devices": devices, "rounds": rounds, "actors": actors}
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"  # the new process reads it before anything else
    return [devices / seconds for seconds in apart(f"{train_on_node.__module__}:simulated", job)["seconds"]]


def simulated(job: dict[str, Any], folder: Path) -> dict[str, list[float]]:
    """Run one simulation; return the seconds of each round but the first."""
    strategy = _Timed(job["devices"])
    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        task = get(job["dataset"]).task
        network = task.build()
        load_model(network, initial_model(task, _SEED))
        config = ConfigRecord({"dataset": job["dataset"], "split": job["split"]})
        strategy.start(grid, ArrayRecord(network.state_dict()), num_rounds=1 + job["rounds"], train_config=config)
        strategy.began.append(perf_counter())

    ray = LocalRay(job["actors"])  # which Flower finds there and takes; left alone, it would listen on the network
    try:
        run_simulation(
            server, app, job["devices"], backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
        )
        ray.end()
    except BaseException:
        traceback.print_exc()
        ray.end()
        os._exit(1)  # else Flower's server waits for replies, and this process for it, for ever
    ends = strategy.began[1:]
    return {"seconds": [end - begin for begin, end in pairwise(ends)]}
