"""Votes validators in and out of a running network (EIP-225: more than half of the signers have to propose it)."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from chain.errors import DevnetError
from devnet.admin import Admin
from devnet.creation import new_validator
from devnet.geth_node import Validator
from devnet.network import Network
from devnet.operation import Say, await_validator, programs, supervisor_of

_POLL = 0.1  # seconds
_PATIENCE = 60.0  # seconds for a step that takes some blocks


def add(network: Network, say: Say) -> Network:
    """Make a validator, connect it with the others, let it fetch the chain, vote it in, and wait for its first block.

    Raises:
        DevnetError: no majority of the validators is up, or a step takes longer than a minute.
    """
    started = time.monotonic()
    _require_majority(network)
    validator = new_validator(network)
    grown = network.with_validators((*network.validators, validator))
    _apply(grown)
    for admin in network.answering().values():  # before it dials them: a dial that is refused isn't repeated soon
        admin.call("admin_addTrustedPeer", validator.enode)
    supervisor = supervisor_of(grown)
    supervisor.start_program(validator.name)
    await_validator(grown, supervisor, validator)
    newcomer = grown.admin(validator.name)
    target = max(admin.height() for admin in network.answering().values())
    _wait("the new validator to have the chain", lambda: newcomer.height() >= target)
    say(f"{validator.name} has the chain after {time.monotonic() - started:.1f} s")
    _vote(grown, validator, True)
    say(f"{validator.name} is voted in, irrevocably, after {time.monotonic() - started:.1f} s")
    # It isn't among the sealers of the first blocks after that: the watcher has to see that it may.
    _wait("a block of the new validator", lambda: _sealed(newcomer, validator))
    say(f"{validator.name} seals after {time.monotonic() - started:.1f} s")
    return grown


def remove(network: Network, name: str, say: Say) -> Network:
    """Vote a validator out, end it, and strike it off the others' lists; its keys and data go with it.

    Raises:
        DevnetError: no such validator, the last but one, no majority of the others, or a minute wasn't enough.
    """
    started = time.monotonic()
    validator = network.validator(name)
    if len(network.validators) < 3:
        raise DevnetError(f"validators: expected at least 2 to stay, got {len(network.validators) - 1}")
    _require_majority(network)
    _vote(network, validator, False)
    say(f"{name} is voted out, irrevocably, after {time.monotonic() - started:.1f} s")
    supervisor_of(network).stop_program(name)
    shrunk = network.with_validators([other for other in network.validators if other.name != name])
    _apply(shrunk)
    for admin in shrunk.answering().values():
        admin.unlink(validator.enode)
    shutil.rmtree(network.datadir(name))
    # The name stays taken: a folder without keys, so that no later validator is mistaken for this one.
    network.datadir(name).mkdir(mode=0o700)
    say(f"{name} is gone after {time.monotonic() - started:.1f} s")
    return shrunk


def _apply(network: Network) -> None:
    """Save the list of validators, tell the supervisor, and write it down for the validators' next start."""
    network.save()
    network.write_configurations()
    supervisor = supervisor_of(network)
    supervisor.configure(programs(network))
    supervisor.reread()


def _require_majority(network: Network) -> None:
    up, needed = len(network.answering()), len(network.validators) // 2 + 1
    if up < needed:
        raise DevnetError(f"vote: expected at least {needed} validators that answer, got {up}; start them first")


def _vote(network: Network, subject: Validator, wanted: bool) -> None:
    """Let every reachable signer propose a change, wait until it is deep in the chain, and take the proposals back.

    Taken back at once they were seen to fail: the block with the deciding vote was reorganised away, and with it the
    change. N/2 + 1 blocks deep it stays.
    """
    address = subject.address.lower()
    signers = next(iter(network.answering().values())).signers()
    voters = {
        name: admin
        for name, admin in network.answering().items()
        if name != subject.name and network.validator(name).address.lower() in signers
    }
    for admin in voters.values():
        admin.call("clique_propose", address, wanted)
    try:
        _await_settled(voters, address, wanted, max(len(signers), len(network.validators)) // 2 + 1)
    finally:
        for admin in voters.values():
            admin.call("clique_discard", address)


def _await_settled(voters: dict[str, Admin], address: str, wanted: bool, depth: int) -> None:
    """Wait until all agree, without a break, over ``depth`` blocks on top of the change."""
    since: int | None = None
    deadline = time.monotonic() + _PATIENCE
    while True:
        heights = [admin.height() for admin in voters.values()]
        if all((address in admin.signers()) == wanted for admin in voters.values()):
            since = max(heights) if since is None else since
            if min(heights) >= since + depth:
                return
        else:
            since = None
        if time.monotonic() > deadline:
            state = "in" if wanted else "out"
            raise DevnetError(f"vote: expected {address} voted {state} within {_PATIENCE:g} s, got no majority for it")
        time.sleep(_POLL)


def _sealed(admin: Admin, validator: Validator) -> bool:
    """Whether a validator sealed one of the newest blocks (clique_getSigner recovers it from the seal)."""
    newest = admin.height()
    return any(
        admin.call("clique_getSigner", hex(number)).lower() == validator.address.lower()
        for number in range(max(1, newest - 5), newest + 1)
    )


def _wait(what: str, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise DevnetError(f"{what}: expected it within {_PATIENCE:g} s, got nothing of the kind")
        time.sleep(_POLL)
