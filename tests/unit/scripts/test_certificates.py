"""Certificates of SuperLinks: what is refused says what to do, and a new one replaces the old."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from scripts.certificates import Authority, Certificate, request_certificate
from scripts.cli import BadInputError

pytestmark = pytest.mark.unit

HOSTS = ("127.0.0.1", "station.example")
NOW = datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.of(tmp_path / "consortium")


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> Certificate:
    files = Certificate(tmp_path / "station.pem", tmp_path / "station.key")
    authority.issue(files, HOSTS)
    return files


def test_a_certificate_is_valid_for_its_hosts_and_its_time(authority: Authority, files: Certificate) -> None:
    until = authority.require_valid(files, HOSTS)
    assert timedelta(days=89) < until - NOW < timedelta(days=91)
    assert files.key.stat().st_mode & 0o077 == 0
    assert authority.files.key.stat().st_mode & 0o077 == 0
    context = ssl.create_default_context(cafile=str(authority.files.certificate))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_cert_chain(files.certificate, files.key)


def test_the_authority_of_a_folder_stays(authority: Authority) -> None:
    before = authority.files.certificate.read_bytes()
    assert Authority.of(authority.files.certificate.parent).files.certificate.read_bytes() == before


@pytest.mark.parametrize("days", [-1, 91])
def test_an_expired_one_and_one_of_the_future_are_refused_with_what_to_do(
    authority: Authority, files: Certificate, days: int
) -> None:
    with pytest.raises(BadInputError, match=r"expected it valid on .* got one from .* to .*; renew it with"):
        authority.require_valid(files, HOSTS, NOW + timedelta(days=days))


def test_one_of_another_authority_is_refused(tmp_path: Path, files: Certificate) -> None:
    with pytest.raises(BadInputError, match=r"got another's"):
        Authority.of(tmp_path / "others").require_valid(files, HOSTS)


def test_one_for_another_host_is_refused(authority: Authority, files: Certificate) -> None:
    with pytest.raises(BadInputError, match=r"without elsewhere\.example"):
        authority.require_valid(files, ("127.0.0.1", "elsewhere.example"))


def test_another_key_is_refused(authority: Authority, files: Certificate, tmp_path: Path) -> None:
    other = Certificate(tmp_path / "other.pem", tmp_path / "other.key")
    authority.issue(other, HOSTS)
    with pytest.raises(BadInputError, match=r"expected the key"):
        authority.require_valid(Certificate(files.certificate, other.key), HOSTS)


def test_renewal_is_due_in_the_last_third_and_gives_a_new_key(authority: Authority, files: Certificate) -> None:
    assert not authority.is_due(files, NOW + timedelta(days=59))
    assert authority.is_due(files, NOW + timedelta(days=61))
    before = files.key.read_bytes(), files.certificate.read_bytes()
    authority.issue(files, HOSTS)
    authority.require_valid(files, HOSTS)
    assert before[0] != files.key.read_bytes()
    assert before[1] != files.certificate.read_bytes()


def test_nonsense_is_refused(authority: Authority, files: Certificate) -> None:
    with pytest.raises(BadInputError, match="a host at least"):
        authority.issue(files, ())
    files.certificate.write_text("nonsense")
    with pytest.raises(BadInputError, match="expected PEM"):
        authority.require_valid(files, HOSTS)


def test_the_authority_signs_for_a_key_that_never_leaves_its_machine(authority: Authority, tmp_path: Path) -> None:
    files = Certificate(tmp_path / "station.pem", tmp_path / "station.key")
    request_certificate(files.key, request := tmp_path / "station.csr")
    key = files.key.read_bytes()
    authority.certify(request, files.certificate, ["station.example"])
    authority.require_valid(files, HOSTS)
    request_certificate(files.key, request)
    assert files.key.read_bytes() == key, "asked again before it expires: the same key"
    with pytest.raises(BadInputError, match=r"without other\.example"):
        authority.require_valid(files, ["other.example"])


def test_a_request_gives_no_hosts_that_the_authority_did_not_name(authority: Authority, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName("victim.example")])
    asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    (request := tmp_path / "greedy.csr").write_bytes(asked.sign(key, SHA256()).public_bytes(Encoding.PEM))
    authority.certify(request, certificate := tmp_path / "greedy.pem", ["station.example"])
    given = x509.load_pem_x509_certificate(certificate.read_bytes())
    found = given.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == ["station.example"]


def test_a_request_that_its_key_has_not_signed_is_refused(authority: Authority, tmp_path: Path) -> None:
    request_certificate(tmp_path / "station.key", request := tmp_path / "station.csr")
    der = bytearray(x509.load_pem_x509_csr(request.read_bytes()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    request.write_bytes(x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM))
    with pytest.raises(BadInputError, match="its own elliptic curve's key"):
        authority.certify(request, tmp_path / "station.pem", HOSTS)
    request.write_text("no request")
    with pytest.raises(BadInputError, match="expected a request in PEM"):
        authority.certify(request, tmp_path / "station.pem", HOSTS)
    assert not (tmp_path / "station.pem").exists()
