"""One geth validator: its configuration and command line. Nothing here starts anything but ``geth init``.

Peering is permissioned: a validator dials the others that its configuration names, and lets nobody else in (no
inbound slots but for trusted peers, no discovery, no address translation).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chain.errors import DevnetError
from chain.ports import HOST
from devnet.admin import key_of

GAS_LIMIT = 30_000_000
_VANITY, _SEAL = 32, 65  # bytes (EIP-225)
_CACHE = 64  # MB


@dataclass(frozen=True)
class Validator:
    """A geth node that may seal blocks, or is to.

    Attributes:
        name: ``validator-1`` and so on; never used twice in a network.
        address: its account, EIP-55.
        enode: URL that peers dial.
        p2p: TCP port for the other validators.
        http: TCP port for clients: eth, net and web3.
        authrpc: TCP port that geth insists on (for a consensus client; there is none).
    """

    name: str
    address: str
    enode: str
    p2p: int
    http: int
    authrpc: int

    @property
    def url(self) -> str:
        """JSON-RPC for clients."""
        return f"http://{HOST}:{self.http}"

    @property
    def key(self) -> str:
        """Public key of its node, as `devnet.admin.Admin.peers` has them."""
        return key_of(self.enode)


def genesis(chain_id: int, period: int, signers: Sequence[str], balances: Mapping[str, int], time: int) -> str:
    """Return the genesis file of a Clique network (EIP-225), EVM London: no Shanghai, so no opcode PUSH0.

    Args:
        chain_id: EIP-155.
        period: seconds between blocks.
        signers: addresses that may seal from block 1 on.
        balances: in wei, by address.
        time: of block 0, seconds since 1970. Nobody seals block 1 before that and the period are over.
    """
    forks = ("homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul")
    keys = "".join(sorted(signer[2:].lower() for signer in signers))
    specification = {
        "config": {
            "chainId": chain_id,
            **{f"{fork}Block": 0 for fork in (*forks, "berlin", "london")},
            "clique": {"period": period, "epoch": 30000},
        },
        "difficulty": "0x1",
        "gasLimit": hex(GAS_LIMIT),
        "timestamp": hex(time),
        "extraData": "0x" + "00" * _VANITY + keys + "00" * _SEAL,
        "alloc": {address[2:].lower(): {"balance": hex(wei)} for address, wei in balances.items()},
    }
    return json.dumps(specification, indent=1) + "\n"


def initialise(geth: Path, datadir: Path, genesis_file: Path) -> None:
    """Write block 0 into a validator's database.

    Raises:
        DevnetError: geth refuses.
    """
    words = [str(geth), "--datadir", str(datadir), "init", str(genesis_file)]
    done = subprocess.run(words, env=environment(datadir), capture_output=True, text=True, check=False)
    if done.returncode:
        end = done.stderr[-2000:]
        raise DevnetError(f"geth init in {datadir}: expected exit code 0, got {done.returncode}:\n{end}")


def environment(datadir: Path) -> dict[str, str]:
    """Return a validator's whole environment: geth reads every option from GETH_… too, and the user's aren't ours."""
    return {"HOME": str(datadir), "PATH": "/usr/bin:/bin"}


def configuration(validator: Validator, peers: Sequence[str]) -> str:
    """Return the part of a validator's configuration that has no option (TOML).

    DialRatio 1 leaves no slot for inbound connections: only trusted peers get in, past this limit too. MaxPeers is the
    number of the others: with less not all of them would be dialled, and with more (geth's own 50) a validator that
    lags would wait up to 10 s for a fifth peer before it fetches what it lacks.

    Args:
        validator: whose it is.
        peers: enode URLs of the other validators.
    """
    listed = json.dumps(list(peers))  # a list of plain strings is the same in TOML and JSON
    return f"""[Node.P2P]
MaxPeers = {max(1, len(peers))}
DialRatio = 1
NoDiscovery = true
ListenAddr = "{HOST}:{validator.p2p}"
StaticNodes = {listed}
TrustedNodes = {listed}
"""


def command(
    geth: Path, validator: Validator, *, datadir: Path, config: Path, ipc: Path, password: Path, chain_id: int
) -> list[str]:
    """Return the words that start a validator. It doesn't seal before it is told to (`devnet.admin.Admin.seal`).

    Args:
        geth: program.
        validator: which one.
        datadir: its folder.
        config: file with `configuration`.
        ipc: path of its administrators' Unix socket.
        password: file with the password of its key.
        chain_id: EIP-155, and the id of the peer-to-peer network.
    """
    return [
        str(geth), "--config", str(config), "--datadir", str(datadir), "--ipcpath", str(ipc),
        "--networkid", str(chain_id), "--syncmode", "full", "--cache", str(_CACHE),
        # Every block's state on disk at once. Otherwise geth keeps the newest ones in memory, and five validators that
        # are killed together (a power cut) wake up before them: transactions in settled blocks were seen to be lost.
        "--gcmode", "archive", "--snapshot=false",
        "--netrestrict", "127.0.0.0/8", "--nat", "none",
        "--http", "--http.addr", HOST, "--http.port", str(validator.http), "--http.api", "eth,net,web3",
        # Only these names in a request's Host: stops a web page that rebinds its own name to this address.
        "--http.vhosts", "localhost",
        "--authrpc.addr", HOST, "--authrpc.port", str(validator.authrpc),
        # A transaction has to be paid for, also one that a client of this very node sends (nolocals).
        "--miner.gasprice", "1", "--txpool.pricelimit", "1", "--txpool.nolocals",
        "--miner.etherbase", validator.address, "--unlock", validator.address, "--password", str(password),
        "--allow-insecure-unlock", "--verbosity", "3",
    ]  # fmt: skip
