"""Audit a twin: walk its lineage from the chain's head to the genesis and recompute every step.

Examples:
    scripts/audit.py watch                             the whole lineage of the twin "watch"
    scripts/audit.py watch --expected-head 0x3f…       … which must contain this model
    scripts/audit.py watch --reader-key mine.key --grants from-station-2.json     sealed updates, with a grant
    scripts/audit.py watch --json | jq .verdict        for programs
    scripts/audit.py watch --rpc http://10.0.0.7:8545 --deployment d.json --artifacts /mnt/blocks
    scripts/audit.py watch --rpc http://10.0.0.7:8545 --deployment d.json --ipfs http://10.0.0.7:5001 --ipfs-tokens t

Exit codes: 0 verified, 1 something is wrong (each finding says what was expected and what is there), 2 the audit
could not be made, 3 nothing is wrong in what could be checked, but sealed device updates could not be read: ask their
stations for grants. A clean audit remembers the head; the next one must still find it in the lineage, so that a
rolled-back chain is noticed (--forget starts anew).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from chain.audit_report import AuditReport
from chain.auditor import Auditor
from chain.possession_audit import audit_possession
from fl.replay import Replayer
from scripts.audit_tree import render_report, summary
from scripts.cli import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    RpcOption,
    command,
    err,
    out,
    print_json,
    run,
)
from scripts.connections import (
    ConfirmationsOption,
    IpfsOption,
    IpfsTokensOption,
    Network,
    PatienceOption,
    Reach,
)
from scripts.home import Home
from scripts.readers import keyring
from twins.archive import Archive
from twins.encryption import Keyring
from twins.store import ArtifactStore
from twins.types import Digest, parse_digest, twin_id

INCOMPLETE = 3
"""Exit code when nothing is wrong in what could be checked, and something could not be checked."""


def audit_twin(
    network: Network,
    store: ArtifactStore,
    name: str,
    expected: tuple[Digest, ...],
    console: Console,
    keys: Keyring,
    trusted: Sequence[str] = (),
) -> AuditReport:
    """Audit with a progress bar on ``console``, opening what ``keys`` can open."""
    auditor = Auditor(network.registry, network.ledger, network.since, Archive(store), Replayer(trusted), keys)
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"auditing {name}", total=None)
        report = auditor.audit(
            twin_id(name),
            expected=expected,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
        possession = audit_possession(
            network.audit,
            twin_id(name),
            network.since,
            network.registry.stations(),
            progress=lambda done, total: bar.update(
                task, description=f"possession of {name}", completed=done, total=total
            ),
        )
        return replace(report, possession=possession)


@command(__doc__)
def main(
    twin: Annotated[str, typer.Argument(help="Name of the twin.", show_default=False)],
    home: HomeOption = DEFAULT_HOME,
    rpc: RpcOption = None,
    deployment: Annotated[Path | None, typer.Option(help="Deployment file [HOME/deployment.json].")] = None,
    artifacts: Annotated[
        Path | None,
        typer.Option(help="Folder of an embedded store [the devnet's IPFS nodes, or HOME/artifacts]."),
    ] = None,
    ipfs: IpfsOption = None,
    ipfs_tokens: IpfsTokensOption = None,
    confirmations: ConfirmationsOption = None,
    patience: PatienceOption = 0.0,
    expected_head: Annotated[
        list[str] | None, typer.Option(help="A model digest that must be in the lineage; may be repeated.")
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Don't hold the chain against the head of the last clean audit.")
    ] = False,
    trust_strategy: Annotated[
        list[str] | None,
        typer.Option(help="Your own strategy module:Class that the record may name; its code is run. May be repeated."),
    ] = None,
    reader_key: Annotated[
        list[Path] | None,
        typer.Option(help="Key file of a reader of the devices' updates; may be repeated [HOME's auditors']."),
    ] = None,
    grants: Annotated[
        list[Path] | None, typer.Option(help="File of grants that came later (scripts/grants.py); may be repeated.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Audit a twin (see --help)."""
    place = Home(home)
    expected = [parse_digest(digest) for digest in expected_head or ()]
    reach = Reach(place, rpc, tuple(ipfs or ()), ipfs_tokens, artifacts, confirmations=confirmations, patience=patience)
    network = Network.open(reach.chain(), deployment or place.deployment)
    identity = twin_id(twin)
    remembered = None if forget else place.remembered_head(identity)
    if remembered is not None:
        expected.append(remembered)
    keys = keyring(place, reader_key or (), grants or ())
    report = audit_twin(network, reach.store(), twin, tuple(expected), err, keys, trust_strategy or ())
    if report.ok:
        place.remember_head(identity, report.head.model)
    if json_output:
        print_json(report.to_json())
    else:
        # As wide as it is: a cut address can't be copied from a pipe.
        Console(width=max(out.width, 140), highlight=False).print(render_report(report))
        out.print(summary(report))
    if report.verdict != "verified":
        raise typer.Exit(1 if report.verdict == "failed" else INCOMPLETE)


if __name__ == "__main__":
    run(main)
