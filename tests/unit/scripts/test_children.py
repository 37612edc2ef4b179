"""Programs that are looked after: who dies is named, with his last words."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from scripts.children import Children, Program

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("words", "said"), [("echo first; echo why; exit 3", "exit code 3 (why)"), ("exit 0", "code 0;")]
)
def test_who_dies_is_named_with_his_last_words_and_started_again(tmp_path: Path, words: str, said: str) -> None:
    notices: list[str] = []
    children = Children(tmp_path / "test.pid", notices.append)
    try:
        child = children.add(Program("a program", ["/bin/sh", "-c", words], dict(os.environ), tmp_path / "program.log"))
        first, deadline = child.process, time.monotonic() + 30
        while not notices:
            assert time.monotonic() < deadline
            children.tend()
            time.sleep(0.01)
        assert notices[0].startswith("a program ended with ")
        assert said in notices[0]
        assert child.process is not first
    finally:
        children.stop()
