from __future__ import annotations

import pytest

from devnet.watcher import Judge, Look

pytestmark = pytest.mark.unit


def look(height: int, common: str = "same") -> Look:
    return Look(height, f"0x{height}", frozenset(), True, True, common)


def test_blocks_that_come_are_no_alarm() -> None:
    judge = Judge(10)
    for second in range(60):
        assert judge.judge(second, {"a": look(second), "b": look(second - 1)}, 2) is None


def test_ten_periods_without_a_block_are_an_alarm_until_the_next_one() -> None:
    judge = Judge(10)
    for second in range(11):
        assert judge.judge(second, {"a": look(5), "b": look(5)}, 3) is None
    alarm = judge.judge(11, {"a": look(5), "b": look(5)}, 3)
    assert alarm is not None
    assert alarm[0] == "stalled"
    assert "no block since number 5" in alarm[1]
    assert "2 of 3 validators answer" in alarm[1]
    assert "heal" in alarm[1]
    assert judge.judge(12, {"a": look(6), "b": look(5)}, 3) is None
    assert judge.judge(13, {"a": look(6), "b": look(6)}, 3) is None


def test_with_too_few_validators_the_alarm_does_not_suggest_healing() -> None:
    judge = Judge(10)
    judge.judge(0, {"a": look(5)}, 4)
    alarm = judge.judge(11, {"a": look(5), "b": look(5)}, 4)
    assert alarm is not None
    assert "heal" not in alarm[1]


def test_nobody_who_answers_is_an_alarm_too() -> None:
    judge = Judge(10)
    judge.judge(0, {}, 3)
    alarm = judge.judge(11, {}, 3)
    assert alarm is not None
    assert "0 of 3" in alarm[1]


def test_a_head_that_goes_back_does_not_count_as_a_new_block() -> None:
    judge = Judge(10)
    judge.judge(0, {"a": look(9)}, 1)
    for second in range(1, 11):
        assert judge.judge(second, {"a": look(second % 9)}, 1) is None
    assert judge.judge(11, {"a": look(8)}, 1) is not None


def test_a_fork_is_an_alarm_only_when_it_lasts() -> None:
    judge = Judge(10)
    for second in range(9):
        forked = {"a": look(second, "x"), "b": look(second, "y")}
        assert judge.judge(second, forked, 2) is None
    assert judge.judge(9, {"a": look(9), "b": look(9)}, 2) is None  # over: the clock starts anew
    for second in range(10, 20):
        assert judge.judge(second, {"a": look(second, "x"), "b": look(second, "y")}, 2) is None
    alarm = judge.judge(21, {"a": look(21, "x"), "b": look(21, "y")}, 2)
    assert alarm is not None
    assert alarm[0] == "forked"
    assert "a 21 0x21" in alarm[1]
