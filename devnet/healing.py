"""Cures the one deadlock that Clique has: two branches of equal weight, and nobody who may seal on his own.

Seen with four validators cut in two pairs: each pair seals one or two blocks, then both of it have "signed recently"
(EIP-225: once in N/2 + 1 blocks). Connected again, nobody fetches the other branch, since it isn't heavier.

The cure: the validators of one branch stop sealing, go back to the last common block, are started anew (their peers
have to forget which branch they announced), fetch the other branch, and seal again: on that one they haven't signed
recently.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby

from chain.errors import DevnetError
from devnet.admin import Admin
from devnet.control import Wishes
from devnet.network import Network
from devnet.operation import Say, await_blocks, await_validator, supervisor_of

_POLL = 0.1  # seconds
_STUCK = 5  # periods without a block, and at least as many seconds
_LEVEL = 60.0  # seconds


def heal(network: Network, say: Say) -> bool:
    """Let the validators of the smaller branch follow the larger one.

    Returns:
        False when there is nothing to heal: blocks come.

    Raises:
        DevnetError: the deadlock isn't this one, or the cure takes longer than a minute.
    """
    started = time.monotonic()
    admins = _answering(network)
    if _grows(admins, max(float(_STUCK), float(_STUCK * network.period))):
        say("blocks come: nothing to heal")
        return False
    _require_connected(network, admins)
    ancestor, branches = fork(admins)
    if len(branches) < 2:
        raise DevnetError(
            f"heal: expected validators on different branches, got {len(admins)} of {len(network.validators)} that "
            f"answer, all at block {ancestor}; more than half have to be up to seal"
        )
    kept, *others = branches
    say(f"the last common block is {ancestor}; {', '.join(kept)} keep their branch")
    dropped = [name for names in others for name in names]
    wishes = Wishes.load(network.root)
    replace(wishes, paused=tuple(dropped)).save(network.root)  # or the watcher lets them seal at once
    try:
        _set_back(network, dropped, admins, ancestor, say)
        _await_level(network, say)
    finally:
        wishes.save(network.root)
    await_blocks(network)
    say(f"a new block everywhere after {time.monotonic() - started:.1f} s")
    return True


def fork(admins: Mapping[str, Admin]) -> tuple[int, list[list[str]]]:
    """Find the last block that all have, and who follows which branch from there.

    Returns:
        Its number, and the names by branch: first the one with most validators, then of most difficulty. Validators
        that have nothing after the common block are on no branch.
    """
    heads = {name: admin.head() for name, admin in admins.items()}
    ancestor = min(head["number"] for head in heads.values())
    while len({admin.block(ancestor)["hash"] for admin in admins.values()}) > 1:
        ancestor -= 1
    ahead = {
        name: str(admins[name].block(ancestor + 1)["hash"]) for name, head in heads.items() if head["number"] > ancestor
    }
    grouped = [
        list(names) for _, names in groupby(sorted(ahead, key=lambda name: ahead[name]), key=lambda name: ahead[name])
    ]
    grouped.sort(key=lambda names: (len(names), max(heads[name]["totalDifficulty"] for name in names)), reverse=True)
    return ancestor, grouped


def _set_back(network: Network, names: list[str], admins: Mapping[str, Admin], ancestor: int, say: Say) -> None:
    supervisor = supervisor_of(network)
    for name in names:
        admins[name].seal(False)
    for name in names:
        undone = admins[name].height() - ancestor
        admins[name].call("debug_setHead", hex(ancestor))
        say(f"{name}: {undone} blocks undone; transactions that were in them have to be sent again")
    for name in names:
        supervisor.stop_program(name)
    for name in names:
        supervisor.start_program(name)
        await_validator(network, supervisor, network.validator(name))


def _await_level(network: Network, say: Say) -> None:
    started = time.monotonic()
    while True:
        admins = _answering(network)
        _, branches = fork(admins)
        if len(branches) < 2 and len({admin.head()["hash"] for admin in admins.values()}) == 1:
            say(f"all have the same head after {time.monotonic() - started:.1f} s")
            return
        if time.monotonic() - started > _LEVEL:
            raise DevnetError(f"heal: expected the same head everywhere within {_LEVEL:g} s, got {branches}")
        time.sleep(_POLL)


def _answering(network: Network) -> dict[str, Admin]:
    found = network.answering()
    if not found:
        raise DevnetError("heal: expected validators that answer, got none; start them first")
    return found


def _grows(admins: Mapping[str, Admin], seconds: float) -> bool:
    before = max(admin.height() for admin in admins.values())
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if max(admin.height() for admin in admins.values()) > before:
            return True
        time.sleep(_POLL)
    return False


def _require_connected(network: Network, admins: Mapping[str, Admin]) -> None:
    for name, admin in admins.items():
        peers = admin.peers()
        for other in admins:
            if other != name and network.validator(other).key not in peers:
                raise DevnetError(
                    f"heal: expected {name} and {other} connected, got them apart; that has to be mended first"
                )
