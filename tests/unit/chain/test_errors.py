from __future__ import annotations

import copy
import pickle

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from chain import errors
from chain.encoding import CONTRACTS, canonical_type, decode_revert, interface, snake_case
from chain.errors import (
    REVERTS,
    AccessControlUnauthorizedAccount,
    ChainError,
    ContractRevertError,
    PanicError,
    PDPError,
    RevertReasonError,
    RoundLedgerAlreadySubmitted,
    RoundLedgerError,
    RoundLedgerUnexpectedStatus,
    SyncAuditError,
    SyncAuditModeNotAllowed,
    SyncAuditUnexpectedPhase,
    TwinRegistryError,
    UnknownRevertError,
)
from chain.values import RoundStatus
from twins.types import Address, TwinId

pytestmark = pytest.mark.unit

DECLARED = {item["name"]: item for name in CONTRACTS for item in interface(name).abi if item["type"] == "error"}
TWIN = TwinId("0x" + "ab" * 32)
STATION = Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_every_custom_error_of_the_contracts_is_a_class_with_its_arguments(name: str) -> None:
    inputs = DECLARED[name]["inputs"]
    kind = getattr(errors, name)
    types = [canonical_type(item) for item in inputs]
    assert list(kind.types) == types
    assert list(kind.__match_args__) == [snake_case(item["name"]) for item in inputs]
    assert kind.selector == keccak(text=f"{name}({','.join(types)})")[:4]
    assert REVERTS[kind.selector] is kind
    family = {
        "TwinRegistry": TwinRegistryError,
        "RoundLedger": RoundLedgerError,
        "SyncAudit": SyncAuditError,
        "PDP": PDPError,
    }
    assert issubclass(kind, next((f for prefix, f in family.items() if name.startswith(prefix)), ContractRevertError))


def test_no_class_stands_for_an_error_that_no_contract_has() -> None:
    solidity = {RevertReasonError, PanicError}
    assert {kind.__name__ for kind in REVERTS.values() if kind not in solidity} == set(DECLARED)


NOT_UTF8 = "08c379a0" + "20".rjust(64, "0") + "1".rjust(64, "0") + "ff".ljust(64, "0")

VALUES = {
    "address": st.just(STATION),
    "bytes32": st.binary(min_size=32, max_size=32).map(lambda b: "0x" + b.hex()),
    "bytes23": st.binary(min_size=23, max_size=23).map(lambda b: b.hex()[:23].encode()),
    "string": st.text(max_size=40),
} | {f"uint{bits}": st.integers(0, 2**bits - 1) for bits in (24, 32, 64, 256)}


@pytest.mark.parametrize("kind", REVERTS.values(), ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_revert_data_is_the_inverse_of_decoding(kind: type[ContractRevertError], data: st.DataObject) -> None:
    # Some uint8 are enums; others are plain.
    enums = {RoundLedgerUnexpectedStatus: 5, SyncAuditUnexpectedPhase: 4, SyncAuditModeNotAllowed: 3}
    small = st.integers(0, enums.get(kind, 255))
    error = kind(*(data.draw(VALUES.get(name, small)) for name in kind.types))
    back = decode_revert(error.data)
    assert type(back) is kind
    assert vars(back) == vars(error)
    assert back.data == error.data
    assert kind is RevertReasonError or "{" not in str(error)
    for value in vars(error).values():
        assert str(value) in str(error) or isinstance(error, PanicError)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        # Solidity docs, "Panic via assert and Error via require": Error("Not enough Ether provided.")
        (
            "08c379a0"
            "0000000000000000000000000000000000000000000000000000000000000020"
            "000000000000000000000000000000000000000000000000000000000000001a"
            "4e6f7420656e6f7567682045746865722070726f76696465642e000000000000",
            RevertReasonError("Not enough Ether provided."),
        ),
        ("4e487b71" + "11".rjust(64, "0"), PanicError(0x11)),
    ],
)
def test_soliditys_own_errors_are_read(data: str, kind: ContractRevertError) -> None:
    error = decode_revert(bytes.fromhex(data))
    assert (type(error), vars(error)) == (type(kind), vars(kind))


@pytest.mark.parametrize("data", ["", "de", "deadbeef", "deadbeef" + "00" * 32, NOT_UTF8])
def test_foreign_revert_data_is_kept(data: str) -> None:
    error = decode_revert(bytes.fromhex(data))
    assert isinstance(error, UnknownRevertError)
    assert error.data == bytes.fromhex(data)
    assert error.selector == bytes.fromhex(data)[:4]
    assert data[:8] in str(error)


def test_our_selector_with_other_arguments_is_unknown() -> None:
    cut = RoundLedgerAlreadySubmitted(TWIN, 1, STATION).data[:-1]
    assert isinstance(decode_revert(cut), UnknownRevertError)
    # A round that has more than 32 bits is none of ours either.
    data = bytearray(RoundLedgerAlreadySubmitted(TWIN, 1, STATION).data)
    data[4 + 32] = 0xFF
    assert isinstance(decode_revert(bytes(data)), UnknownRevertError)


def test_a_status_that_this_version_doesnt_know_is_unknown() -> None:
    data = RoundLedgerUnexpectedStatus(TWIN, 1, RoundStatus.FINAL).data[:-1] + b"\x06"
    assert isinstance(decode_revert(data), UnknownRevertError)


def test_an_error_says_what_happened_in_words() -> None:
    assert str(RoundLedgerAlreadySubmitted(TWIN, 3, STATION)) == (
        f"station {STATION} has already submitted for round 3 of twin {TWIN}"
    )
    assert "round 3 of twin" in str(RoundLedgerUnexpectedStatus(TWIN, 3, RoundStatus.FINAL))
    assert "is final" in str(RoundLedgerUnexpectedStatus(TWIN, 3, RoundStatus.FINAL))


def test_an_error_crosses_process_boundaries() -> None:
    error = AccessControlUnauthorizedAccount(STATION, "0x" + "01" * 32)  # type: ignore[arg-type]
    for back in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(back), vars(back)) == (type(error), vars(error))
    unknown = pickle.loads(pickle.dumps(UnknownRevertError(b"\x01\x02\x03\x04")))
    assert unknown.data == b"\x01\x02\x03\x04"


def test_an_error_passes_through_context_managers() -> None:
    from contextlib import contextmanager

    @contextmanager
    def passing():  # type: ignore[no-untyped-def]
        yield

    with pytest.raises(RoundLedgerAlreadySubmitted), passing():
        raise RoundLedgerAlreadySubmitted(TWIN, 1, STATION)


def test_every_error_has_one_root_and_stands_in_the_tree() -> None:
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type):
            assert issubclass(kind, ChainError)
            named = name.startswith(("RoundLedger", "TwinRegistry", "SyncAudit", "PDP")) or name in (
                errors.__doc__ or ""
            )
            assert named, name
