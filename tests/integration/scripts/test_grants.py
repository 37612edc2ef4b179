"""Readers of the devices' updates: granted from the beginning, later, no more; and what an audit says without them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.scripts.commands import Place

pytestmark = pytest.mark.integration


def reader(place: Place, file: Path) -> str:
    made = place.run("grants", "key", str(file), "--json")
    assert made.code == 0, made
    assert file.stat().st_mode & 0o777 == 0o600
    return str(made.lines()[0]["reader"])


def checked(place: Place, *arguments: str) -> tuple[int, str, int]:
    """Exit code and verdict of an audit, and how many device updates it has recomputed."""
    done = place.audit("tiny", *arguments)
    (report,) = done.lines()
    return done.code, report["verdict"], report["checked"]["device_updates"]


def test_an_audit_without_a_grant_says_what_it_could_not_check_and_exits_3(place: Place, tmp_path: Path) -> None:
    assert place.rounds(2).code == 0
    assert checked(place) == (0, "verified", 12)
    reader(place, tmp_path / "stranger.key")
    stranger = ("--reader-key", str(tmp_path / "stranger.key"))
    assert checked(place, *stranger) == (3, "incomplete", 0)
    told = place.run("audit", "tiny", *stranger)
    assert told.code == 3
    assert told.out.count("not checked") == 6
    assert "expected a grant for a key at hand" in told.out
    assert "incomplete" in told.out.splitlines()[-1]


def test_a_reader_that_comes_later_is_granted_the_past_by_each_station(place: Place, tmp_path: Path) -> None:
    assert place.rounds(2).code == 0
    key = tmp_path / "late.key"
    late = reader(place, key)
    files: list[str] = []
    for account, updates in (("1", 4), ("2", 8), ("3", 12)):
        file = tmp_path / f"grants-{account}.json"
        words = ("--twin", "tiny", "--reader", late, "--grants", str(file), "--account", account)
        assert place.run("grants", "issue", *words, "--json").lines()[0]["updates"] == 2
        files += ["--grants", str(file)]
        code, verdict = (0, "verified") if updates == 12 else (3, "incomplete")
        assert checked(place, "--reader-key", str(key), *files) == (code, verdict, updates)
    other = reader(place, tmp_path / "other.key")
    assert other != late
    assert checked(place, "--reader-key", str(tmp_path / "other.key"), *files)[0] == 3


def test_readers_are_allowed_and_revoked_from_the_next_update_on(place: Place, tmp_path: Path) -> None:
    assert place.rounds(1).code == 0
    mine = reader(place, tmp_path / "mine.key")
    (own,) = place.run("grants", "list", "--json").lines()[0]
    assert set(place.run("grants", "allow", mine, "--json").lines()[0]) == {own, mine}
    assert place.rounds(2).code == 0
    assert place.run("grants", "revoke", own).code == 0
    assert place.rounds(3).code == 0
    shown = json.loads(place.run("grants", "show", "--twin", "tiny", "--json").out)
    readers = {row["round"]: set(row["readers"]) for row in shown}
    assert readers == {1: {own}, 2: {own, mine}, 3: {mine}}
    # What was granted stays granted: the revoked reader still opens the first two rounds.
    assert checked(place) == (3, "incomplete", 12)
    assert checked(place, "--reader-key", str(tmp_path / "mine.key")) == (3, "incomplete", 12)


def test_a_rule_with_state_is_not_called_wrong_for_want_of_an_earlier_grant(place: Place, tmp_path: Path) -> None:
    adam = ("--strategy", "FedAdam", "--strategy-arg", "eta=0.05")
    assert place.rounds(3, *adam).code == 0
    assert checked(place) == (0, "verified", 18)
    key, files = tmp_path / "late.key", list[str]()
    late = reader(place, key)
    for account in ("1", "2", "3"):
        file = tmp_path / f"grants-{account}.json"
        words = ("--twin", "tiny", "--reader", late, "--grants", str(file), "--account", account, "--from", "2")
        assert place.run("grants", "issue", *words).code == 0
        files += ["--grants", str(file)]
    assert checked(place, "--reader-key", str(key), *files) == (3, "incomplete", 0)


def test_an_open_twin_needs_no_grant(place: Place, tmp_path: Path) -> None:
    assert place.rounds(1, "--open").code == 0
    reader(place, tmp_path / "stranger.key")
    assert checked(place, "--reader-key", str(tmp_path / "stranger.key")) == (0, "verified", 6)


def test_a_grant_that_was_altered_is_a_finding_not_a_missing_grant(place: Place, tmp_path: Path) -> None:
    assert place.rounds(1).code == 0
    key, file = tmp_path / "late.key", tmp_path / "g.json"
    late = reader(place, key)
    words = ("--twin", "tiny", "--reader", late, "--grants", str(file), "--account", "1")
    assert place.run("grants", "issue", *words).code == 0
    text = file.read_text()
    at = text.index('"wrapped": "0x') + 20
    file.write_text(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :])
    assert checked(place, "--reader-key", str(key), "--grants", str(file))[:2] == (1, "failed")


def test_bad_readers_and_grants_are_refused_in_one_line(place: Place, tmp_path: Path) -> None:
    assert place.rounds(1).code == 0
    garbage = tmp_path / "garbage"
    garbage.write_text("{}")
    stranger = "0x" + "12" * 32
    for script, arguments, words in (
        ("grants", ("allow", "0x12"), "not a reader's public key"),
        ("grants", ("revoke", stranger), "expected one of the 1 readers"),
        ("grants", ("key", str(garbage)), "a key is never overwritten"),
        ("audit", ("tiny", "--grants", str(garbage)), "expected grants of scripts/grants.py issue"),
        ("audit", ("tiny", "--reader-key", str(garbage)), "expected 64 hex digits"),
        ("rounds", ("--rounds", "2", "--twin", "other", "--reader", "0x12"), "--reader: not a reader's public key"),
    ):
        done = place.run(script, *arguments)
        assert done.code == 2, done
        assert words in done.err
        assert len(done.err.splitlines()) == 1
    assert (
        place.run(
            "grants", "issue", "--twin", "tiny", "--reader", stranger, "--grants", str(tmp_path / "g"), "--account", "9"
        ).code
        == 1
    )
