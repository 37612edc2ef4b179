"""Looks at the validators every second: connects them, lets them seal, raises the alarm. One per network.

Run by the supervisor as ``python -m devnet.watcher HOME/consortium``. It does three things that geth doesn't:

- A dial that failed is repeated by geth after half a minute only; here both sides are told at once. What isn't on the
  list of validators is never connected.
- A validator seals only once it is connected with so many that they are a majority together. One that starts alone
  would seal a block that nobody else knows, and the others theirs.
- No block for ten periods, or different blocks at the same height for as long, is an alarm: a line in the log, and
  ``alarm.json`` until it is over. Nothing is done about it: see ``scripts/devnet.py heal``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chain.errors import ChainError
from devnet.admin import Admin
from devnet.control import Alarm, Wishes
from devnet.geth_node import Validator
from devnet.network import Network, write_json

INTERVAL = 1.0  # seconds between looks
PATIENCE = 10  # periods, and at least as many seconds
_ANSWER = 2.0  # seconds that a validator has for an answer


@dataclass(frozen=True)
class Look:
    """What was seen of one validator that answers.

    Attributes:
        height: number of its head block.
        head: hash of that.
        peers: public keys of the connected nodes.
        sealing: whether it was told to seal.
        signs: whether the chain allows it to.
        common: hash of its block at the lowest height that any of them has.
    """

    height: int
    head: str
    peers: frozenset[str]
    sealing: bool
    signs: bool
    common: str = ""


@dataclass
class Judge:
    """Says when there is reason for an alarm. Knows no clock and no network: both are given.

    Attributes:
        limit: seconds without a block, or with a fork, that are too many.
    """

    limit: float
    _newest: int = -1
    _grown: float = field(default=float("nan"))
    _level: float = field(default=float("nan"))

    def judge(self, now: float, looks: Mapping[str, Look], expected: int) -> tuple[str, str] | None:
        """Take in what was seen, and return the alarm that should be on: what, and a message.

        Args:
            now: seconds, from any start.
            looks: by validator's name; those that don't answer are missing.
            expected: how many validators there are.
        """
        newest = max((look.height for look in looks.values()), default=-1)
        if newest > self._newest or self._grown != self._grown:
            self._newest, self._grown = max(newest, self._newest), now
        blocks = {look.common for look in looks.values() if look.common}
        if len(blocks) < 2 or self._level != self._level:
            self._level = now
        if now - self._grown > self.limit:
            message = (
                f"no block since number {self._newest} {now - self._grown:.0f} s ago; {len(looks)} of {expected} "
                f"validators answer, more than half have to be up and connected"
            )
            if len(looks) * 2 > expected:
                message += ": if they are (scripts/devnet.py status), scripts/devnet.py heal"
            return "stalled", message
        if now - self._level > self.limit:
            heads = ", ".join(f"{name} {look.height} {look.head[:10]}" for name, look in sorted(looks.items()))
            return "forked", f"validators have had different blocks for {now - self._level:.0f} s: {heads}"
        return None


def look_at(network: Network) -> dict[str, Look]:
    """Ask every validator; those that don't answer are missing."""
    found: dict[str, Look] = {}
    admins = {validator: network.admin(validator.name, _ANSWER) for validator in network.validators}
    for validator, admin in admins.items():
        try:
            head = admin.head()
            sealing = bool(admin.call("eth_mining"))
            signs = sealing or validator.address.lower() in admin.signers()
            found[validator.name] = Look(head["number"], head["hash"], frozenset(admin.peers()), sealing, signs)
        except ChainError:
            continue  # being started, stopped or killed: the supervisor's business
    lowest = min((look.height for look in found.values()), default=0)
    return {name: _with_common(network.admin(name, _ANSWER), look, lowest) for name, look in found.items()}


def _with_common(admin: Admin, look: Look, height: int) -> Look:
    common = look.head
    if look.height != height:
        try:
            common = admin.block(height)["hash"]
        except ChainError:
            common = ""  # gone since: nothing is known of it
    return Look(look.height, look.head, look.peers, look.sealing, look.signs, common)


def connect(network: Network, wishes: Wishes, looks: Mapping[str, Look]) -> list[str]:
    """Make the connections what they should be, and let those seal that may; return what was done."""
    done: list[str] = []
    for validator in network.validators:
        look = looks.get(validator.name)
        if look is not None:
            try:
                done += _mend(network, wishes, validator, look, looks)
            except ChainError as error:
                done.append(f"{validator.name}: {error}")
    return done


def _mend(network: Network, wishes: Wishes, validator: Validator, look: Look, looks: Mapping[str, Look]) -> list[str]:
    done, admin = [], network.admin(validator.name, _ANSWER)
    for other in network.validators:
        if other is validator:
            continue
        wanted, there = wishes.together(validator.name, other.name), other.key in look.peers
        if wanted and not there and other.name in looks:
            admin.link(other.enode)
            done.append(f"{validator.name}: linked with {other.name}")
        elif there and not wanted:
            admin.unlink(other.enode)
            done.append(f"{validator.name}: unlinked from {other.name}")
    company = sum(other.key in look.peers for other in network.validators) + 1
    ready = look.signs and company * 2 > len(network.validators)
    if validator.name in wishes.paused:
        if look.sealing:
            admin.seal(False)
            done.append(f"{validator.name}: stops sealing")
    elif ready and not look.sealing:
        admin.seal(True)
        done.append(f"{validator.name}: seals")
    return done


def watch(root: Path) -> None:
    """Go on for ever.

    Raises:
        DevnetError: no network there.
    """
    network = Network.load(root)
    judge, alarm = Judge(max(PATIENCE * network.period, float(PATIENCE))), None
    Alarm.file(root).unlink(missing_ok=True)
    while True:
        started = time.monotonic()
        network = Network.load(root)  # validators come and go
        looks = look_at(network)
        for line in connect(network, Wishes.load(root), looks):
            _log(line)
        verdict = judge.judge(time.monotonic(), looks, len(network.validators))
        if verdict is None and alarm is not None:
            _log(f"over: {alarm.what}")
            Alarm.file(root).unlink(missing_ok=True)
            alarm = None
        elif verdict is not None:
            what, message = verdict
            if alarm is None or alarm.what != what:
                _log(f"ALARM {what}: {message}")
            alarm = Alarm(what, time.time() if alarm is None else alarm.since, message)
            write_json(Alarm.file(root), alarm.__dict__)
        time.sleep(max(0.0, started + INTERVAL - time.monotonic()))


def _log(text: str) -> None:
    print(time.strftime("%Y-%m-%d %H:%M:%S"), text, flush=True)


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
