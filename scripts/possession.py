"""A station's possession checks in this process: put together, and kept going beside the rounds.

Whatever goes wrong there is told and tried again; it never ends the rounds. Everything is read from the chain, so the
thread may end at any moment, with the process or before.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from chain.accounts import Account
from chain.clock import SlotClock
from chain.errors import ChainError, PDPDataError, UndoneError
from chain.pdp.keys import DEFAULT_EXPONENT_BITS, PrivateKey
from chain.possession import Possession
from chain.slot_steps import SlotStep
from scripts.cli import BadInputError
from scripts.connections import Network, Reach
from scripts.home import write_atomically
from twins.archive import Archive
from twins.errors import TwinsError
from twins.holding import DirectoryHolding, Holding
from twins.store import DirectoryStore
from twins.types import TwinId

VERSIONS_PER_KEY = 144
"""After so many versions a tagger makes a new key, and the old one is gone: who breaks in later can't forge for older
versions. A day of ten-minute slots; a new key costs a second and 218,000 gas."""

_LOOK = 0.7  # seconds between looks at the clock


@dataclass(frozen=True)
class KeyFile:
    """A station's tagging key in a file, encrypted under its account (PKCS#8).

    Attributes:
        file: where.
        account: the station's.
        exponent_bits: of a new key: decides the size of a block.
        notice: told when a key is made.
    """

    file: Path
    account: Account
    exponent_bits: int = DEFAULT_EXPONENT_BITS
    notice: Callable[[str], None] = lambda text: None

    def current(self) -> PrivateKey:
        """Return the key of now; a new one if there is none, or the old one has served its time.

        Raises:
            BadInputError: a file that isn't ours. It is left as it is.
        """
        saved = self._load()
        if saved is not None and saved[1] < VERSIONS_PER_KEY:
            return saved[0]
        key = PrivateKey.generate(self.exponent_bits, notice=self.notice)
        self._save(key, 0)
        return key

    def used(self) -> None:
        """Take note that one more version was tagged under the key."""
        saved = self._load()
        if saved is not None:
            self._save(saved[0], saved[1] + 1)

    @property
    def _password(self) -> bytes:
        return self.account.derive("tagging key").hex().encode()

    def _load(self) -> tuple[PrivateKey, int] | None:
        try:
            saved = json.loads(self.file.read_text(encoding="utf-8"))
            key = PrivateKey.from_pem(saved["key"].encode(), self._password, saved["exponent_bits"])
            return key, int(saved["versions"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, PDPDataError, ChainError) as error:
            raise BadInputError(
                f"{self.file}: expected this station's tagging key, got {error}; delete it, and a new one is made"
            ) from error

    def _save(self, key: PrivateKey, versions: int) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        saved = {
            "exponent_bits": key.exponent_bits,
            "ceremony": key.ceremony,
            "versions": versions,
            "key": key.to_pem(self._password).decode(),
        }
        write_atomically(self.file, json.dumps(saved) + "\n")


def holding_of(reach: Reach, archive: Archive) -> Holding:
    """Return a station's own copies: on the first IPFS node that is named, or in the folder of artifacts."""
    endpoints = reach.endpoints()
    if endpoints:
        from twins.endpoint import KuboEndpoint
        from twins.kubo_holding import KuboHolding  # a second that those without IPFS needn't wait

        return KuboHolding(KuboEndpoint(*endpoints[0]))
    store = archive.store
    if not isinstance(store, DirectoryStore):
        raise BadInputError(f"possession: expected IPFS nodes or a folder of artifacts, got {type(store).__name__}")
    return DirectoryHolding(store)


def possession_of(
    network: Network,
    archive: Archive,
    holding: Holding,
    account: Account,
    twins: Sequence[TwinId],
    folder: Path,
    notice: Callable[[str], None] = lambda text: None,
) -> Possession:
    """Put a station's part in the audit together; nothing is sent.

    Args:
        network: the consortium.
        archive: where everybody's artifacts are.
        holding: the station's own copies.
        account: the station's.
        twins: that it tags, where their policies let it.
        folder: for its tagging keys.
        notice: told when a key is made.
    """
    file = folder / f"{network.audit.address}-{account.address}.json"
    return Possession.of(
        tuple(twins),
        account,
        network.registry,
        network.ledger,
        network.audit,
        network.since,
        archive,
        holding,
        KeyFile(file, account, notice=notice),
    )


class PossessionThread:
    """Keeps stations' parts going until it is left; a context manager."""

    def __init__(self, clock: SlotClock, parts: Sequence[Possession], tell: Callable[[SlotStep], None]) -> None:
        """Start nothing yet.

        Args:
            clock: of the audit.
            parts: of one or several stations.
            tell: told every step, from another thread.
        """
        self._clock, self._parts, self._tell = clock, parts, tell
        self._over = threading.Event()
        # A daemon: a program that ends must not hang on a chain that stalls.
        self._threads = [threading.Thread(target=self._run, args=(part,), daemon=True) for part in parts]
        self.error: Exception | None = None

    def __enter__(self) -> PossessionThread:
        """Start."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """End after the step at hand; what is left is done by whoever looks next."""
        self._over.set()
        if kind is None:
            for thread in self._threads:
                thread.join(10.0)

    def _run(self, part: Possession) -> None:
        while not self._over.is_set():
            try:
                for step in part.step():
                    self._tell(step)
                with suppress(UndoneError):  # what is due is decided by looking at the chain anew
                    self._clock.chain.tend()
            except (ChainError, TwinsError, BadInputError, OSError) as error:
                if str(error) != str(self.error):
                    self.error = error
                    self._clock.chain.notice(f"possession: {error} Looking again")
                self._over.wait(5.0)
            self._over.wait(_LOOK)
