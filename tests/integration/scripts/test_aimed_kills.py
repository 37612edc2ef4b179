"""Killed before or after any single write, a run leaves a record that the same command completes to the same head."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.integration.scripts.commands import TINY, Place
from tests.integration.scripts.warm import Aim, start

pytestmark = pytest.mark.integration

ROUNDS = 8
LEDGER, REGISTRY = "chain.round_ledger:RoundLedger", "chain.twin_registry:TwinRegistry"
STORE, DEVICE = "twins.store:DirectoryStore", "twins.updates:DeviceUpdate"

KILLS = (
    Aim(f"{REGISTRY}.register_twin", after=True),
    Aim("chain.transactions:Transactions._send_new", 2, after=True),  # the second of three stations that go together
    Aim(f"{LEDGER}.genesis"),
    Aim(f"{LEDGER}.genesis", after=True),
    Aim(f"{REGISTRY}.set_roster", 1, after=True),
    Aim(f"{LEDGER}.open_round", after=True),
    Aim(f"{DEVICE}.of", 2),
    Aim(f"{LEDGER}.submit_update"),
    Aim(f"{LEDGER}.submit_update", after=True),
    Aim(f"{LEDGER}.submit_update", 2, after=True),
    Aim(f"{LEDGER}.attest"),
    Aim(f"{LEDGER}.attest", after=True),
    Aim(f"{STORE}._write", 3),
    Aim("scripts.federation_run:RoundResult"),
    Aim("scripts.launch:print_json", after=True),
)


def test_killed_before_and_after_every_kind_of_write_a_run_ends_where_an_undisturbed_one_does(
    place: Place, fresh: Place, tmp_path: Path
) -> None:
    command = ("--rounds", str(ROUNDS), *TINY, "--json")
    for aim in KILLS:
        killed = start(fresh.home, tmp_path / "killed", "rounds", command, aim)
        assert killed.join() == -signal.SIGKILL, (aim, killed.err.read_text())
        assert "Traceback" not in killed.err.read_text()
    done = fresh.rounds(ROUNDS)
    assert done.code == 0, done
    lines = done.lines()
    assert lines[-1]["round"] == ROUNDS
    # Also of the round in whose middle the run before was killed: those updates are in the model as well.
    assert {line["stations"] for line in lines} == {3}
    undisturbed = place.rounds(ROUNDS)
    assert place.head() == fresh.head() == undisturbed.lines()[-1]["model"]
    # What is on the chain is told the same by both, whoever was killed meanwhile.
    told = {line["round"]: (line["model"], line["accuracy"], line["loss"]) for line in undisturbed.lines()}
    assert all(told[line["round"]] == (line["model"], line["accuracy"], line["loss"]) for line in lines)


INTERRUPTS = (
    Aim("scripts.station_parts:initial_model", number=signal.SIGINT),
    Aim(f"{REGISTRY}.register_twin", number=signal.SIGINT),
    Aim(f"{DEVICE}.of", 2, number=signal.SIGINT),
    Aim("chain.recorder:encode_payloads", number=signal.SIGINT),
    Aim(f"{STORE}._write", 3, number=signal.SIGINT),
    Aim(f"{LEDGER}.submit_update", 2, after=True, number=signal.SIGINT),
    Aim("chain.evidence:Gatherer.gather", 2, number=signal.SIGINT),
    Aim(f"{LEDGER}.attest", number=signal.SIGINT),
    Aim("scripts.session:Session.evaluate", number=signal.SIGINT),
)


def test_ctrl_c_at_any_moment_is_130_with_one_word_and_the_same_command_completes(
    place: Place, fresh: Place, tmp_path: Path
) -> None:
    tiny = (*TINY[:-1], "stopped")
    command = ("--rounds", "5", *tiny, "--json")
    for aim in INTERRUPTS:
        stopped = start(place.home, tmp_path / "stopped", "rounds", command, aim)
        code = stopped.join()
        assert (code, stopped.err.read_text()) == (130, "interrupted\n"), aim
    assert not list((place.home / "artifacts" / "incoming").iterdir()), "a stopped write cleans up after itself"
    assert place.rounds(5, data=tiny).code == 0
    assert fresh.rounds(5, data=tiny).code == 0
    assert place.head("stopped") == fresh.head("stopped")


def test_a_round_that_ran_out_while_nobody_was_there_is_aborted_and_the_last_one_still_reached(
    fresh: Place, tmp_path: Path
) -> None:
    command = ("--rounds", "2", *TINY, "--json")
    for aim in (Aim(f"{LEDGER}.submit_update", 4), Aim(f"{LEDGER}.submit_update", 1)):
        assert start(fresh.home, tmp_path / "killed", "rounds", command, aim).join() == -signal.SIGKILL
        chain = fresh.chain()
        chain.rpc("evm_increaseTime", (10_000,))
        chain.rpc("evm_mine")
    finished = fresh.rounds(2)
    assert finished.code == 0, finished
    # Rounds 2 and 3 have used up their numbers without an update.
    (line,) = finished.lines()
    assert (line["round"], line["stations"]) == (4, 3)
    fresh.head()
    again = fresh.rounds(2)
    assert (again.code, again.out) == (0, "")


def test_two_runs_at_once_lose_nothing(place: Place, tmp_path: Path) -> None:
    tiny = (*TINY[:-1], "twice")
    command = ("--rounds", "5", *tiny, "--json")
    both = [start(place.home, tmp_path / name, "rounds", command) for name in ("a", "b")]
    for run in both:
        code = run.join()
        # The loser of a race is told so by the chain, in words; nobody is told nonsense.
        assert code in (0, 2), run.err.read_text()
        assert "Traceback" not in run.err.read_text()
        assert (code == 0) == (run.err.read_text() == "")
    assert place.rounds(5, data=tiny).code == 0
    place.head("twice")
