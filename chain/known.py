"""What the stations of one process have fetched and found good: each update once, not once for every station.

It is one program with one store, so to do it again would show nothing new. A station whose process is its own shares
nothing with anybody: there this only saves what it would do twice, for a vote that wasn't settled at first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock

from chain.events import UpdateSubmitted
from chain.evidence import Evidence
from twins.contribution import SigningDomain
from twins.encryption import Keyring, encryption_context
from twins.errors import SealError
from twins.model import TwinModel
from twins.remembered import remember
from twins.types import Digest

_MOST = 64 << 20  # bytes in memory: an update of 10,000 devices is 250 MB, and is read again rather than kept
_MODELS = 2  # the head, and what it will be
_ENTRY = 1 << 10  # bytes of a contribution in memory, about


@dataclass(frozen=True)
class Question:
    """What evidence depends on, beside the artifacts and the keys.

    Attributes:
        recorded: the chain's event.
        roster_root: of the station when it submitted.
        domain: of the ledger.
        made: whether the asking station has made the update itself, and doesn't fetch its devices' payloads back.
    """

    recorded: UpdateSubmitted
    roster_root: Digest | None
    domain: SigningDomain
    made: bool

    def answered_by(self, other: Question) -> bool:
        """Tell whether evidence for another question is enough: who had to look at all of it has seen no less."""
        return other == self or (self.made and other == replace(self, made=False))


class Known:
    """Evidence without findings, the newest few megabytes of it, and the newest models; of one archive.

    What was wrong is never kept: it may only have been late, and is fetched again.
    """

    def __init__(self, most: int = _MOST) -> None:
        """Know nothing, and never more than ``most`` bytes."""
        self._most, self._lock = most, Lock()
        self._models: dict[Digest, TwinModel] = {}
        self._known: OrderedDict[tuple[Question, frozenset[bytes]], Evidence] = OrderedDict()

    def model(self, digest: Digest, fetch: Callable[[Digest], TwinModel]) -> TwinModel:
        """Return the model that a manifest's digest names; fetch it if nobody has.

        Raises:
            TwinsError: as ``fetch``.
        """
        found = self._models.get(digest)
        return remember(self._models, digest, fetch(digest), _MODELS) if found is None else found

    def evidence(self, question: Question, keyring: Keyring, gather: Callable[[], Evidence]) -> Evidence:
        """Return what somebody found who could read the same; gather it if nobody has.

        Raises:
            StoreError: as ``gather``.
        """
        found = self._found(question, keyring)
        if found is None:
            found = gather()
            self._keep(question, keyring, found)
        return found

    def _found(self, question: Question, keyring: Keyring) -> Evidence | None:
        with self._lock:
            known = [(keys, evidence) for (asked, keys), evidence in self._known.items() if question.answered_by(asked)]
        for keys, evidence in known:
            if question.made:  # it knows what is in there
                return evidence
            with suppress(SealError):  # a grant that gives no key is a finding, and this station's own
                if keys == _keys(evidence, keyring):
                    return evidence
        return None

    def _keep(self, question: Question, keyring: Keyring, evidence: Evidence) -> None:
        if evidence.findings or _size(evidence) > self._most:
            return
        try:
            keys = _keys(evidence, keyring)
        except SealError:  # of several grants another one has opened: rare enough to be looked at each time
            return
        with self._lock:
            self._known[question, keys] = evidence
            while sum(map(_size, self._known.values())) > self._most:
                self._known.popitem(last=False)


def _keys(evidence: Evidence, keyring: Keyring) -> frozenset[bytes]:
    """Return the keys by which this keyring opens the update's payloads; none if they lie open, or are unreadable."""
    manifest = evidence.manifest
    if manifest is None or manifest.encryption is None:
        return frozenset()
    context = encryption_context(manifest.twin, manifest.trained_round, manifest.station)
    return keyring.keys(evidence.recorded.update, manifest.encryption, context)


def _size(evidence: Evidence) -> int:
    """Return the bytes that evidence takes in memory, about."""
    model = 0 if evidence.model is None else sum(array.nbytes for array in evidence.model.tensors.values())
    entries = 0 if evidence.index is None else len(evidence.index.entries)
    return model + entries * _ENTRY + sum(len(update.payload) for update in evidence.updates or ())
