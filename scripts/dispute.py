"""Disputes: accuse a station, prove what it forged, challenge what it hides, answer challenges.

Examples:
    scripts/dispute.py show --twin watch            accusations, rejections, challenges of its newest rounds
    scripts/dispute.py accuse --twin watch --round 4 --station 0x70… --text "see ticket 17" --key station.json
    scripts/dispute.py prove-forgery --twin watch --round 4 --station 0x70… --device 0x3c… --key station.json
    scripts/dispute.py challenge-invented --twin watch --round 4 --station 0x70… --device 0x3c… --key station.json
    scripts/dispute.py challenge-omitted --receipt FILE --round 3 --key station.json
    scripts/dispute.py answer --twin watch --key station.json     every challenge that the record refutes
    scripts/dispute.py settle --twin watch --key station.json     every challenge that nobody answered in time

Who sends pays the gas: --key names a file of hex or an encrypted one (scripts/keys.py). Stations that follow a twin
do all this by themselves, but for what only people know and what only a device has: its receipt.

Exit codes: 0 done; 1 done, and the answer is no (a challenge that can't be answered, or none to settle); 2 it could
not be done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts.cases import KeptReceipt
from scripts.cli import BadInputError, JsonOption, PlainCommand, application, out, print_json, run
from scripts.dispute_report import challenge_line, entries_of, table_of
from scripts.record_options import (
    EvidenceOption,
    Place,
    Sender,
    TextOption,
    evidence_of,
    place,
    sender,
    told,
    wide,
    with_options,
)
from twins.types import digest_bytes, parse_address, twin_id

TwinOption = Annotated[str, typer.Option(help="Name of the twin.", show_default=False)]
RoundOption = Annotated[int, typer.Option("--round", help="In which the update counts.", min=1, show_default=False)]
StationOption = Annotated[str, typer.Option(help="Whose update it is.", show_default=False)]
DeviceOption = Annotated[str, typer.Option(help="Whose contribution it is.", show_default=False)]
OneRoundOption = Annotated[int | None, typer.Option("--round", help="Only of this round [all].", min=1)]

app = application(__doc__)


@app.command(cls=PlainCommand)
@with_options(place)
def show(
    place: Place,
    twin: TwinOption,
    rounds: Annotated[int, typer.Option(help="How many rounds, the newest first.", min=1)] = 8,
    json_output: JsonOption = False,
) -> None:
    """Show who is accused of what, what was rejected, and which challenges wait for an answer until when."""
    entries = entries_of(place.case(twin_id(twin)), rounds)
    if json_output:
        print_json([entry.to_json() for entry in entries])
    elif entries:
        wide(table_of(entries))
    else:
        out.print(f"twin {twin}: no disputes in its newest {rounds} rounds", markup=False)


@app.command(cls=PlainCommand)
@with_options(place, sender)
def accuse(
    place: Place,
    sender: Sender,
    twin: TwinOption,
    number: RoundOption,
    station: StationOption,
    evidence: EvidenceOption = None,
    text: TextOption = None,
    json_output: JsonOption = False,
) -> None:
    """Accuse a station's update of the open round; a quorum of accusers rejects it. Only an elector can."""
    data = evidence_of(evidence, text)
    case = place.case(twin_id(twin))
    digest = case.archive.put(data).sha256
    receipt = case.network.ledger.dispute(sender.of(case.network), case.twin, number, parse_address(station), digest)
    told(receipt, f"round {number}: station {station} is accused, evidence {digest}", json_output, evidence=digest)


@app.command(cls=PlainCommand)
@with_options(place, sender)
def prove_forgery(
    place: Place,
    sender: Sender,
    twin: TwinOption,
    number: RoundOption,
    station: StationOption,
    device: DeviceOption,
    json_output: JsonOption = False,
) -> None:
    """Prove that a station counted a contribution which its device didn't sign; its update is rejected."""
    case = place.case(twin_id(twin))
    proof = case.proof(number, parse_address(station), parse_address(device))
    receipt = case.network.ledger.prove_forgery(sender.of(case.network), *proof)
    told(receipt, f"round {number}: the update of station {station} is rejected as a forgery", json_output)


@app.command(cls=PlainCommand)
@with_options(place, sender)
def challenge_invented(
    place: Place,
    sender: Sender,
    twin: TwinOption,
    number: RoundOption,
    station: StationOption,
    device: DeviceOption,
    json_output: JsonOption = False,
) -> None:
    """Say that a counted device isn't in its station's roster; unless someone proves it is, the update is rejected."""
    case = place.case(twin_id(twin))
    recorded, contribution, proof = case.proof(number, parse_address(station), parse_address(device))
    if case.enrolled(recorded, contribution.device):
        raise BadInputError(
            f"device {device}: expected one that wasn't in the roster {recorded.roster} of station {station}, got one "
            "that was: whoever has that roster would answer the challenge"
        )
    receipt = case.network.ledger.challenge_invented(sender.of(case.network), recorded, contribution, proof)
    told(receipt, f"round {number}: station {station} is challenged to show device {device} enrolled", json_output)


@app.command(cls=PlainCommand)
@with_options(place, sender)
def challenge_omitted(
    place: Place,
    sender: Sender,
    receipt: Annotated[Path, typer.Option(help="The device's file of receipts.", show_default=False)],
    number: OneRoundOption = None,
    station: Annotated[str | None, typer.Option(help="Station that signed [the only one].")] = None,
    json_output: JsonOption = False,
) -> None:
    """Say that a station left out what it gave a receipt for; unless someone proves it didn't, it is rejected."""
    kept = KeptReceipt.read(receipt, number, None if station is None else parse_address(station))
    case = place.case(kept.twin)
    recorded = case.update_of(kept)
    entries = case.index(recorded).entries
    if digest_bytes(kept.leaf) in {digest_bytes(entry.leaf_digest) for entry in entries}:
        raise BadInputError(
            f"{receipt}: expected a contribution that station {kept.station} left out, got one that counts in round "
            f"{recorded.round}: whoever has the contributions would answer the challenge"
        )
    ledger, committed = case.network.ledger, case.committed(recorded)
    sent = ledger.challenge_omitted(sender.of(case.network), committed, kept.leaf, kept.signature)
    words = f"round {recorded.round}: station {kept.station} is challenged to show leaf {kept.leaf}"
    told(sent, words, json_output)


@app.command(cls=PlainCommand)
@with_options(place, sender)
def answer(
    place: Place, sender: Sender, twin: TwinOption, number: OneRoundOption = None, json_output: JsonOption = False
) -> None:
    """Answer every open challenge that the record refutes. Exit code 1 when one is left that it doesn't."""
    case = place.case(twin_id(twin))
    account, left = sender.of(case.network), 0
    for challenge, until in case.challenges(number):
        proof = case.answer(challenge)
        if proof is None:
            left += 1
            told(None, f"not answered: {challenge_line(challenge, until)}", json_output, answered=False)
            continue
        where = (challenge.round, challenge.station, challenge.root, challenge.leaf)
        receipt = case.network.ledger.answer_challenge(account, case.twin, *where, proof)
        told(receipt, f"answered: {challenge_line(challenge, until)}", json_output, answered=True)
    if left:
        raise typer.Exit(1)


@app.command(cls=PlainCommand)
@with_options(place, sender)
def settle(
    place: Place, sender: Sender, twin: TwinOption, number: OneRoundOption = None, json_output: JsonOption = False
) -> None:
    """Have what nobody answered in time rejected. Exit code 1 when there is nothing to settle yet."""
    case = place.case(twin_id(twin))
    account, now, settled = sender.of(case.network), case.now(), 0
    for challenge, until in case.challenges(number):
        if now < until:
            told(None, f"not yet: {challenge_line(challenge, until)}", json_output, settled=False)
            continue
        where = (challenge.round, challenge.station, challenge.root, challenge.leaf)
        receipt = case.network.ledger.settle_challenge(account, case.twin, *where)
        told(receipt, f"settled: {challenge_line(challenge, until)}", json_output, settled=True)
        settled += 1
    if not settled:
        raise typer.Exit(1)


if __name__ == "__main__":
    run(app)

if __name__ == "__main__":
    run(app)
