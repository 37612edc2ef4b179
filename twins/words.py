"""Values of fixed size as Solidity's ``abi.encode`` writes them: a word of 32 bytes each, one after another.

Every device's update is hashed so four times, and for these few types eth_abi takes eight times as long
(docs/adr/0018-engines.md).
Source: Contract ABI specification, section "Formal specification of the encoding".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eth_abi.abi import encode as abi_encode

_BITS = {f"uint{bits}": bits for bits in range(8, 257, 8)}


def encode_words(types: Sequence[str], values: Iterable[object]) -> bytes:
    """Return ``abi.encode(values)``.

    Law: equals ``eth_abi.abi.encode(types, values)``, which it also asks for types other than ``address``, ``bytes32``
    and ``uintN``, and for values that aren't spelled as these types' are here.

    Raises:
        eth_abi.exceptions.EncodingError: a value that its type doesn't hold.
    """
    listed = tuple(values)
    words = [_word(kind, value) for kind, value in zip(types, listed, strict=True)]
    if None in words:
        return bytes(abi_encode(types, listed))
    return b"".join(words)  # type: ignore[arg-type]  # None was looked for


def _word(kind: str, value: object) -> bytes | None:
    if kind == "bytes32":
        return value if type(value) is bytes and len(value) == 32 else None
    if kind == "address":
        if not isinstance(value, str) or len(value) != 42 or value[:2] != "0x":
            return None
        try:
            return bytes(12) + bytes.fromhex(value[2:])
        except ValueError:
            return None
    bits = _BITS.get(kind)
    if bits is None or type(value) is not int or not 0 <= value < 1 << bits:
        return None
    return value.to_bytes(32, "big")
