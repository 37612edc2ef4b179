"""What honest stations do in a round with a liar, and what an audit tells of it afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from chain.audit_report import AuditReport
from chain.checks import Finding
from chain.station import Action, StationFollower
from tests.integration.audit.liar import Liar


def finish(liar: Liar, honest: Sequence[StationFollower] | None = None, steps: int = 60) -> list[Action]:
    """Let the honest stations act until the round is final; return what they did."""
    followers = liar.session.followers[1:] if honest is None else honest
    done: list[Action] = []
    for _ in range(steps):
        for follower in followers:
            step = follower.step(liar.number)
            if step is not None:
                done.append(step.action)
        if liar.world.network.ledger.head(liar.world.twin).number == liar.number:
            return done
    raise AssertionError(f"the round did not become final; they did {done}")


def accepted(liar: Liar) -> set[str]:
    """The stations whose updates are in the round's model."""
    return {update.station for update in liar.world.model_manifest(liar.number).updates}


def incidents(report: AuditReport, who: str) -> set[str]:
    """What kinds of things an audit tells of a party."""
    return {incident.kind for incident in report.incidents if incident.who == who}


def excluded(liar: Liar, report: AuditReport) -> list[Finding]:
    """What is wrong with the crook's update, which is in no model."""
    (update,) = (u for u in report.uncounted if u.excluded and u.station == liar.crook.address)
    return list(update.findings)
