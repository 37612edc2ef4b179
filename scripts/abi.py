"""Renew the committed ABIs of the contracts (chain/abi), or check that they are those of the sources.

Examples:
    scripts/abi.py              compile, and write what differs
    scripts/abi.py --check      write nothing; exit code 1 when one differs
"""

from __future__ import annotations

from typing import Annotated

import typer

from chain.compiler import Compiler, abi_text, stale_abis
from scripts.cli import JsonOption, command, err, out, print_json, run


@command(__doc__)
def main(
    check: Annotated[bool, typer.Option("--check", help="Write nothing.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Renew the ABIs (see --help)."""
    compiled = Compiler().compile()
    stale = stale_abis(compiled)
    if not check:
        for path in stale:
            path.write_text(abi_text(compiled[path.stem]), encoding="utf-8")
    if json_output:
        print_json({"contracts": list(compiled), "stale": [path.name for path in stale], "renewed": not check})
    elif check:
        for path in stale:
            err.print(f"{path}: differs from the contract; renew it with scripts/abi.py", markup=False)
    else:
        out.print(f"{len(stale)} of {len(compiled)} ABIs renewed")
    if check and stale:
        raise typer.Exit(1)


if __name__ == "__main__":
    run(main)
