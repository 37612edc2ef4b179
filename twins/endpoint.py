"""Where an IPFS node's RPC is, and what went wrong there."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from twins.errors import FormatError

_MULTIADDR = re.compile(r"/(?:ip4|ip6|dns|dns4|dns6)/[^/\s]+/tcp/\d{1,5}(?:/https?)?")


@dataclass(frozen=True)
class KuboEndpoint:
    """A Kubo node's RPC.

    Attributes:
        url: ``http://HOST:PORT``, ``https://HOST:PORT``, or a multiaddr such as ``/ip4/127.0.0.1/tcp/5001``.
        token: that it demands (``API.Authorizations``, type bearer), if any. Never shown.
    """

    url: str
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what is no such address.

        Raises:
            FormatError: neither URL nor multiaddr, no port, or something behind the port; or a token that no header
                can carry.
        """
        _ = self.multiaddr
        # A line break would let a token write headers of its own. It isn't shown: this may be a real token, misread.
        if self.token is not None and (not self.token.isascii() or not self.token.isprintable() or not self.token):
            raise FormatError(f"token of {self.url}: expected printable ASCII characters, got others or none")

    @property
    def multiaddr(self) -> str:
        """The same address as a multiaddr."""
        if _MULTIADDR.fullmatch(self.url):
            return self.url
        expected = "expected http://HOST:PORT, https://HOST:PORT or a multiaddr such as /ip4/127.0.0.1/tcp/5001"
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise FormatError(f"IPFS node: {expected}, got {self.url!r} ({error})") from error
        if "@" in parts.netloc:  # it may be a password: not shown
            raise FormatError(f"IPFS node: {expected}, got a URL with a user in it; give the token by itself")
        if parts.scheme not in ("http", "https") or not host or not port or parts.path not in ("", "/") or parts.query:
            raise FormatError(f"IPFS node: {expected}, got {self.url!r}")
        try:
            kind = f"ip{ip_address(host).version}"
        except ValueError:
            kind = "dns"
        return f"/{kind}/{host}/tcp/{port}/{parts.scheme}"


class Kind(enum.Enum):
    """What a failed request says of the node."""

    ABSENT = "the block isn't there"
    ROTTEN = "the block is there, but not its bytes"
    REFUSED = "it won't do this, now or later"
    FAILED = "it may do this later: no answer, or an error of its own"


class NodeError(Exception):
    """A request to one node that didn't succeed. It stays inside a store, which tells the caller of all its nodes.

    Attributes:
        kind: what that says of the node.
    """

    def __init__(self, kind: Kind, reason: str) -> None:
        """Say what happened, for a person."""
        super().__init__(reason)
        self.kind = kind

    @property
    def answered(self) -> bool:
        """Whether the node said something about the artifact."""
        return self.kind in (Kind.ABSENT, Kind.ROTTEN)


class RottenError(NodeError):
    """A block's bytes aren't those that its CID names."""

    def __init__(self, reason: str) -> None:
        """Say which block."""
        super().__init__(Kind.ROTTEN, reason)


def judge(status: int, reason: str) -> NodeError:
    """Tell what an error that a node reports says of it. Kubo has no error codes: its words have to do.

    Args:
        status: of HTTP.
        reason: Kubo's words.
    """
    if "different hash" in reason:  # Datastore.HashOnRead
        return RottenError(reason)
    if "not found locally" in reason or "could not find" in reason:
        return NodeError(Kind.ABSENT, reason)
    if status in (401, 403):
        return NodeError(Kind.REFUSED, f"expected it to take our token, got status {status}; give this node's token")
    return NodeError(Kind.FAILED if status >= 500 else Kind.REFUSED, f"status {status}: {reason}")
