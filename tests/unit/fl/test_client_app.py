"""The device: what it signs is what it sends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from fl.arrays import fork, from_record, to_record
from fl.client_app import RoundConfig, app
from fl.errors import DataError
from fl.grid import InProcessGrid
from fl.keys import read_key
from tests.unit.fl import tiny
from tests.unit.fl.world import DOMAIN, SEED, TWIN, account, device, digest_of, genesis, key_files
from tests.unit.twins.strategies import addresses, digests, models, twin_ids
from twins.contribution import Contribution, SigningDomain
from twins.model import TwinModel
from twins.types import sha256_digest
from twins.updates import DeviceUpdate

pytestmark = pytest.mark.unit

CONFIG = RoundConfig(4, SEED, TWIN, account("station"), digest_of(genesis()), DOMAIN)


@pytest.fixture
def grid(tmp_path: Path) -> InProcessGrid:
    files = key_files(tmp_path, 3)
    node = {"dataset": tiny.NAME, "split": "plain", "num-partitions": 3}
    return InProcessGrid(
        app, {2 + i: {**node, "partition-id": i, "key-file": str(file)} for i, file in enumerate(files)}
    )


def ask(
    grid: InProcessGrid, kind: str = MessageType.TRAIN, config: RoundConfig = CONFIG, base: TwinModel | None = None
) -> list[Message]:
    content = RecordDict({"arrays": to_record(base or genesis()), "config": config.to_record()})
    return grid.send_and_receive([Message(content, node, kind) for node in grid.get_node_ids()])


def contribution_of(reply: Message, config: RoundConfig = CONFIG) -> tuple[Contribution, bytes]:
    metrics = dict(reply.content.metric_records["metrics"])
    examples = metrics.pop("num-examples")
    payload = DeviceUpdate.encode_payload(from_record(reply.content.array_records["arrays"]), metrics)  # type: ignore[arg-type]
    statement = Contribution(
        config.twin,
        config.round,
        config.station,
        config.base,
        sha256_digest(payload),
        int(examples),  # type: ignore[arg-type]
    )
    return statement, bytes(reply.content.config_records["contribution"]["signature"])  # type: ignore[arg-type]


def test_the_signature_over_what_was_sent_recovers_to_the_device(grid: InProcessGrid) -> None:
    for index, reply in enumerate(ask(grid)):
        statement, signature = contribution_of(reply)
        assert statement.signer(DOMAIN, signature) == device(index)
        stated = reply.content.config_records["contribution"]
        assert (stated["device"], stated["round"], stated["base"]) == (device(index), CONFIG.round, CONFIG.base)
        assert stated["digest"] == statement.digest
        assert statement.examples == len(tiny.partition("plain", 3)[index].train_y)


def test_the_signature_is_for_this_round_station_base_and_chain_only(grid: InProcessGrid) -> None:
    (reply, *_) = ask(grid)
    statement, signature = contribution_of(reply)
    others = [
        replace(statement, round=5),
        replace(statement, station=account("other station")),
        replace(statement, base=digest_of(genesis(99))),
        replace(statement, twin=digest_of(genesis(98))),
        replace(statement, examples=statement.examples + 1),
    ]
    for other in others:
        assert other.signer(DOMAIN, signature) != device(0)
    for domain in (SigningDomain(1, DOMAIN.contract), SigningDomain(DOMAIN.chain_id, account("contract"))):
        assert statement.signer(domain, signature) != device(0)


def test_devices_answer_alike_twice(grid: InProcessGrid, tmp_path: Path) -> None:
    first, second = ([contribution_of(reply) for reply in ask(grid)] for _ in range(2))
    assert first == second
    # Whatever was trained in between.
    ask(grid, base=genesis(99))
    assert [contribution_of(reply) for reply in ask(grid)] == first


def test_another_round_is_trained_in_another_order(grid: InProcessGrid) -> None:
    later = replace(CONFIG, round=5)
    one, other = contribution_of(ask(grid)[0])[0], contribution_of(ask(grid, config=later)[0], later)[0]
    assert one.digest != other.digest


def test_devices_change_nothing_in_what_they_share(grid: InProcessGrid) -> None:
    base, config = to_record(genesis()), CONFIG.to_record()
    content = RecordDict({"arrays": base, "config": config})
    grid.send_and_receive([Message(content, node, MessageType.TRAIN) for node in grid.get_node_ids()])
    assert from_record(base) == genesis()
    assert dict(config) == dict(CONFIG.to_record())
    assert set(content) == {"arrays", "config"}


def test_the_private_key_is_in_no_reply(grid: InProcessGrid, tmp_path: Path) -> None:
    keys = [read_key(file) for file in sorted(tmp_path.glob("*.key"))]
    assert len(keys) == 3
    for reply in [*ask(grid), *ask(grid, MessageType.EVALUATE)]:
        said = repr(reply.content).encode() + b"".join(
            array.data for record in reply.content.array_records.values() for array in record.values()
        )
        for secret in keys:
            assert secret not in said
            assert secret.hex().encode() not in said


def test_evaluation_counts_the_devices_own_test_data(grid: InProcessGrid) -> None:
    for reply in ask(grid, MessageType.EVALUATE):
        metrics = reply.content.metric_records["metrics"]
        assert metrics["num-examples"] == 5
        assert 0 <= int(metrics["correct"]) <= 5  # type: ignore[arg-type]
        assert "arrays" not in reply.content


def test_a_device_that_gets_another_networks_weights_says_so(grid: InProcessGrid) -> None:
    replies = ask(grid, base=TwinModel({"w": np.zeros(3, np.float32)}))
    assert all(reply.has_error() and "SchemaError" in str(reply.error.reason) for reply in replies)


@pytest.mark.parametrize("text", ["", "zz", "ab" * 31, "ab" * 33, "secret-" * 8])
def test_a_bad_key_file_is_named_and_its_content_is_not(text: str, tmp_path: Path) -> None:
    file = tmp_path / "device.key"
    file.write_text(text)
    with pytest.raises(DataError, match="expected 64 hex digits") as caught:
        read_key(file)
    assert str(file) in str(caught.value)
    assert not text or text not in str(caught.value)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the device key .*gone"):
        read_key(tmp_path / "gone")


@given(
    st.builds(
        RoundConfig,
        round=st.integers(0, 2**53),
        seed=st.integers(0, 2**31),
        twin=twin_ids,
        station=addresses,
        base=digests,
        domain=st.builds(SigningDomain, chain_id=st.integers(1, 2**53), contract=addresses),
    )
)
def test_what_a_station_tells_arrives_as_it_was(config: RoundConfig) -> None:
    assert RoundConfig.from_record(config.to_record()) == config


@given(models)
def test_weights_survive_flowers_records_bit_for_bit(model: TwinModel) -> None:
    assert from_record(to_record(model)) == model
    assert from_record(fork(RecordDict({"a": to_record(model)})).array_records["a"]) == model


def test_a_fork_shares_no_list() -> None:
    content = RecordDict({"config": ConfigRecord({"layers": [1, 2]})})
    fork(content).config_records["config"]["layers"].append(3)  # type: ignore[union-attr]
    assert content.config_records["config"]["layers"] == [1, 2]
