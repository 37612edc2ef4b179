"""Programs that are looked after: who dies is named, with his last words."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from scripts.children import Child, Children, Program

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


def test_programs_that_are_started_together_all_stay(tmp_path: Path) -> None:
    """Each reads its parent's number from one file, which must not be empty for a moment when the next is started."""
    children = Children(tmp_path / "test.pid", lambda text: None)
    try:
        started = [
            children.add(Program(f"{number}", ["/bin/sleep", "60"], dict(os.environ), tmp_path / f"{number}.log"))
            for number in range(40)
        ]
        deadline = time.monotonic() + 30
        while not all(_became(child, "sleep") for child in started):
            dead = [child.program.log.read_text() for child in started if child.process and child.process.poll()]
            assert not dead, dead[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        children.stop()


def _became(child: Child, program: str) -> bool:
    return child.process is not None and psutil.Process(child.process.pid).name() == program
