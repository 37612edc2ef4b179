"""The grid on Ray, as far as it goes without Ray; and what of Flower and Ray it stands on."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable

import flwr
import pytest
import ray
from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.common.constant import ErrorCode
from flwr.simulation.ray_transport.ray_actor import BasicActorPool, VirtualClientEngineActor
from ray._private import ray_constants, services

from fl._flower_ray import _loopback
from fl.client_app import app
from fl.engines import LocalEngine
from fl.errors import EngineError
from fl.ray_grid import RayEngine, RayGrid

pytestmark = pytest.mark.unit

FLOWER, RAY = "1.41.0", "2.55.1"
"""Whose private parts `fl._flower_ray` was written for."""

NODES = {3: {"name": "three"}, 2: {"name": "two"}}


def parameters(function: Callable[..., object]) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_flower_and_ray_are_the_versions_that_this_was_written_for() -> None:
    assert (flwr.__version__, ray.__version__) == (FLOWER, RAY), (
        f"fl/_flower_ray.py uses private parts of Flower {FLOWER} and Ray {RAY}, here are {flwr.__version__} and "
        f"{ray.__version__}: read the tests of fl/ray_grid.py, try them, then raise FLOWER and RAY here and the "
        "versions in requirements/"
    )


def test_the_private_parts_are_called_as_is_relied_on() -> None:
    # Ray adds one that it fills itself.
    assert parameters(VirtualClientEngineActor.run)[:5] == ["self", "client_app_fn", "message", "cid", "context"]
    assert parameters(BasicActorPool) == ["actor_type", "client_resources", "actor_kwargs"]
    assert parameters(BasicActorPool.submit) == ["self", "actor_fn", "job"]


def test_ray_takes_the_loopback_address_only_while_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "get_localhost_ip", lambda: "127.0.0.1")  # its own looks the name up
    before = ray_constants.ENABLE_RAY_CLUSTER
    with _loopback():
        assert services.get_node_ip_address() == "127.0.0.1"
    assert ray_constants.ENABLE_RAY_CLUSTER is before


def test_ray_is_imported_when_it_starts_and_not_before() -> None:
    program = "import sys, fl.ray_grid; fl.ray_grid.RayEngine(1); sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_ray_that_is_not_there_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "fl._flower_ray")
    with pytest.raises(EngineError, match=r"expected Ray, got .*setup\.py installs it.*--engine workers"):
        RayEngine(1).start()


def test_a_ray_that_does_not_start_is_an_error_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(count: int) -> None:
        raise OSError("no space left on device\nand a long story")

    monkeypatch.setattr("fl._flower_ray.Actors", refuse)
    with pytest.raises(EngineError, match=r"Ray did not start: no space left on device; --engine workers"):
        RayEngine(1).start()


@pytest.mark.parametrize("workers", [0, -1])
def test_there_is_a_worker_at_least(workers: int) -> None:
    with pytest.raises(EngineError, match=f"expected at least 1 worker, got {workers}"):
        RayGrid(app, NODES, workers=workers)


def test_the_record_says_of_ray_what_it_says_of_the_loop() -> None:
    """What an engine says of itself is what bits depend on, and Ray changes none."""
    assert RayEngine(2).facts == LocalEngine().facts


def test_what_needs_no_node_needs_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(engine: RayEngine) -> None:
        pytest.fail("Ray was started")

    monkeypatch.setattr(RayEngine, "start", refuse)
    with RayGrid(app, NODES, workers=2, run_id=9) as grid:
        assert grid.get_node_ids() == [2, 3]
        assert grid.run.run_id == 9
        assert grid.send_and_receive([]) == []
        message = grid.create_message(RecordDict({"config": ConfigRecord()}), MessageType.TRAIN, 4, "group")
        assert isinstance(message, Message)
        (reply,) = grid.send_and_receive([message])
        assert reply.error.code == ErrorCode.NODE_UNAVAILABLE


def test_a_grid_that_never_began_can_be_closed_twice() -> None:
    grid = RayGrid(app, NODES, workers=1)
    grid.close()
    grid.close()
