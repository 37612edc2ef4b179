"""Reading and writing by a known layout: the bytes and the tensors of safetensors, and nothing else is taken."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tests.unit.twins.strategies import models
from twins import layout
from twins.model import TwinModel

pytestmark = pytest.mark.unit

notes = st.none() | st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.just('{"loss":0.5}')


@given(models, notes, notes)
def test_what_is_written_are_the_bytes_of_safetensors(model: TwinModel, first: str | None, second: str | None) -> None:
    for note in (first, second, first):
        expected = save(dict(model.tensors), metadata=None if note is None else {"note": note})
        assert layout.write(model.tensors, note) == expected


@given(models, models, notes)
def test_what_is_read_are_the_tensors_of_safetensors(first: TwinModel, second: TwinModel, note: str | None) -> None:
    for model in (first, second, first):
        data = save(dict(model.tensors), metadata=None if note is None else {"note": note})
        read, expected = layout.read(data), load(data)
        assert read.keys() == expected.keys()
        assert all(read[name].tobytes() == array.tobytes() for name, array in expected.items())
        assert all(read[name].shape == array.shape for name, array in expected.items())


def file(rest: bytes, data: bytes, note: bytes = b'"a"') -> bytes:
    header = b'{"__metadata__":{"note":' + note + b"}," + rest
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


ONE = b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'


NONE = b'"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'


@pytest.mark.parametrize(
    "data",
    {
        "bytes left over": file(ONE, bytes(8)),
        "cut short": file(ONE, bytes(3)),
        "a note that isn't closed": file(ONE, bytes(4), b'"a'),
        "a note with a break of line": file(ONE, bytes(4), b'"\n"'),
        "a note with an escape that isn't one": file(ONE, bytes(4), rb'"\q"'),
        "a note of no UTF-8": file(ONE, bytes(4), b'"\xff"'),
        "a second note": file(b'"__metadata__":{"note":"b"},' + ONE, bytes(4)),
        "a header longer than the file": struct.pack("<Q", 1000) + file(NONE, b"")[8:],
    }.items(),
    ids=lambda case: case[0],
)
def test_a_known_layout_lets_nothing_pass_that_safetensors_refuses(data: tuple[str, bytes]) -> None:
    assert layout.read(file(ONE, b"\0\0\x80?"))["a"].tolist() == [1.0]
    assert layout.read(file(NONE, b""))["a"].tolist() == []
    for _ in range(2):
        with pytest.raises((SafetensorError, ValueError)):
            load(data[1])
        with pytest.raises((SafetensorError, ValueError)):
            layout.read(data[1])


def test_what_says_a_tensor_twice_is_read_by_safetensors_every_time() -> None:
    twice = file(b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},' + ONE, b"\0\0\x80?")
    for _ in range(2):
        try:
            expected: object = load(twice)["a"].tolist()
        except SafetensorError as error:
            expected = type(error)
        try:
            got: object = layout.read(twice)["a"].tolist()
        except SafetensorError as error:
            got = type(error)
        assert got == expected


def test_tensors_of_other_types_are_handed_on_for_the_model_to_refuse() -> None:
    data = save({"a": np.zeros(2, np.float64)})
    for _ in range(2):
        assert layout.read(data)["a"].dtype == np.float64


def test_no_more_kinds_are_remembered_than_a_stranger_may_cost_memory() -> None:
    for size in range(200):
        layout.read(save({"a": np.zeros(size, np.float32)}))
    assert len(layout._layouts) <= 64


def test_a_layout_out_of_order_is_read_by_its_offsets() -> None:
    entries = {
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [4, 12]},
    }
    rest = json.dumps(entries, separators=(",", ":")).encode()[1:]
    for _ in range(2):
        tensors = layout.read(file(rest, struct.pack("<3f", 1, 2, 3)))
        assert {name: array.tolist() for name, array in tensors.items()} == {"a": [[2.0], [3.0]], "b": [1.0]}
