from __future__ import annotations

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from chain.encoding import CONTRACTS, Interface, interface, snake_case
from chain.errors import EncodingError
from chain.values import ProvenContribution, Recorded, Update
from twins.errors import FormatError
from twins.types import Address, TwinId, address_of_bytes, digest_bytes, sha256_digest

pytestmark = pytest.mark.unit

LEDGER, REGISTRY = interface("RoundLedger"), interface("TwinRegistry")
TWIN = TwinId("0x" + "ab" * 32)


def function(name: str, *types: str) -> dict[str, object]:
    return {
        "type": "function",
        "name": name,
        "inputs": [{"name": f"a{index}", "type": kind} for index, kind in enumerate(types)],
        "outputs": [],
    }


FOO = Interface.of(
    "Foo",
    [
        function("baz", "uint32", "bool"),
        function("sam", "bytes", "bool", "uint256[]"),
        function("bar", "bytes3[2]"),
    ],
)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        # Solidity, "Contract ABI Specification", section "Examples".
        ("baz", (69, True), "cdcd77c0" + "45".rjust(64, "0") + "1".rjust(64, "0")),
        ("bar", ([b"abc", b"def"],), "fce353f6" + "616263".ljust(64, "0") + "646566".ljust(64, "0")),
        (
            "sam",
            (b"dave", True, [1, 2, 3]),
            "a5643bf2"
            + "".join(word.rjust(64, "0") for word in ("60", "1", "a0", "4"))
            + "64617665".ljust(64, "0")
            + "".join(word.rjust(64, "0") for word in ("3", "1", "2", "3")),
        ),
    ],
)
def test_calldata_is_as_the_specification_shows(name: str, values: tuple[object, ...], expected: str) -> None:
    assert FOO.functions[name].encode(*values).hex() == expected


def test_the_selector_of_a_struct_spells_its_fields() -> None:
    signature = "submitUpdate((bytes32,uint32,uint32,uint32,bytes32,bytes32,bytes32,uint64))"
    assert LEDGER.functions["submitUpdate"].selector == keccak(text=signature)[:4]


u32, digests = st.integers(0, 2**32 - 1), st.binary(max_size=8).map(sha256_digest)
u64 = st.integers(0, 2**64 - 1)
updates = st.builds(Update, st.just(TWIN), u32, u32, u32, digests, digests, digests, u64)
addresses = st.binary(min_size=20, max_size=20).map(address_of_bytes)
signatures = st.binary(max_size=70)
recordings = st.builds(Recorded, updates, addresses, digests)
contributions = st.builds(ProvenContribution, addresses, digests, u64, signatures)
proofs = st.lists(st.binary(min_size=32, max_size=32), max_size=4)


@given(update=updates)
def test_an_update_survives_encoding(update: Update) -> None:
    submit = LEDGER.functions["submitUpdate"]
    data = submit.encode(update)
    assert len(data) == 4 + 8 * 32
    (fields,) = submit.inputs.decode(data[4:], "submitUpdate")
    assert Update(*fields) == update


@given(batch=st.lists(updates, max_size=3))
def test_an_array_of_structs_survives_encoding(batch: list[Update]) -> None:
    submit = LEDGER.functions["submitUpdates"]
    data = submit.encode(batch)
    assert len(data) == 4 + (2 + 8 * len(batch)) * 32
    (back,) = submit.inputs.decode(data[4:], "submitUpdates")
    assert [Update(*fields) for fields in back] == batch


@given(recorded=recordings, contribution=contributions, proof=proofs)
def test_structs_in_structs_dynamic_bytes_and_proofs_survive_encoding(
    recorded: Recorded, contribution: ProvenContribution, proof: list[bytes]
) -> None:
    prove = LEDGER.functions["proveForgery"]
    (update, station, roster), fields, words = prove.inputs.decode(
        prove.encode(recorded, contribution, proof)[4:], "proveForgery"
    )
    assert Recorded(Update(*update), station, roster) == recorded
    assert ProvenContribution(*fields) == contribution
    assert [digest_bytes(word) for word in words] == proof


@given(signers=st.lists(st.tuples(addresses, signatures), max_size=4))
def test_arrays_of_addresses_and_of_bytes_survive_encoding(signers: list[tuple[Address, bytes]]) -> None:
    finalize = LEDGER.functions["finalizeSigned"]
    who, what = [signer for signer, _ in signers], [signature for _, signature in signers]
    data = finalize.encode(TWIN, 1, TWIN, who, what)
    _, _, _, addresses_back, signatures_back = finalize.inputs.decode(data[4:], "finalizeSigned")
    assert (addresses_back, signatures_back) == (tuple(who), tuple(what))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ((TWIN, 2**32, "0x" + "00" * 32, "0x" + "00" * 32), "attest"),
        ((TWIN, -1, "0x" + "00" * 32, "0x" + "00" * 32), "attest"),
        ((TWIN, "1", "0x" + "00" * 32, "0x" + "00" * 32), "attest"),
        ((TWIN, 1), "expected 4 arguments, got 2"),
    ],
)
def test_a_value_that_doesnt_fit_is_refused(values: tuple[object, ...], says: str) -> None:
    with pytest.raises(EncodingError, match=says):
        LEDGER.functions["attest"].encode(*values)


@pytest.mark.parametrize("text", ["0x12", "0X" + "ab" * 32, "AB" * 32, "0x" + "AB" * 32, ""])
def test_a_string_that_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        LEDGER.functions["head"].encode(text)


@pytest.mark.parametrize("data", [b"", b"\0" * 63, b"\xff" * 64])
def test_bytes_that_arent_what_the_abi_says_are_refused(data: bytes) -> None:
    with pytest.raises(EncodingError, match="head"):
        LEDGER.functions["head"].decode(data)


def test_addresses_come_back_with_their_checksum() -> None:
    word = bytes(12) + bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266")
    assert REGISTRY.functions["stationAt"].decode(word) == ("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",)


@pytest.mark.parametrize(
    ("solidity", "python"),
    [
        ("rosterRoot", "roster_root"),
        ("twin", "twin"),
        ("minSubmitFor", "min_submit_for"),
        ("from", "from_"),
        ("a1B", "a1_b"),
        ("stationA", "station_a"),
    ],
)
def test_names_are_spelled_as_python_does(solidity: str, python: str) -> None:
    assert snake_case(solidity) == python


def test_no_contract_overloads_a_name() -> None:
    # `Interface` indexes by name: a second one would silently hide the first.
    for name in CONTRACTS:
        abi = interface(name).abi
        for kind in ("function", "event", "error"):
            names = [item["name"] for item in abi if item["type"] == kind]
            assert len(names) == len(set(names))


def test_an_abis_digest_depends_on_everything_in_it() -> None:
    changed = [*LEDGER.abi[:-1]]
    assert Interface.of("RoundLedger", changed).digest != LEDGER.digest
    assert Interface.of("Other", LEDGER.abi).digest == LEDGER.digest
