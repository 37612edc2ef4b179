"""Receipts: a device gets its station's signature once its contribution is recorded, and keeps what proves it."""

from __future__ import annotations

import json
import logging
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context, Message, MessageType

from fl.receipts import Acknowledge, SignedReceipt, keep_receipt
from fl.strategies import StrategySpec
from tests.unit.fl.hostile import BAD
from tests.unit.fl.liar import fail
from tests.unit.fl.world import (
    DOMAIN,
    TWIN,
    Hostile,
    Memory,
    account,
    acknowledge,
    device,
    digest_of,
    genesis,
    key,
    recorded,
    trainers,
)
from twins.contribution import Contribution, Receipt, SigningDomain
from twins.types import Address, Digest, TwinId, sha256_digest
from twins.updates import Entry, StationUpdate

pytestmark = pytest.mark.unit

STATION = "station 0"


class Run:
    """One station of three devices that keep their receipts."""

    def __init__(self, folder: Path, **more: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder / "receipts"
        (self.trainer,) = trainers(folder, stations=1, devices=3, receipts=self.folder, **more)
        self.memory = Memory()

    def learn(self, number: int) -> StationUpdate:
        return self.trainer.learn(genesis(), digest_of(genesis()), number, self.memory)

    def record(self, number: int) -> StationUpdate:
        update = self.learn(number)
        self.memory.recorded.append(recorded(number, genesis(), update))
        return update

    def kept(self, who: Address) -> dict[int, dict[str, Any]]:
        """The device's receipts by round."""
        file = self.folder / f"{who}.jsonl"
        bodies = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return {body["round"]: body for body in bodies}


def noting(asked: list[tuple[TwinId, int, Digest]]) -> Callable[[int], Acknowledge]:
    """Sign as every station does, and take down what for."""

    def acknowledging(station: int) -> Acknowledge:
        def sign(twin: TwinId, number: int, entry: Entry) -> bytes:
            asked.append((twin, number, entry.leaf_digest))
            return acknowledge(station)(twin, number, entry)

        return sign

    return acknowledging


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_device_keeps_what_proves_that_its_station_has_counted_it(run: Run) -> None:
    first = run.record(1)
    run.learn(2)
    for update in first.updates:
        (body,) = run.kept(update.device).values()
        statement = Receipt(TWIN, 1, update.entry.leaf_digest)
        assert statement.signer(DOMAIN, bytes.fromhex(body["receipt"][2:])) == first.station
        assert (body["twin"], body["round"], body["station"]) == (TWIN, 1, first.station)
        assert body["leaf"] == update.entry.leaf_digest
        contribution = Contribution(TWIN, 1, body["station"], body["base"], body["digest"], body["examples"])
        assert contribution.signer(DOMAIN, bytes.fromhex(body["signature"][2:])) == body["device"] == update.device
        assert SigningDomain(body["chain_id"], body["contract"]) == DOMAIN


def test_every_recorded_round_has_its_receipt_and_the_newest_comes_with_the_next_message(run: Run) -> None:
    for number in (1, 2, 3):
        run.record(number)
    assert all(set(run.kept(who)) == {1, 2} for who in run.trainer.roster)
    run.learn(4)
    assert all(set(run.kept(who)) == {1, 2, 3} for who in run.trainer.roster)


def test_no_receipt_is_given_before_the_round_is_recorded(run: Run) -> None:
    """The station may have to train again, and a device may fail then: its receipt would convict an honest station."""
    run.learn(1)
    run.learn(1)
    assert not run.folder.exists()
    again = run.record(1)
    run.learn(2)
    assert {who: body[1]["leaf"] for who in run.trainer.roster if (body := run.kept(who))} == {
        update.device: update.entry.leaf_digest for update in again.updates
    }


def test_a_late_training_is_acknowledged_when_it_counts_after_all(run: Run) -> None:
    late = run.learn(1)
    run.learn(2)
    run.learn(3)
    assert not run.folder.exists()
    run.memory.recorded.append(recorded(1, genesis(), late))
    run.learn(4)
    assert all(set(run.kept(who)) == {1} for who in run.trainer.roster)


def test_a_station_that_is_always_late_doesnt_keep_receipts_for_ever(run: Run) -> None:
    updates = [run.learn(number) for number in range(1, 11)]
    run.memory.recorded.extend(recorded(update.round, genesis(), update) for update in updates[:3])
    run.learn(11)
    assert all(set(run.kept(who)) == {3} for who in run.trainer.roster)  # of the last eight rounds


def test_a_device_that_was_away_gets_its_receipt_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = Hostile(BAD)
    away = False

    def app(message: Message, context: Context) -> Message:
        if away and context.node_id == hostile.node:
            raise OSError("out of reach")
        return hostile(message, context)

    monkeypatch.setattr("fl.station_trainer.app", app)
    run = Run(tmp_path)
    run.record(1)
    away = True
    assert [rejection.device for rejection in run.record(2).rejections] == [device(BAD)]
    assert run.kept(device(BAD)) == {}
    away = False
    run.record(3)
    run.learn(4)
    assert set(run.kept(device(BAD))) == {1, 3}  # of round 2 it has none: it wasn't counted


def test_a_refused_device_gets_no_receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = Hostile(BAD)
    hostile.tamper = fail
    monkeypatch.setattr("fl.station_trainer.app", hostile)
    run = Run(tmp_path, acknowledging=noting(asked := []))
    used = run.record(1).updates
    run.learn(2)
    assert sorted(asked) == sorted((TWIN, 1, update.entry.leaf_digest) for update in used)
    assert len(used) == 2


def test_a_station_that_gives_no_receipts_trains_as_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    silent, usual = Run(tmp_path / "a", acknowledging=lambda station: None), Run(tmp_path / "b")
    for number in (1, 2):
        assert silent.record(number).model == usual.record(number).model
    assert not silent.folder.exists()
    assert not caplog.records


def test_receipts_and_clipping_by_the_device_go_together(tmp_path: Path) -> None:
    """Flower's mod allows one record of configuration: the receipt is in it."""
    spec = StrategySpec.parse("FedAvg", [], "client", ["noise_multiplier=0.1", "clipping_norm=0.5"])
    run = Run(tmp_path, spec=spec)
    run.record(1)
    assert run.learn(2).rejections == ()
    assert all(set(run.kept(who)) == {1} for who in run.trainer.roster)


def receipt(who: str = "device 0", station: str = STATION, signer: str = STATION, **change: object) -> SignedReceipt:
    """A receipt for a contribution of round 3."""
    values: dict[str, Any] = {
        "twin": TWIN,
        "round": 3,
        "station": account(station),
        "base": digest_of(genesis()),
        "digest": sha256_digest(b"update"),
        "examples": 12,
        **change,
    }
    contribution = Contribution(**values)
    signature = contribution.sign(DOMAIN, key(who))
    entry = Entry(account(who), contribution.digest, contribution.examples, signature, 0)
    signed = Receipt(contribution.twin, contribution.round, entry.leaf_digest).sign(DOMAIN, key(signer))
    return SignedReceipt(contribution, signature, signed)


def keep(folder: Path, config: dict[str, Any], domain: SigningDomain = DOMAIN) -> Path | None:
    return keep_receipt(config, folder, device(0), domain)


def test_what_a_station_sends_arrives_as_it_was() -> None:
    sent = receipt()
    assert SignedReceipt.from_config(sent.to_config()) == sent
    assert SignedReceipt.from_config({}) is None


def test_good_receipts_are_lines_of_the_devices_file(tmp_path: Path) -> None:
    first, second = receipt(), receipt(round=4)
    file = keep(tmp_path / "new", first.to_config())
    assert file is not None
    assert keep(tmp_path / "new", second.to_config()) == file
    assert file.read_bytes().splitlines() == [one.to_bytes(device(0), DOMAIN) for one in (first, second)]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]


def test_of_a_receipt_for_which_the_disk_has_no_room_nothing_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = keep(tmp_path, receipt().to_config())
    assert file is not None
    before = file.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    was = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limit[1]))
    try:
        assert keep(tmp_path, receipt(round=4).to_config()) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, was)
    assert "the disk may be full" in caplog.text
    assert file.read_bytes() == before


def bad(name: str, change: Callable[[dict[str, Any]], object]) -> Any:
    return pytest.param(change, id=name)


@pytest.mark.parametrize(
    "change",
    [
        bad("a path as twin", lambda c: c.update({"receipt-twin": "../../../etc"})),
        bad("a path as station", lambda c: c.update({"receipt-station": "../../../etc"})),
        bad("a path as digest", lambda c: c.update({"receipt-digest": "../../../etc"})),
        bad("a text as round", lambda c: c.update({"receipt-round": "../3"})),
        bad("a text as examples", lambda c: c.update({"receipt-examples": "12"})),
        bad("a negative round", lambda c: c.update({"receipt-round": -3})),
        bad("a round beyond the chain's", lambda c: c.update({"receipt-round": 2**64})),
        bad("another round", lambda c: c.update({"receipt-round": 4})),
        bad("another update", lambda c: c.update({"receipt-digest": sha256_digest(b"other")})),
        bad("more examples", lambda c: c.update({"receipt-examples": 13})),
        bad("no signature of the device", lambda c: c.pop("receipt-contribution")),
        bad("a text as signature", lambda c: c.update({"receipt-signature": "0x"})),
        bad("zeros as signature", lambda c: c.update({"receipt-signature": bytes(65)})),
        bad("a short signature", lambda c: c.update({"receipt-signature": b"\x1b" * 64})),
        bad("a neighbour's receipt", lambda c: c.update(receipt("device 1").to_config())),
        bad("signed by another station", lambda c: c.update(receipt(signer="station 1").to_config())),
        bad("signed by the device itself", lambda c: c.update(receipt(signer="device 0").to_config())),
    ],
)
def test_attack_a_bad_receipt_is_not_kept_and_said(
    change: Callable[[dict[str, Any]], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config: dict[str, Any] = receipt().to_config()
    change(config)
    with caplog.at_level(logging.WARNING):
        assert keep(tmp_path / "deep" / "folder", config) is None
    assert "receipt not kept" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_attack_a_receipt_for_another_chain_is_not_kept(tmp_path: Path) -> None:
    assert keep(tmp_path, receipt().to_config(), SigningDomain(1, DOMAIN.contract)) is None


def test_a_folder_that_cannot_be_written_is_no_reason_not_to_train(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(tmp_path)
    run.folder.write_text("a file where a folder should be")
    run.record(1)
    assert run.learn(2).rejections == ()
    assert "receipt not kept" in caplog.text


def test_a_station_signs_nothing_before_it_is_to_be_given_away(tmp_path: Path) -> None:
    run = Run(tmp_path, acknowledging=noting(asked := []))
    first = run.record(1)
    assert asked == []
    run.learn(2)
    assert sorted(asked) == sorted((TWIN, 1, update.entry.leaf_digest) for update in first.updates)


def test_an_evaluation_carries_no_receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At that time the station doesn't know yet whether its last update was recorded."""
    seen: list[set[str]] = []
    inner = Hostile(BAD)

    def app(message: Message, context: Context) -> Message:
        if message.metadata.message_type == MessageType.EVALUATE:
            seen.append(set(message.content))
        return inner(message, context)

    monkeypatch.setattr("fl.station_trainer.app", app)
    run = Run(tmp_path)
    run.record(1)
    run.trainer.evaluate(genesis())
    assert seen == [{"arrays"}] * 3
