"""Options of whatever is a station: which twin it follows with what, and where its network is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import DEFAULT_HOME, HomeOption, RpcOption
from scripts.connections import ConfirmationsOption, IpfsOption, IpfsTokensOption, PatienceOption, ReplicasOption
from scripts.keys import PasswordOption
from scripts.rule_options import ReaderOption
from scripts.station_run import StationOptions

TrustOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE:NAME",
        help="A data set or strategy of somebody's own that the twin may name; its code is run. May be repeated.",
    ),
]
PossessionOption = Annotated[
    bool,
    typer.Option("--possession/--no-possession", help="Prove possession in every slot beside the rounds."),
]


def follower(
    twin: Annotated[str, typer.Option(help="Name of the twin.")] = "watch",
    possession: PossessionOption = True,
    trust: TrustOption = None,
    reader: ReaderOption = None,
    password_file: PasswordOption = None,
    home: HomeOption = DEFAULT_HOME,
    deployment: Annotated[Path | None, typer.Option(help="Deployment file [HOME/deployment.json].")] = None,
    rpc: RpcOption = None,
    ipfs: IpfsOption = None,
    ipfs_tokens: IpfsTokensOption = None,
    replicas: ReplicasOption = None,
    confirmations: ConfirmationsOption = None,
    patience: PatienceOption = None,
) -> StationOptions:
    """Return what they say, for `scripts.record_options.with_options`; whose key and how long, the command says."""
    return StationOptions(
        twin=twin,
        home=home,
        password_file=password_file,
        possession=possession,
        trust=tuple(trust or ()),
        readers=tuple(reader or ()),
        deployment=deployment,
        rpc=rpc,
        ipfs=tuple(ipfs or ()),
        ipfs_tokens=ipfs_tokens,
        replicas=replicas,
        confirmations=confirmations,
        patience=patience,
    )
