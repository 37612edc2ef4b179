"""Which calls stations, honest and not, could make at a moment: mostly sensible ones, or nothing would ever happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chain.accounts import Account
from chain.values import ProvenContribution, Recorded, RoundStatus, Update
from tests.integration.chain.dispute_model import DisputeModel, leaf_of
from twins.contribution import LEAF_TYPES, Attestation, Contribution, Receipt, address_of_key, contribution_leaf
from twins.merkle import StandardMerkleTree
from twins.types import ZERO_DIGEST, Digest, TwinId, sha256_digest

KEYS = tuple(bytes([0x44] * 31 + [index + 1]) for index in range(4))
DEVICES = tuple(address_of_key(key) for key in KEYS)
ROSTERS = tuple(
    StandardMerkleTree.of(("address",), [(device,) for device in group]) for group in (DEVICES[:3], DEVICES[:2])
)
KINDS = (
    "open_round", "submit_update", "attest", "tally", "abort_round", "finalize_signed", "dispute", "prove_forgery",
    "prove_double_count", "challenge_invented", "challenge_omitted", "answer_challenge", "settle_challenge",
    "suspend_station", "vote_suspend", "reinstate_station", "reinstate_station", "cast_ballot", "elect", "set_weight",
    "set_roster", "register_station", "genesis",
)  # fmt: skip
LIKELY = {
    RoundStatus.NONE: ("open_round",) * 30,
    RoundStatus.SUBMITTING: ("submit_update",) * 40 + ("dispute",) * 8 + ("prove_forgery", "challenge_invented") * 2,
    RoundStatus.ATTESTING: ("attest",) * 40 + ("dispute",) * 6 + ("finalize_signed", "tally") * 3,
    RoundStatus.EXPIRED: ("abort_round",) * 30,
    RoundStatus.FINAL: ("open_round",) * 40,
    RoundStatus.ABORTED: ("open_round",) * 40,
}
RARELY = (False,) * 11 + (True,)
Choose = Callable[[Sequence[Any]], Any]


@dataclass(frozen=True)
class Call:
    """One call: of the contract with ``arguments``, of the model with ``model`` where its own differ."""

    kind: str
    sender: Account
    arguments: tuple[Any, ...]
    model: tuple[Any, ...] = ()


class Calls:
    """Makes calls up. ``models`` are those that stations vote for."""

    def __init__(self, model: DisputeModel, people: Sequence[Account], twins: Sequence[TwinId]) -> None:
        """The first account administers, the next five are stations, two may become some, the last never does."""
        self.model, self.twins = model, twins
        self.admin, self.stations, self.people = people[0], people[1:6], people[1:]
        self.candidates = people[1:8]
        self.models = [sha256_digest(text) for text in (b"right", b"wrong", b"lazy")]
        self.counted: list[Recorded] = []
        self.trees: dict[Digest, tuple[StandardMerkleTree, list[ProvenContribution]]] = {}
        self.able = list(self.stations)  # live electors of the twin in question
        self.made = 0

    def opening(self) -> Iterator[Call]:
        """Return the calls that every run begins with."""
        for station in self.stations:
            yield Call("register_station", self.admin, (station.address,))
            yield Call("set_weight", self.admin, (station.address, 10))
            yield Call("set_roster", station, (ROSTERS[0].root, 3))
        for twin in self.twins:
            yield Call("genesis", self.admin, (twin, self.models[0]))

    def draw(self, choose: Choose, now: int) -> Call:
        """Make up the next call, for a block at ``now``."""
        twin = choose(self.twins)
        electorate, registry = self.model.twin(twin).round.electorate, self.model.registry
        able = electorate & registry.active
        self.able = [a for a in self.stations if a.address in registry.members and registry.bit(a.address) & able]
        status = self.model.status(self.model.twin(twin).round, now)
        kind = choose(KINDS + LIKELY[status])
        call: Call = getattr(self, "_" + kind, self._about_station)(choose, twin, kind)
        return replace(call, sender=choose(self.people)) if choose(RARELY) else call

    def note(self, call: Call) -> None:
        """Keep what was counted, for proofs about it."""
        if call.kind == "submit_update":
            (update,) = call.arguments
            roster = self.model.registry.members[call.sender.address].roster
            recorded = Recorded(update, call.sender.address, roster)
            if recorded in self.model.twin(update.twin).kept.values():
                self.counted = [*self.counted[-11:], recorded]

    def _number(self, choose: Choose, twin: TwinId) -> int:
        number = self.model.twin(twin).round.number
        return int(choose([number] * 12 + [max(number - 1, 0), number + 1]))

    def _elector(self, choose: Choose) -> Account:
        account: Account = choose(self.stations if choose(RARELY) or not self.able else self.able)
        return account

    def _evidence(self, choose: Choose) -> Digest:
        return ZERO_DIGEST if choose(RARELY) and choose(RARELY) else sha256_digest(b"evidence")

    # -- registry -------------------------------------------------------------------------------------------

    def _about_station(self, choose: Choose, twin: TwinId, kind: str) -> Call:
        station, sender = choose(self.candidates).address, choose(self.stations)
        registry = self.model.registry
        suspended = [
            a for a in self.stations if a.address in registry.members and registry.members[a.address].suspended
        ]
        if kind == "reinstate_station" and suspended:
            station = choose(suspended).address
        arguments: dict[str, tuple[Any, ...]] = {
            "suspend_station": (station, self._evidence(choose)),
            "vote_suspend": (choose(self.candidates[:2]).address, self._evidence(choose)),
            "reinstate_station": (station,),
            "register_station": (station,),
            "set_weight": (station, choose([0, 1, 5, 20])),
            "cast_ballot": (choose([0, 1, 3, 5, 6, 7, 12, 24, 31, 128]),),
            "elect": (choose([1, 2, 3, 4, 5, 5, 5, 8]),),
            "set_roster": (choose([ROSTERS[0].root, ROSTERS[1].root, ZERO_DIGEST]), 3),
        }
        governed = kind in ("suspend_station", "reinstate_station", "register_station", "set_weight")
        return Call(kind, self.admin if governed else sender, arguments[kind])

    # -- rounds ---------------------------------------------------------------------------------------------

    def _genesis(self, choose: Choose, twin: TwinId, kind: str) -> Call:
        return Call(kind, self.admin, (choose([*self.twins, sha256_digest(b"none")]), self.models[0]))

    def _open_round(self, choose: Choose, twin: TwinId, kind: str) -> Call:
        number = self._number(choose, twin) + 1
        windows = choose([(60, 90)] * 6 + [(600, 600), (59, 90), (60, 59)])
        return Call(kind, choose(self.stations), (twin, number, *windows, choose([2, 2, 2, 3, 1, 0, 9])))

    def _submit_update(self, choose: Choose, twin: TwinId, kind: str) -> Call:
        record, sender, number = self.model.twin(twin), self._elector(choose), self._number(choose, twin)
        base_round = choose([record.head] * 8 + [max(record.head - 1, 0), number])
        trained = choose([number] * 8 + [base_round + 1, base_round, number + 1])
        base = choose([record.models.get(base_round, ZERO_DIGEST)] * 12 + [self.models[2], ZERO_DIGEST])
        self.made += 1
        update = Update(
            twin=twin,
            round=number,
            trained_round=trained,
            base_round=base_round,
            base=base,
            update=sha256_digest(b"same" if choose(RARELY) else b"update %d" % self.made),
            contributions=ZERO_DIGEST,
            examples=0 if choose(RARELY) and choose(RARELY) else 100,
        )
        return Call(kind, sender, (replace(update, contributions=self._tree(choose, update, sender)),))

    def _tree(self, choose: Choose, update: Update, station: Account) -> Digest:
        """Make up contributions: honest, with a forged one, a device twice, a device of no roster."""
        signers = choose([((0, 0), (1, 1))] * 3 + [((0, 0), (1, 2)), ((0, 0), (0, 0)), ((0, 0), (3, 3)), ((2, 2),)])
        entries = []
        for place, (device, key) in enumerate(signers):
            digest = sha256_digest(b"device %d %d" % (device, place))
            said = Contribution(update.twin, update.trained_round, station.address, update.base, digest, 50)
            signature = said.sign(self.model.domain, KEYS[key])
            entries.append(ProvenContribution(DEVICES[device], digest, 50, signature))
        leaves = [contribution_leaf(e.device, e.digest, e.examples, e.signature) for e in entries]
        tree = StandardMerkleTree.of(LEAF_TYPES, leaves)
        self.trees[tree.root] = tree, entries
        return tree.root

    def _attest(self, choose: Choose, twin: TwinId, kind: str) -> Call:
        sender, round_ = self._elector(choose), self.model.twin(twin).round
        index = self.model.registry.index(sender.address)
        mine = self.model.votes(round_).get(index, ZERO_DIGEST)
        model = choose([self.models[0]] * 6 + [*self.models[1:], ZERO_DIGEST])
        old = choose([ZERO_DIGEST] * 3 + [mine] * 3 + [self.models[1]])
        return Call(kind, sender, (twin, self._number(choose, twin), model, old))

    def _tally(self, choose: Choose, twin: TwinId, kind: str) -> Call:
        return Call(kind, choose(self.people), (twin, self._number(choose, twin), choose(self.models)))

    def _abort_round(self, choose: Choose, twin: TwinId, kind: str) -> Call:
        return Call(kind, choose(self.people), (twin, self._number(choose, twin)))

    def _finalize_signed(self, choose: Choose, twin: TwinId, kind: str) -> Call:
        round_, registry = self.model.twin(twin).round, self.model.registry
        live = round_.electorate & registry.active
        number, model = self._number(choose, twin), choose(self.models)
        group = [a for a in self.candidates if a.address in registry.members and registry.bit(a.address) & live]
        group = sorted(group, key=lambda a: a.address.lower())[choose([0, 0, 0, 1, 2]) :]
        if choose(RARELY):
            group = [*reversed(group), *self.candidates[-1:]]
        excluded = self.model.excluded(round_)
        named = choose([excluded] * 8 + [excluded ^ 1])
        statement = Attestation(twin, number, model, named).signing_hash(self.model.domain)
        signatures = [a.sign_hash(statement) for a in group]
        valid = named == excluded or not group
        if len(group) > 1 and choose(RARELY):
            signatures[0], valid = signatures[1], False
        signers = [a.address for a in group]
        return Call(
            kind, choose(self.people), (twin, number, model, signers, signatures), (twin, number, model, signers, valid)
        )

    # -- disputes -------------------------------------------------------------------------------------------

    def _dispute(self, choose: Choose, twin: TwinId, kind: str) -> Call:
        accused = choose([*self.stations[:2]] * 3 + [*self.candidates]).address
        evidence = self._evidence(choose)
        return Call(kind, self._elector(choose), (twin, self._number(choose, twin), accused, evidence))

    def _leaf(self, choose: Choose, twin: TwinId) -> tuple[Recorded, ProvenContribution, tuple[bytes, ...]] | None:
        if not self.counted:
            return None
        recorded = choose(self.counted)
        tree, entries = self.trees[recorded.update.contributions]
        place = choose(range(len(entries)))
        proof = tree.proof(choose(range(len(entries)))) if choose(RARELY) else tree.proof(place)
        if choose(RARELY):
            wrong = (
                replace(recorded, roster=ZERO_DIGEST),
                replace(recorded, station=self.stations[0].address),
                replace(recorded, update=replace(recorded.update, examples=7)),
            )
            recorded = choose(wrong)
        return recorded, entries[place], proof

    def _prove_forgery(self, choose: Choose, twin: TwinId, kind: str) -> Call:
        found = self._leaf(choose, twin)
        return Call(kind, choose(self.stations), found) if found else self._abort_round(choose, twin, "abort_round")

    _challenge_invented = _prove_forgery

    def _prove_double_count(self, choose: Choose, twin: TwinId, kind: str) -> Call:
        one, two = self._leaf(choose, twin), self._leaf(choose, twin)
        if one is None or two is None:
            return self._abort_round(choose, twin, "abort_round")
        tree, entries = self.trees[one[0].update.contributions]
        if choose((True, False)):
            two = one[0], entries[-1], tree.proof(len(entries) - 1)
        return Call(kind, choose(self.stations), (*one, *two))

    def _challenge_omitted(self, choose: Choose, twin: TwinId, kind: str) -> Call:
        found = self._leaf(choose, twin)
        if found is None:
            return self._abort_round(choose, twin, "abort_round")
        recorded, contribution, _ = found
        leaf = choose([leaf_of(contribution), sha256_digest(b"left out")])
        statement = Receipt(recorded.update.twin, recorded.update.trained_round, leaf)
        signer = next((a for a in self.people if a.address == recorded.station), self.people[0])
        signer = choose(self.stations) if choose(RARELY) else signer
        receipt = signer.sign_hash(statement.signing_hash(self.model.domain))
        return Call(kind, choose(self.stations), (recorded, leaf, receipt))

    def _settle_challenge(self, choose: Choose, twin: TwinId, kind: str) -> Call:
        right, wrong, _ = self.models
        known = [*self.model.twin(twin).challenges][-4:] or [(1, self.stations[0].address, right, wrong)]
        return Call(kind, choose(self.people), (twin, *choose(known)))

    def _answer_challenge(self, choose: Choose, twin: TwinId, kind: str) -> Call:
        call = self._settle_challenge(choose, twin, kind)
        _, _, _, root, leaf = call.arguments
        trees = [*ROSTERS, *(tree for tree, _ in self.trees.values() if tree.root == root)]
        tree = next((tree for tree in trees if tree.root == root), ROSTERS[0])
        leaves = ["0x" + node.hex() for node in tree.leaves]
        proof = tree.proof(leaves.index(leaf)) if leaf in leaves else ()
        return replace(call, arguments=(*call.arguments, proof))
