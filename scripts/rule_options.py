"""Options that say how a twin's updates are bounded, aggregated and kept private."""

from __future__ import annotations

from typing import Annotated

import typer

MergeRuleOption = Annotated[
    str, typer.Option(help="Over stations: weighted-mean, median, trimmed-mean, krum or multi-krum.")
]
MergeArgOption = Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the merge rule; may be repeated.")]
MinUpdatesOption = Annotated[
    int | None, typer.Option(help="Station updates without which no round is attested [what the merge rule needs].")
]
MaxNormOption = Annotated[
    float | None, typer.Option(help="Reject device updates that are further from their base (L2 norm) [no bound].")
]
MaxStalenessOption = Annotated[int, typer.Option(help="Rounds that a late update's base may be behind the head.")]
OpenGraceOption = Annotated[
    int, typer.Option(help="Seconds in which only the station whose turn it is opens the next round.")
]
SealedOption = Annotated[
    bool, typer.Option("--sealed/--open", help="Encrypt the devices' updates for the readers alone.")
]
DpOption = Annotated[
    str | None, typer.Option(help="Differential privacy at the stations: fixed, adaptive or client [none].")
]
DpArgOption = Annotated[
    list[str] | None, typer.Option(help="NAME=VALUE for --dp, noise_multiplier=0.5 say; may be repeated.")
]
ReaderOption = Annotated[
    list[str] | None,
    typer.Option(metavar="PUBLICKEY", help="Who else may read the devices' updates (scripts/grants.py); repeatable."),
]
