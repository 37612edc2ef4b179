"""What a private Kubo node's configuration says (Kubo 0.42 docs/config.md): loopback only, nobody but its peers."""

from __future__ import annotations

from typing import Any

from chain.ports import HOST


def settings(name: str, api_port: int, swarm_port: int, token: str) -> dict[str, Any]:
    """Return what a node's configuration has to say, whatever Kubo's defaults are.

    Args:
        name: of the token in the configuration.
        api_port: TCP, of the RPC.
        swarm_port: TCP, for the peers.
        token: that the RPC demands.
    """
    off = {"Enabled": False}
    return {
        "Addresses": {
            "Swarm": [f"/ip4/{HOST}/tcp/{swarm_port}"],
            "API": f"/ip4/{HOST}/tcp/{api_port}",
            "Gateway": [],  # it would serve every artifact without a token
        },
        "API": {"Authorizations": {name: {"AuthSecret": f"bearer:{token}", "AllowedPaths": ["/api/v0"]}}},
        "Bootstrap": [],
        "AutoConf": off,
        "AutoTLS": off,
        "AutoNAT": {"ServiceMode": "disabled"},
        "DNS": {"Resolvers": {}},
        "Discovery": {"MDNS": off},
        "Routing": {"Type": "none", "DelegatedRouters": []},
        "Ipns": {"DelegatedPublishers": []},
        "Provide": off,
        "HTTPRetrieval": off,
        "Version": {"SwarmCheckEnabled": False},
        "Plugins": {"Plugins": {"telemetry": {"Config": {"Mode": "off"}}}},
        "Peering": {"Peers": []},
        "Swarm": {
            "DisableNatPortMap": True,
            "RelayClient": off,
            "RelayService": off,
            "EnableHolePunching": False,
            # A private network runs over TCP only: the others can't carry the swarm key.
            "Transports": {
                "Network": dict.fromkeys(("QUIC", "WebTransport", "WebRTCDirect", "Websocket", "Relay"), False)
            },
        },
        # Otherwise a block that rotted on the disk is handed out as if it were good.
        "Datastore": {
            "HashOnRead": True,
            # Kubo's own specification but for sync: a block is on the disk before the RPC says that it is stored, so
            # that a power loss doesn't take back an artifact whose digest is on the ledger.
            "Spec": {
                "type": "mount",
                "mounts": [
                    {
                        "type": "flatfs",
                        "mountpoint": "/blocks",
                        "path": "blocks",
                        "prefix": "flatfs.datastore",
                        "shardFunc": "/repo/flatfs/shard/v1/next-to-last/2",
                        "sync": True,
                    },
                    {
                        "type": "levelds",
                        "mountpoint": "/",
                        "path": "datastore",
                        "prefix": "leveldb.datastore",
                        "compression": "none",
                    },
                ],
            },
        },
        # A plain `ipfs add` then gives the CIDs of twins.content.
        "Import": {
            "CidVersion": 1,
            "UnixFSRawLeaves": True,
            "UnixFSChunker": "size-1048576",
            "UnixFSFileMaxLinks": 174,
        },
    }
