"""What administrators ask of the watcher: validators kept apart, validators that don't seal; and its alarm.

Files rather than commands: a watcher that died and was started anew finds them where they were.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from chain.errors import ChainUnreachableError, DevnetError
from devnet.network import Network, write_json

_CUT = 10.0  # seconds
_REDIAL = 45.0  # seconds; geth's dialHistoryExpiration is 35


@dataclass(frozen=True)
class Wishes:
    """What is unlike the rule that all are connected with all, and all seal.

    Attributes:
        groups: names of validators; those of one group have no connection to those of another. Empty: no groups.
        paused: names of validators that don't seal.
    """

    groups: tuple[tuple[str, ...], ...] = ()
    paused: tuple[str, ...] = ()

    @staticmethod
    def file(root: Path) -> Path:
        """Where they are saved."""
        return root / "wishes.json"

    @classmethod
    def load(cls, root: Path) -> Wishes:
        """Return what is saved, none if nothing is."""
        try:
            saved = json.loads(cls.file(root).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        return cls(tuple(tuple(group) for group in saved["groups"]), tuple(saved["paused"]))

    def save(self, root: Path) -> None:
        """Write them all at once; the watcher sees them within a second."""
        if self == Wishes():
            self.file(root).unlink(missing_ok=True)
        else:
            write_json(self.file(root), asdict(self))

    def together(self, one: str, other: str) -> bool:
        """Whether two validators are to be connected."""
        return not self.groups or any(one in group and other in group for group in self.groups)


def split(network: Network, *groups: Sequence[str]) -> None:
    """Cut a running network in groups of validators, as a broken line between companies would. For tests.

    Raises:
        DevnetError: the groups aren't a partition of the validators, or a connection holds out for 10 s.
    """
    named = sorted(name for group in groups for name in group)
    if named != sorted(validator.name for validator in network.validators):
        raise DevnetError(f"groups: expected every validator once, got {', '.join(named)}")
    wishes = Wishes(tuple(tuple(group) for group in groups))
    wishes.save(network.root)
    _apply(network, wishes, link=False)


def rejoin(network: Network) -> None:
    """Connect all with all again.

    At once, unless both sides of a connection have dialled one another within the last 35 s: geth doesn't dial the
    same node sooner, whatever it is told, so this then takes as long.

    Raises:
        DevnetError: a connection isn't there after 45 s.
    """
    Wishes().save(network.root)
    _apply(network, Wishes(), link=True)


def _apply(network: Network, wishes: Wishes, *, link: bool) -> None:
    """Do at once what the watcher would do, and wait until it is so."""
    limit = _REDIAL if link else _CUT
    deadline = time.monotonic() + limit
    while True:
        wrong = []
        for validator in network.validators:
            admin = network.admin(validator.name)
            try:
                connected = admin.peers()
                for other in network.validators:
                    if other is validator or wishes.together(validator.name, other.name) != link:
                        continue
                    if (other.key in connected) != link:
                        wrong.append(f"{validator.name} and {other.name}")
                        (admin.link if link else admin.unlink)(other.enode)
            except ChainUnreachableError:
                continue  # it is down, or being started
        if not wrong:
            return
        if time.monotonic() > deadline:
            raise DevnetError(
                f"{wrong[0]}: expected {'a' if link else 'no'} connection within {limit:g} s, got otherwise"
            )
        time.sleep(0.1)


@dataclass(frozen=True)
class Alarm:
    """Something that nobody mends by itself.

    Attributes:
        what: ``stalled`` (no blocks come) or ``forked`` (validators stay with different blocks).
        since: seconds since 1970.
        message: what was seen, and what helps.
    """

    what: str
    since: float
    message: str

    @staticmethod
    def file(root: Path) -> Path:
        """Where the watcher puts it."""
        return root / "alarm.json"

    @classmethod
    def load(cls, root: Path) -> Alarm | None:
        """Return the alarm that is on now."""
        try:
            return cls(**json.loads(cls.file(root).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
