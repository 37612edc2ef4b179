from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from eth_utils.crypto import keccak

from chain.accounts import Account
from chain.connection import Chain
from chain.errors import (
    ChainUnreachableError,
    DeploymentError,
    RpcError,
    TransactionFailedError,
    TransactionTimeoutError,
    TwinRegistryAlreadyRegistered,
    UnknownRevertError,
)
from chain.ports import free_ports
from chain.twin_registry import TwinRegistry
from tests.integration.consortium import POLICY, Consortium, account, digest
from tests.integration.twisted_node import Forward, refusal, result, twisted_node
from twins.types import Address, twin_id

pytestmark = pytest.mark.integration


def nonce(chain: Chain, address: Address) -> int:
    return int(chain.rpc("eth_getTransactionCount", (address, "pending")), 16)


def through(consortium: Consortium, url: str, **options: Any) -> Consortium:
    """The same contracts, seen through another URL."""
    chain = Chain(url, **options)
    return replace(consortium, chain=chain, registry=TwinRegistry(chain, consortium.registry.address))


# -- transport --------------------------------------------------------------------------------------------------


def test_no_node_there_is_unreachable_and_says_where() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(ChainUnreachableError, match="is a node running there") as caught:
        Chain(url).block_number()
    assert caught.value.url == url
    assert "\n" not in str(caught.value)


def test_a_node_that_never_answers_is_unreachable_in_time(consortium: Consortium) -> None:
    silence = threading.Event()

    def twist(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        silence.wait(10)
        return forward(request)

    with twisted_node(consortium.chain.url, twist) as url:
        try:
            with pytest.raises(ChainUnreachableError, match=r"Timeout|timed out"):
                Chain(url, timeout=0.2).block_number()
        finally:
            silence.set()


@pytest.mark.parametrize("answer", [b"<html>bad gateway</html>", b"", b"[]", b"{}", b"\xff\xfe"])
def test_something_that_is_no_node_is_an_error_of_ours(consortium: Consortium, answer: bytes) -> None:
    with (
        twisted_node(consortium.chain.url, lambda *_: answer) as url,
        pytest.raises((ChainUnreachableError, RpcError)),
    ):
        Chain(url).block_number()


def test_a_method_that_the_node_lacks_is_refused(consortium: Consortium) -> None:
    with pytest.raises(RpcError) as caught:
        consortium.chain.rpc("eth_noSuchMethod")
    assert caught.value.code < 0


def test_a_batch_is_answered_in_its_order(consortium: Consortium) -> None:
    chain = consortium.chain
    assert chain.batch((("eth_chainId", ()), ("eth_blockNumber", ()))) == [hex(31337), hex(chain.block_number())]


# -- reads ------------------------------------------------------------------------------------------------------


def test_blocks_have_hash_and_time_as_far_as_the_chain_goes(consortium: Consortium) -> None:
    chain = consortium.chain
    newest = chain.block_number()
    assert chain.block_hash(newest) != chain.block_hash(newest - 1)
    assert chain.block_hash(newest + 1) is None
    assert chain.timestamp(newest - 1) <= chain.timestamp()
    with pytest.raises(RpcError, match="no block"):
        chain.timestamp(newest + 1)


def test_a_contract_that_isnt_there_is_named(consortium: Consortium) -> None:
    registry = TwinRegistry(consortium.chain, consortium.outsider.address)
    with pytest.raises(DeploymentError, match="address without code"):
        registry.stations()


def test_a_revert_of_a_foreign_contract_is_unknown(consortium: Consortium) -> None:
    with pytest.raises(UnknownRevertError) as caught:
        consortium.chain.call(consortium.registry.address, bytes.fromhex("deadbeef"))
    assert caught.value.data == b""


def test_logs_come_whole_from_a_node_that_answers_few_blocks_at_a_time(consortium: Consortium) -> None:
    for count in range(1, 31):
        consortium.registry.set_roster(consortium.stations[count % 3], digest("roster"), count)
    asked: list[int] = []

    def twist(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        if request["method"] == "eth_getLogs":
            query = request["params"][0]
            if query["toBlock"] == "latest":  # all at once comes first
                return refusal(request, -32005, "query returned more than 5 results")
            blocks = int(query["toBlock"], 16) - int(query["fromBlock"], 16) + 1
            asked.append(blocks)
            if blocks > 5:
                return refusal(request, -32005, "query returned more than 5 results")
        return forward(request)

    with twisted_node(consortium.chain.url, twist) as url:
        assert through(consortium, url).registry.events(0) == consortium.registry.events(0)
    assert min(asked) >= 2
    assert len(asked) < 3 * consortium.chain.block_number()


def test_logs_that_are_refused_for_a_single_block_are_an_error(consortium: Consortium) -> None:
    def twist(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        return refusal(request, -32005, "no") if request["method"] == "eth_getLogs" else forward(request)

    with twisted_node(consortium.chain.url, twist) as url, pytest.raises(RpcError) as caught:
        through(consortium, url).registry.events(0)
    assert caught.value.code == -32005


# -- transactions -----------------------------------------------------------------------------------------------


def test_a_transaction_is_eip_1559_and_bound_to_its_chain(consortium: Consortium) -> None:
    receipt = consortium.registry.set_roster(consortium.stations[0], digest("roster"), 1)
    sent = consortium.chain.rpc("eth_getTransactionByHash", (receipt.hash,))
    assert (sent["type"], int(sent["chainId"], 16)) == ("0x2", 31337)
    assert int(sent["gas"], 16) > receipt.gas_used > 21_000
    assert receipt.status
    assert receipt.contract_address is None


def test_a_refusal_surfaces_before_anything_is_sent(consortium: Consortium) -> None:
    before = nonce(consortium.chain, consortium.admin.address), consortium.chain.block_number()
    with pytest.raises(TwinRegistryAlreadyRegistered):
        consortium.registry.register_station(consortium.admin, consortium.stations[0].address)
    assert (nonce(consortium.chain, consortium.admin.address), consortium.chain.block_number()) == before


def blind_estimate(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
    """A node whose state changes between estimate and block: the estimate sees no revert."""
    return result(request, hex(500_000)) if request["method"] == "eth_estimateGas" else forward(request)


def test_a_revert_reported_on_sending_is_typed(consortium: Consortium) -> None:
    station = consortium.stations[0].address
    with twisted_node(consortium.chain.url, blind_estimate) as url:
        with pytest.raises(TwinRegistryAlreadyRegistered, match="mined in transaction 0x") as caught:
            through(consortium, url).registry.register_station(consortium.admin, station)
        assert caught.value.station == station
        # The nonce is used; the next transaction must not trip over it.
        through(consortium, url).registry.register_station(consortium.admin, account(10).address)


def test_a_mined_revert_is_explained_by_a_replay(consortium: Consortium) -> None:
    def twist(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        answer = blind_estimate(request, forward)
        if request["method"] == "eth_sendRawTransaction" and "error" in answer:
            # As geth does: accepted, and only its receipt will tell.
            return result(request, "0x" + keccak(hexstr=request["params"][0]).hex())
        return answer

    with (
        twisted_node(consortium.chain.url, twist) as url,
        pytest.raises(TwinRegistryAlreadyRegistered, match="mined in transaction 0x"),
    ):
        through(consortium, url).registry.register_station(consortium.admin, consortium.stations[0].address)


def test_a_mined_revert_without_a_reason_says_so(consortium: Consortium) -> None:
    def twist(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        answer = forward(request)
        if request["method"] == "eth_getTransactionReceipt":
            answer["result"]["status"] = "0x0"
        return answer

    with twisted_node(consortium.chain.url, twist) as url, pytest.raises(TransactionFailedError) as caught:
        through(consortium, url).registry.set_roster(consortium.stations[0], digest("roster"), 1)
    assert consortium.chain.rpc("eth_getTransactionByHash", (caught.value.hash,)) is not None


def test_a_transaction_that_isnt_mined_times_out_with_its_hash(consortium: Consortium) -> None:
    def twist(request: dict[str, Any], forward: Forward) -> dict[str, Any]:
        if request["method"] == "eth_getTransactionReceipt":
            return result(request, None)
        return forward(request)

    with twisted_node(consortium.chain.url, twist) as url, pytest.raises(TransactionTimeoutError) as caught:
        through(consortium, url, timeout=0.5).registry.set_roster(consortium.stations[0], digest("roster"), 1)
    assert consortium.chain.rpc("eth_getTransactionByHash", (caught.value.hash,)) is not None


def test_a_lost_answer_does_not_send_twice(consortium: Consortium) -> None:
    station, lost = consortium.stations[0], []

    def twist(request: dict[str, Any], forward: Forward) -> dict[str, Any] | None:
        answer = forward(request)
        if request["method"] == "eth_sendRawTransaction" and not lost:
            lost.append(answer)
            return None
        return answer

    before = nonce(consortium.chain, station.address)
    with twisted_node(consortium.chain.url, twist) as url:
        receipt = through(consortium, url).registry.set_roster(station, digest("roster"), 1)
    assert lost
    assert lost[0]["result"] == receipt.hash
    assert nonce(consortium.chain, station.address) == before + 1
    assert consortium.registry.station_of(station.address).roster_revision == 1


def test_threads_may_share_an_account(consortium: Consortium) -> None:
    station = consortium.stations[0]
    before = nonce(consortium.chain, station.address)
    with ThreadPoolExecutor(8) as pool:
        receipts = list(
            pool.map(lambda count: consortium.registry.set_roster(station, digest("roster"), count), range(1, 25))
        )
    assert len({receipt.hash for receipt in receipts}) == 24
    assert nonce(consortium.chain, station.address) == before + 24
    assert consortium.registry.station_of(station.address).roster_revision == 24


def test_an_account_without_funds_is_refused_by_the_node(consortium: Consortium) -> None:
    poor = Account.from_key(bytes(31) + b"\x07")
    with pytest.raises(RpcError, match=r"(?i)fund"):
        consortium.registry.register_twin(poor, twin_id("watch"), digest("manifest"), POLICY)


def test_a_transaction_signed_for_another_chain_is_refused(consortium: Consortium) -> None:
    raw, _ = consortium.admin.sign_transaction(
        {
            "type": 2,
            "chainId": 1,
            "nonce": nonce(consortium.chain, consortium.admin.address),
            "to": consortium.outsider.address,
            "value": 1,
            "gas": 21_000,
            "maxFeePerGas": 10**10,
            "maxPriorityFeePerGas": 1,
        }
    )
    with pytest.raises(RpcError, match=r"(?i)chain"):
        consortium.chain.rpc("eth_sendRawTransaction", ("0x" + raw.hex(),))
