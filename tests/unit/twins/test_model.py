"""Models: bytes and back, whatever the bits, and nothing but safetensors of float32."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.twins.strategies import models
from twins.errors import ModelFormatError, NonFiniteError, SchemaError
from twins.model import TwinModel

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]


def model(**tensors: object) -> TwinModel:
    return TwinModel({name: np.asarray(values, dtype=np.float32) for name, values in tensors.items()})


def file(header: object, data: bytes = b"") -> bytes:
    """A safetensors file: length, header, data (format specification)."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_the_bytes_are_those_of_the_safetensors_specification() -> None:
    header = (
        b'{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]}}'
    )
    padded = header + b" " * (-len(header) % 8)
    expected = file(padded, struct.pack("<3f", 1.0, 2.0, -0.5))
    assert model(b=[[2.0], [-0.5]], a=1.0).to_bytes() == expected
    assert TwinModel.from_bytes(expected) == model(a=1.0, b=[[2.0], [-0.5]])


@given(models)
def test_every_model_comes_back_bit_for_bit(original: TwinModel) -> None:
    data = original.to_bytes()
    back = TwinModel.from_bytes(data)
    assert back == original
    assert back.to_bytes() == data
    assert back.schema() == original.schema()
    for name, array in original.tensors.items():
        assert back.tensors[name].tobytes() == array.tobytes()
        assert back.tensors[name].dtype == np.float32


@given(models, st.randoms())
def test_the_order_in_which_tensors_are_given_does_not_show(original, random) -> None:  # type: ignore[no-untyped-def]
    names = list(original.tensors)
    random.shuffle(names)
    reordered = TwinModel({name: original.tensors[name] for name in names})
    assert reordered.to_bytes() == original.to_bytes()
    assert list(reordered.tensors) == list(reordered.schema()) == sorted(names)


def test_another_process_makes_the_same_bytes() -> None:
    program = (
        "import numpy as np, hashlib; from twins.model import TwinModel;"
        "m = TwinModel({n: np.arange(6, dtype=np.float32).reshape(2, 3) for n in ('z', 'a', 'ä', 'm')});"
        "print(hashlib.sha256(m.to_bytes(note='{}')).hexdigest())"
    )
    mine = TwinModel({name: np.arange(6, dtype=np.float32).reshape(2, 3) for name in ("m", "ä", "z", "a")}).to_bytes(
        note="{}"
    )
    for seed in ("0", "1"):
        printed = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert printed.strip() == hashlib.sha256(mine).hexdigest()


SPECIAL = {
    "minus zero": [0x80000000],
    "quiet and signalling NaN with payloads": [0x7FC00001, 0x7F800001, 0xFFFFFFFF],
    "infinities": [0x7F800000, 0xFF800000],
    "the smallest subnormals": [0x00000001, 0x80000001],
}


@pytest.mark.parametrize("bits", SPECIAL.values(), ids=SPECIAL.keys())
def test_special_values_keep_their_bits(bits: list[int]) -> None:
    array = np.array(bits, dtype=np.uint32).view(np.float32)
    back = TwinModel.from_bytes(TwinModel({"w": array}).to_bytes()).tensors["w"]
    assert back.view(np.uint32).tolist() == bits


def test_zero_and_minus_zero_are_two_models() -> None:
    assert model(w=[0.0]) != model(w=[-0.0])
    assert model(w=[np.nan]) == model(w=[np.nan])
    assert hash(model(w=[np.nan])) == hash(model(w=[np.nan]))
    assert model(w=[0.0]) != "model"


def test_scalars_and_empty_tensors_keep_their_shape() -> None:
    odd = model(scalar=3.0, empty=np.zeros((0,)), flat=np.zeros((2, 0, 3)), one=[3.0])
    assert odd.schema() == {"empty": [0], "flat": [2, 0, 3], "one": [1], "scalar": []}
    assert TwinModel.from_bytes(odd.to_bytes()).schema() == odd.schema()
    assert odd.parameter_count() == 2


def test_the_layout_in_memory_does_not_show() -> None:
    plain = np.arange(12, dtype=np.float32).reshape(3, 4)
    strided = np.zeros((6, 8), dtype=np.float32)
    strided[::2, ::2] = plain
    for array in (np.asfortranarray(plain), strided[::2, ::2], plain.T.copy().T, plain[::-1][::-1]):
        assert TwinModel({"w": array}).to_bytes() == model(w=plain).to_bytes()


@pytest.mark.parametrize(
    "dtype", [">f4", "float16", "float64", "int8", "int32", "int64", "uint8", "bool", "complex64", "O", "U1"]
)
def test_anything_but_native_float32_is_refused(dtype: str) -> None:
    with pytest.raises(ModelFormatError, match="'w': expected float32"):
        TwinModel({"v": np.zeros(2, np.float32), "w": np.zeros(2, dtype=dtype)})


def test_a_model_without_tensors_is_refused() -> None:
    with pytest.raises(ModelFormatError, match="without tensors"):
        TwinModel({})
    with pytest.raises(ModelFormatError, match="without tensors"):
        TwinModel.from_bytes(file({}))


def test_the_name_that_safetensors_keeps_for_itself_is_refused() -> None:
    with pytest.raises(ModelFormatError, match="__metadata__"):
        model(__metadata__=[1.0])


def test_a_note_changes_the_bytes_and_not_the_model() -> None:
    plain = model(w=[1.0, 2.0])
    noted = plain.to_bytes(note='{"loss":0.5}')
    assert noted == plain.to_bytes(note='{"loss":0.5}') != plain.to_bytes()
    assert TwinModel.from_bytes(noted) == plain


class Exploit:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, ("exit 1",))


def entry(dtype: str, shape: list[int], *offsets: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


GARBAGE = {
    "nothing": b"",
    "a pickle that would run a command": pickle.dumps(Exploit()),
    "a NumPy archive": b"PK\x03\x04" + bytes(100),
    "a header longer than the file": struct.pack("<Q", 2**63) + b"{}",
    "a header of no JSON": file(b"{]"),
    "a header of a list": file([]),
    "a header nested without end": file(b'{"__metadata__":' + b"[" * 200_000),
    "float64": file({"w": entry("F64", [1], 0, 8)}, bytes(8)),
    "float16": file({"w": entry("F16", [1], 0, 2)}, bytes(2)),
    "bfloat16": file({"w": entry("BF16", [1], 0, 2)}, bytes(2)),
    "float8": file({"w": entry("F8_E4M3", [1], 0, 1)}, bytes(1)),
    "int32": file({"w": entry("I32", [1], 0, 4)}, bytes(4)),
    "an unknown type": file({"w": entry("F33", [1], 0, 4)}, bytes(4)),
    "a shape that overflows": file({"w": entry("F32", [2**62, 8], 0, 4)}, bytes(4)),
    "a negative shape": file({"w": entry("F32", [-1], 0, 4)}, bytes(4)),
    "a shape larger than its data": file({"w": entry("F32", [2], 0, 4)}, bytes(4)),
    "overlapping tensors": file({"v": entry("F32", [1], 0, 4), "w": entry("F32", [1], 0, 4)}, bytes(4)),
    "a hole between tensors": file({"v": entry("F32", [1], 0, 4), "w": entry("F32", [1], 8, 12)}, bytes(12)),
    "offsets beyond the data": file({"w": entry("F32", [1], 0, 4)}),
    "bytes left over, where something could hide": model(w=[1.0]).to_bytes() + b"\0",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(ModelFormatError):
        TwinModel.from_bytes(data)


def test_a_model_cut_short_anywhere_is_refused() -> None:
    data = model(a=[[1.0, 2.0]], b=3.0).to_bytes()
    for length in range(len(data)):
        with pytest.raises(ModelFormatError):
            TwinModel.from_bytes(data[:length])


@given(st.binary(max_size=200))
def test_random_bytes_are_no_model(data: bytes) -> None:
    with pytest.raises(ModelFormatError):
        TwinModel.from_bytes(data)


@given(models, st.data())
def test_a_damaged_model_is_refused_or_reads_as_a_model(original: TwinModel, data: st.DataObject) -> None:
    damaged = bytearray(original.to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        back = TwinModel.from_bytes(bytes(damaged))
    except ModelFormatError:
        return
    assert TwinModel.from_bytes(back.to_bytes()) == back


def test_schema_errors_say_what_is_missing_unknown_and_different() -> None:
    schema = {"a": [1], "b": [2, 3], "c": []}
    model(a=[1.0], b=np.zeros((2, 3)), c=0.0).require_schema(schema, "model")
    with pytest.raises(SchemaError) as refused:
        model(b=np.zeros((3, 2)), c=0.0, d=[1.0]).require_schema(schema, "update of 0xAB")
    assert str(refused.value) == (
        "update of 0xAB: not the twin's schema: a: expected [1], got no such tensor; "
        "b: expected [2, 3], got [3, 2]; d: expected no such tensor, got [1]"
    )


def test_a_scalar_is_not_a_vector_of_one() -> None:
    with pytest.raises(SchemaError, match=r"w: expected \[\], got \[1\]"):
        model(w=[1.0]).require_schema({"w": []}, "model")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_tensor_with_a_value_that_is_not_finite_is_named(value: float) -> None:
    poisoned = model(a=[1.0], b=[[1.0, value], [value, 2.0]])
    with pytest.raises(NonFiniteError, match=r"device 3: expected finite weights, got 2 .* tensor 'b'") as refused:
        poisoned.require_finite("device 3")
    assert (refused.value.what, refused.value.tensor) == ("device 3", "b")


def test_extreme_finite_values_are_finite() -> None:
    model(a=[np.finfo(np.float32).max, -1e-45, 0.0], b=np.zeros((0, 2)), c=1.0).require_finite("model")
