"""A node that drops, delays and undoes transactions: a real one, with its mining in the test's hands."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from chain.connection import Chain
from chain.errors import (
    ChainStalledError,
    ChainUnreachableError,
    InterruptedWaitError,
    TransactionTimeoutError,
    TwinRegistryAlreadyRegistered,
    UndoneError,
)
from chain.ports import free_ports
from chain.twin_registry import TwinRegistry
from tests.integration.consortium import Consortium, account, digest
from tests.integration.twisted_node import Forward, result, twisted_node
from twins.types import Address

pytestmark = pytest.mark.integration


@pytest.fixture
def manual(consortium: Consortium) -> Iterator[Consortium]:
    """The consortium on a chain that mines when the test says so, seen by a program that waits for 3 blocks."""
    consortium.chain.rpc("evm_setAutomine", (False,))
    try:
        yield seen(consortium, consortium.chain.url)
    finally:
        consortium.chain.rpc("evm_setAutomine", (True,))


def seen(consortium: Consortium, urls: Any, **options: Any) -> Consortium:
    chain = Chain(urls, **({"confirmations": 3, "timeout": 10.0} | options))
    return replace(consortium, chain=chain, registry=TwinRegistry(chain, consortium.registry.address))


def mine(chain: Chain, blocks: int = 1) -> None:
    chain.rpc("hardhat_mine", (hex(blocks),))


@contextmanager
def mining(url: str, every: float = 0.03, *, when: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Blocks at short intervals, as validators make them."""
    chain, over = Chain(url), threading.Event()

    def work() -> None:
        while not over.wait(every):
            if when():
                mine(chain)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def pending(chain: Chain, address: Address) -> dict[str, Any]:
    """The account's transaction that the node has and hasn't mined; waits for it."""
    while True:
        block = chain.rpc("eth_getBlockByNumber", ("pending", True))
        found = [item for item in block["transactions"] if item["from"] == address.lower()]
        if found:
            return dict(found[0])
        time.sleep(0.01)


def revision(consortium: Consortium, index: int = 0) -> int:
    return consortium.registry.station_of(consortium.stations[index].address).roster_revision


def in_background(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def set_roster(consortium: Consortium, count: int = 1) -> Callable[[], Any]:
    return lambda: consortium.registry.set_roster(consortium.stations[0], digest("roster"), count)


# -- lost, outgrown, replaced ---------------------------------------------------------------------------------------


def test_a_transaction_that_the_node_has_forgotten_is_sent_again(manual: Consortium) -> None:
    thread, outcome = in_background(set_roster(manual))
    lost = pending(manual.chain, manual.stations[0].address)["hash"]
    assert manual.chain.rpc("hardhat_dropTransaction", (lost,))
    with mining(manual.chain.url):
        thread.join(10)
    assert outcome[0].hash == lost
    assert revision(manual) == 1


def test_a_fee_that_the_base_fee_has_outgrown_is_raised(manual: Consortium) -> None:
    thread, outcome = in_background(set_roster(manual))
    first = pending(manual.chain, manual.stations[0].address)
    manual.chain.rpc("hardhat_setNextBlockBaseFeePerGas", (hex(int(first["maxFeePerGas"], 16) * 3),))
    with mining(manual.chain.url):
        thread.join(10)
    assert outcome[0].hash != first["hash"], "the same nonce with a higher fee"
    mined = manual.chain.rpc("eth_getTransactionByHash", (outcome[0].hash,))
    assert mined["nonce"] == first["nonce"]
    assert int(mined["maxFeePerGas"], 16) > int(first["maxFeePerGas"], 16)
    assert revision(manual) == 1


def test_a_transaction_whose_nonce_another_process_took_is_signed_anew(manual: Consortium) -> None:
    station = manual.stations[0]
    thread, outcome = in_background(set_roster(manual, 5))
    ours = pending(manual.chain, station.address)
    other = {
        "type": 2, "chainId": 31337, "nonce": int(ours["nonce"], 16), "to": station.address, "value": 0, "gas": 21_000,
        "maxFeePerGas": 10 * int(ours["maxFeePerGas"], 16),
        "maxPriorityFeePerGas": 10 * int(ours["maxPriorityFeePerGas"], 16),
    }  # fmt: skip
    raw, _ = station.sign_transaction(other)
    manual.chain.rpc("eth_sendRawTransaction", ("0x" + raw.hex(),))
    with mining(manual.chain.url):
        thread.join(10)
    assert outcome[0].status
    assert int(manual.chain.rpc("eth_getTransactionByHash", (outcome[0].hash,))["nonce"], 16) == other["nonce"] + 1
    assert revision(manual) == 1


def send_rosters(url: str, registry: Address, first: int) -> None:
    chain = Chain(url, confirmations=3)
    for count in range(first, first + 5):
        TwinRegistry(chain, registry).set_roster(account(1), digest("roster"), count)


def test_processes_may_share_an_account(manual: Consortium) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [
        spawn.Process(target=send_rosters, args=(manual.chain.url, manual.registry.address, 10 * i)) for i in (1, 2, 3)
    ]
    with mining(manual.chain.url, 0.1):
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert revision(manual) == 15, "each of 15 once"


# -- undone -----------------------------------------------------------------------------------------------------


def test_a_transaction_that_a_reorganisation_undid_is_sent_again_once(manual: Consortium) -> None:
    before = manual.chain.rpc("evm_snapshot")
    thread, outcome = in_background(set_roster(manual))
    pending(manual.chain, manual.stations[0].address)
    mine(manual.chain)
    thread.join(10)
    assert outcome[0].status
    assert manual.chain.rpc("evm_revert", (before,))
    mine(manual.chain, 2)
    assert manual.chain.rpc("eth_getTransactionReceipt", (outcome[0].hash,)) is None
    with mining(manual.chain.url):
        manual.chain.settle()
    again = manual.chain.receipt(outcome[0].hash)
    assert manual.chain.block_number() >= again.block + 3
    assert revision(manual) == 1


def test_what_was_undone_and_is_refused_now_is_said(manual: Consortium) -> None:
    before, newcomer = manual.chain.rpc("evm_snapshot"), account(20).address
    thread, outcome = in_background(lambda: manual.registry.register_station(manual.admin, newcomer))
    pending(manual.chain, manual.admin.address)
    mine(manual.chain)
    thread.join(10)
    assert outcome[0].status
    assert manual.chain.rpc("evm_revert", (before,))
    # On the other branch the administrator's nonce went to something else, sent by another process.
    rival = seen(manual, manual.chain.url)
    with mining(manual.chain.url):
        rival.registry.register_station(manual.admin, account(21).address)
        with pytest.raises(UndoneError, match=r"undid block \d+.*another transaction took its nonce; do it again"):
            manual.chain.settle()
        manual.chain.settle()  # nothing is left to answer for
        assert manual.registry.register_station(manual.admin, newcomer).status


def test_a_block_is_settled_with_three_on_top(manual: Consortium) -> None:
    newest = manual.chain.block_number()
    assert manual.chain.settled_block() == newest - 3
    assert seen(manual, manual.chain.url, confirmations=0).chain.settled_block() == newest
    assert Chain(manual.chain.url).confirmations == 0, "a development node undoes nothing"


def test_any_other_node_than_a_development_one_has_to_be_waited_for(manual: Consortium) -> None:
    def twist(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        version = request["method"] == "web3_clientVersion"
        return result(request, "Geth/v1.13.15-stable/linux-amd64") if version else forward(request)

    with twisted_node(manual.chain.url, twist) as url:
        assert Chain(url).confirmations == 3


# -- several at once --------------------------------------------------------------------------------------------


def test_several_transactions_are_sent_before_the_first_is_mined(manual: Consortium) -> None:
    newcomers = [account(index).address for index in range(20, 28)]
    with mining(manual.chain.url, 0.3):
        receipts = manual.registry.register_stations(manual.admin, newcomers)
        assert len({receipt.block for receipt in receipts}) <= 2
    assert manual.registry.stations()[3:] == tuple(newcomers), "in their order"


def test_those_before_a_refused_one_are_mined(manual: Consortium) -> None:
    newcomers = [account(20).address, manual.stations[0].address, account(21).address]
    with mining(manual.chain.url), pytest.raises(TwinRegistryAlreadyRegistered):
        manual.registry.register_stations(manual.admin, newcomers)
    assert manual.registry.stations()[3:] == (newcomers[0],)


# -- stalls -----------------------------------------------------------------------------------------------------


def test_a_chain_that_stalls_raises_the_alarm_and_its_end_is_told(manual: Consortium) -> None:
    said: list[str] = []
    patient = seen(manual, manual.chain.url, patience=30.0, stall_after=0.3, notice=said.append)
    thread, outcome = in_background(set_roster(patient))
    while not said:
        assert thread.is_alive()
        time.sleep(0.02)
    assert "ALARM: the chain stalls" in said[0]
    assert f"no block since {manual.chain.block_number()}" in said[0]
    with mining(manual.chain.url):
        thread.join(10)
    assert outcome[0].status
    assert "the chain goes on" in said[1]


def test_patience_ends(manual: Consortium) -> None:
    hasty = seen(manual, manual.chain.url, timeout=0.4)
    with pytest.raises(TransactionTimeoutError):
        set_roster(hasty)()
    with pytest.raises(ChainStalledError, match="it continues where it was"):
        hasty.chain.await_block()


def test_a_wait_can_be_ended_from_outside(manual: Consortium) -> None:
    patient = seen(manual, manual.chain.url, patience=60.0)
    thread, outcome = in_background(set_roster(patient))
    pending(manual.chain, manual.stations[0].address)
    patient.chain.close()
    thread.join(2)
    assert isinstance(outcome[0], InterruptedWaitError)


# -- several nodes ----------------------------------------------------------------------------------------------


def test_when_a_node_dies_another_is_asked(consortium: Consortium) -> None:
    said: list[str] = []
    dead = f"http://127.0.0.1:{free_ports(1)[0]}"
    chain = Chain(f"{dead},{consortium.chain.url}", notice=said.append)
    assert chain.block_number() == consortium.chain.block_number()
    assert chain.url == consortium.chain.url
    assert said == [f"no answer from {dead}: going on with {consortium.chain.url}"]


def test_no_node_at_all_names_each(consortium: Consortium) -> None:
    dead = [f"http://127.0.0.1:{port}" for port in free_ports(2)]
    with pytest.raises(ChainUnreachableError) as caught:
        Chain(dead).block_number()
    assert all(url in "".join([str(caught.value), *caught.value.__notes__]) for url in dead)


@pytest.mark.parametrize(("method", "value"), [("eth_chainId", "0x1"), ("eth_blockNumber", "0x1")])
def test_a_node_of_another_chain_or_far_behind_takes_nobodys_place(
    consortium: Consortium, method: str, value: str
) -> None:
    alive = threading.Event()
    alive.set()

    def first(request: dict[str, Any], forward: Forward) -> dict[str, Any] | None:
        return forward(request) if alive.is_set() else None

    def second(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        return result(request, value) if request["method"] == method else forward(request)

    with twisted_node(consortium.chain.url, first) as one, twisted_node(consortium.chain.url, second) as two:
        chain = Chain([one, two])
        assert chain.chain_id == 31337
        assert chain.block_number() > 4
        alive.clear()
        with pytest.raises(ChainUnreachableError):
            chain.timestamp()


def test_a_node_that_comes_back_is_waited_for(consortium: Consortium) -> None:
    said: list[str] = []
    away = threading.Event()

    def twist(request: dict[str, Any], forward: Forward) -> dict[str, Any] | None:
        return None if away.is_set() else forward(request)

    with twisted_node(consortium.chain.url, twist) as url:
        chain = Chain(url, patience=20.0, notice=said.append)
        newest = chain.block_number()
        away.set()
        thread, outcome = in_background(chain.block_number)
        while not said:
            time.sleep(0.02)
        away.clear()
        thread.join(10)
    assert outcome == [newest]
    assert "Waiting up to 20 s" in said[0]
    assert said[-1] == f"{url} answers"


def test_a_node_that_stays_behind_is_left_and_what_it_was_sent_is_sent_again(manual: Consortium) -> None:
    """The smaller side of a partition: its node answers, takes transactions, and makes no block."""
    said: list[str] = []
    frozen = manual.chain.block_number()
    swallowed: list[str] = []

    def twist(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        if request["method"] == "eth_blockNumber":
            return result(request, hex(frozen))
        if request["method"] in ("eth_getTransactionReceipt",):
            return result(request, None)
        if request["method"] == "eth_sendRawTransaction":
            swallowed.append(request["params"][0])
            return result(request, "0x" + "00" * 32)
        return forward(request)

    with twisted_node(manual.chain.url, twist) as smaller:
        chain = seen(manual, [smaller, manual.chain.url], patience=30.0, stall_after=0.3, notice=said.append)
        with mining(manual.chain.url):
            receipt = set_roster(chain)()
    assert len(swallowed) == 1
    assert receipt.status
    assert revision(manual) == 1
    assert f"is behind at block {frozen}" in said[0]
