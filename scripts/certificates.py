"""The certificates of a federation's SuperLinks: a small authority per consortium, which signs one for each host.

TLS here only tells devices that they talk to their station's SuperLink; what a device is allowed to is decided by its
node's key (`twins.nodes`). A certificate that has expired, or is for another host, is refused here with what to do, for
TLS itself says only that the handshake failed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scripts.cli import BadInputError
from scripts.home import create_private, write_atomically

AUTHORITY_DAYS = 3650
SERVER_DAYS = 90
"""Days that a SuperLink's certificate is valid: a stolen key is worth no more, and renewal is a habit, not an event."""

LOOPBACK = "127.0.0.1"
"""In every certificate: the station's own programs get to the SuperLink there. It tells others nothing."""

_EARLY = timedelta(hours=1)  # clocks of devices may be behind
_NAME = "Twinledger consortium"
_RENEW = "renew it with scripts/federation.py renew"


@dataclass(frozen=True)
class Certificate:
    """A certificate's files.

    Attributes:
        certificate: PEM.
        key: PEM, its owner's only.
    """

    certificate: Path
    key: Path

    def load(self) -> x509.Certificate:
        """Read the certificate.

        Raises:
            BadInputError: there is none, or no certificate in the file.
        """
        try:
            return x509.load_pem_x509_certificate(self.certificate.read_bytes())
        except (OSError, ValueError) as error:
            raise BadInputError(
                f"certificate {self.certificate}: expected PEM, got {type(error).__name__}; {_RENEW}"
            ) from error


@dataclass(frozen=True)
class Authority:
    """Who signs the certificates of one consortium's SuperLinks.

    Attributes:
        files: its own certificate, which every device has, and its key, which stays where it is.
    """

    files: Certificate

    @classmethod
    def of(cls, folder: Path) -> Authority:
        """Open the authority of a folder; make one if there is none."""
        files = Certificate(folder / "ca.pem", folder / "ca.key")
        if not files.key.exists() or not files.certificate.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make_authority(files)
        return cls(files)

    def issue(
        self, files: Certificate, hosts: Sequence[str], now: datetime | None = None, days: int = SERVER_DAYS
    ) -> None:
        """Write a new key and a certificate for a server, replacing what is there.

        Args:
            files: where.
            hosts: DNS names and IP addresses under which devices reach it.
            now: when it begins; the present if None.
            days: that it is valid.

        Raises:
            BadInputError: no host, or an authority that can't be read.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(key.public_key(), hosts, now, days)
        files.certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The key first: a crash in between leaves a pair that doesn't match, which `require_valid` says.
        write_atomically(files.key, _pem(key))
        write_atomically(files.certificate, certificate)

    def certify(self, request: Path, certificate: Path, hosts: Sequence[str], days: int = SERVER_DAYS) -> None:
        """Sign for the key of a request (`request_certificate`), which never leaves its machine.

        Args:
            request: PEM (PKCS #10, RFC 2986). Only its key counts, not what it says of itself: a station that asked
                for another's host would be taken for it.
            certificate: file to write.
            hosts: that its bearer has, as the authority knows.
            days: that it is valid.

        Raises:
            BadInputError: as `issue`; no request, or one that isn't signed with its own key.
        """
        try:
            asked = x509.load_pem_x509_csr(request.read_bytes())
        except (OSError, ValueError) as error:
            raise BadInputError(f"{request}: expected a request in PEM, got {type(error).__name__}") from error
        key = asked.public_key()
        # Who asks must have the key: else he could be given a certificate that stands for somebody else's.
        if not asked.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
            raise BadInputError(f"{request}: expected a request that its own elliptic curve's key has signed")
        certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(certificate, self._signed(key, hosts, None, days))

    def _signed(self, key: ec.EllipticCurvePublicKey, hosts: Sequence[str], now: datetime | None, days: int) -> str:
        if not hosts:
            raise BadInputError("certificate: expected a host at least, got none")
        own, signing = self.files.load(), _private_key(self.files.key)
        begin = now or datetime.now(UTC)
        names = [_general_name(host) for host in dict.fromkeys((*hosts, LOOPBACK))]
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(hosts[0]))
            .issuer_name(own.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin - _EARLY)
            .not_valid_after(begin + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        )
        return builder.sign(signing, SHA256()).public_bytes(Encoding.PEM).decode()

    def require_valid(self, files: Certificate, hosts: Sequence[str], now: datetime | None = None) -> datetime:
        """Check a server's certificate as its devices will, and that its key is the one.

        Returns:
            When it expires.

        Raises:
            BadInputError: expired, not valid yet, of another authority, for other hosts, or not its key.
        """
        now, found, own = now or datetime.now(UTC), files.load(), self.files.load()
        for what, one in ((self.files.certificate, own), (files.certificate, found)):
            if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
                raise BadInputError(
                    f"certificate {what}: expected it valid on {now:%Y-%m-%d %H:%M} UTC, got one from "
                    f"{one.not_valid_before_utc:%Y-%m-%d %H:%M} to {one.not_valid_after_utc:%Y-%m-%d %H:%M}; {_RENEW}"
                )
        try:
            found.verify_directly_issued_by(own)
        except (InvalidSignature, ValueError, TypeError) as error:
            raise BadInputError(
                f"certificate {files.certificate}: expected one of {self.files.certificate}, got another's; {_RENEW}"
            ) from error
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        missing = [host for host in hosts if _general_name(host) not in names]
        if missing:
            raise BadInputError(
                f"certificate {files.certificate}: expected the hosts {', '.join(hosts)}, got one without "
                f"{', '.join(missing)}; {_RENEW}"
            )
        if _private_key(files.key).public_key() != found.public_key():
            raise BadInputError(f"certificate {files.certificate}: expected the key {files.key} for it; {_RENEW}")
        return found.not_valid_after_utc

    def is_due(self, files: Certificate, now: datetime | None = None) -> bool:
        """Whether a third of a certificate's life or less is left."""
        found = files.load()
        begin, end = found.not_valid_before_utc, found.not_valid_after_utc
        return (now or datetime.now(UTC)) >= end - (end - begin) / 3


def request_certificate(key: Path, request: Path) -> None:
    """Make a server's key where there is none, and write the request that the authority signs (`Authority.certify`).

    Raises:
        BadInputError: a file that is there and is no key.
    """
    key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    create_private(key, _pem(ec.generate_private_key(ec.SECP256R1())).strip())
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(_NAME))
    write_atomically(request, builder.sign(_private_key(key), SHA256()).public_bytes(Encoding.PEM).decode())


def _make_authority(files: Certificate) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(_NAME))
        .issuer_name(_name(_NAME))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    create_private(files.key, _pem(key).strip())
    write_atomically(files.certificate, certificate.public_bytes(Encoding.PEM).decode())


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _private_key(file: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise BadInputError(f"private key {file}: expected one in PEM, got {type(error).__name__}; {_RENEW}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadInputError(f"private key {file}: expected an elliptic curve's, got {type(key).__name__}; {_RENEW}")
    return key
