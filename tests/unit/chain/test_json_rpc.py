from __future__ import annotations

from typing import Any

import pytest

from chain.connection import Chain
from chain.errors import ChainError, RoundLedgerNoGenesis, RpcError, UnknownRevertError
from chain.json_rpc import JsonRpc
from chain.receipts import Log, Receipt
from twins.types import TwinId

pytestmark = pytest.mark.unit

TWIN = TwinId("0x" + "ab" * 32)
DATA = "0x" + RoundLedgerNoGenesis(TWIN).data.hex()


class Answering(JsonRpc):
    """A node that always gives the same answer."""

    def __init__(self, answer: Any) -> None:
        super().__init__("http://127.0.0.1:8545")
        self.answer = answer

    def _post(self, request: Any) -> Any:
        return self.answer


@pytest.mark.parametrize(
    "error",
    [
        # geth: code 3, data is the revert data
        {"code": 3, "message": "execution reverted", "data": DATA},
        # Hardhat 2 and ganache: wrapped in an object
        {"code": -32603, "message": "Error: VM Exception: reverted", "data": {"data": DATA, "message": "…"}},
        {"code": -32000, "message": "VM Exception: revert", "data": {"result": DATA}},
    ],
)
def test_a_revert_is_typed_wherever_a_node_puts_its_data(error: dict[str, Any]) -> None:
    with pytest.raises(RoundLedgerNoGenesis) as caught:
        Answering({"error": error}).rpc("eth_call")
    assert caught.value.twin == TWIN


@pytest.mark.parametrize("data", [{}, {"data": None}, {"data": "0x"}, {"data": "Reverted"}])
def test_a_revert_without_data_is_unknown(data: dict[str, Any]) -> None:
    with pytest.raises(UnknownRevertError):
        Answering({"error": {"code": 3, "message": "execution reverted"} | data}).rpc("eth_call")


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": -32601, "message": "the method does not exist"}},
        {"error": {"code": -32000, "message": "nonce too low", "data": DATA}},
        {"error": "out of order"},
        {"error": {}},
        {},
        [],
        None,
        "text",
    ],
)
def test_any_other_refusal_is_no_revert(answer: Any) -> None:
    with pytest.raises(RpcError) as caught:
        Answering(answer).rpc("eth_call")
    assert "eth_call" in str(caught.value)


def test_null_is_an_answer() -> None:
    assert Answering({"result": None}).rpc("eth_getTransactionReceipt") is None


@pytest.mark.parametrize("answers", [[], [{"result": 1}], [{"result": 1}] * 3, {"error": {"code": 1, "message": "no"}}])
def test_a_batch_that_isnt_answered_whole_is_refused(answers: Any) -> None:
    with pytest.raises(RpcError, match="batch"):
        Answering(answers).batch((("a", ()), ("b", ())))


@pytest.mark.parametrize("url", ["", "localhost:8545", "ftp://host", "http://", "/tmp/geth.ipc"])
def test_what_is_no_http_address_is_refused(url: str) -> None:
    with pytest.raises(ChainError, match="expected http"):
        Chain(url)


def test_a_password_in_a_url_is_never_shown() -> None:
    chain = Chain("https://user:secret@node:8545,http://other:8545/path?x=1")
    assert chain.urls == ("https://node:8545", "http://other:8545/path?x=1")
    assert "secret" not in repr(chain) + chain.url
    with pytest.raises(ChainError, match="expected http") as caught:
        Chain("ftp://user:secret@node")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("urls", [(), []])
def test_no_node_at_all_is_refused(urls: Any) -> None:
    with pytest.raises(ChainError, match="at least once"):
        Chain(urls)


@pytest.mark.parametrize("option", [{"patience": -1.0}, {"patience": float("nan")}, {"confirmations": -1}])
def test_numbers_out_of_range_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ChainError, match="expected 0"):
        Chain("http://127.0.0.1:8545", **option)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_is_positive(timeout: float) -> None:
    with pytest.raises(ChainError, match="timeout"):
        Chain("http://127.0.0.1:8545", timeout=timeout)


def test_a_receipt_is_read_with_its_logs() -> None:
    log = {
        "address": "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512",
        "topics": ["0x" + "11" * 32],
        "data": "0x",
        "blockNumber": "0x10",
        "logIndex": "0x2",
        "transactionHash": "0x" + "77" * 32,
    }
    item = {
        "transactionHash": "0x" + "77" * 32,
        "blockNumber": "0x10",
        "gasUsed": "0x5208",
        "status": "0x1",
        "logs": [log],
        "contractAddress": None,
    }
    receipt = Receipt.parse(item)
    assert (receipt.block, receipt.gas_used, receipt.status, receipt.contract_address) == (16, 21_000, True, None)
    assert receipt.logs == (
        Log("0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512", (b"\x11" * 32,), b"", 16, 2, "0x" + "77" * 32),  # type: ignore[arg-type]
    )
    assert not Receipt.parse(item | {"status": "0x0"}).status
