"""A certificate authority for development and trials: one key in a file. For production take your own."""

import ipaddress
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock
from gateway.runtime.entropy import Entropy
from gateway.sealing.jwe import p256_private_key

CA_DAYS: Final = 365
LEAF_DAYS: Final = 30
"""Short: what is made by one command is renewed by it."""

BACKDATED: Final = timedelta(minutes=5)
"""For clocks that lag."""

CA_KEY, CA_CERTIFICATE = "ca.key", "ca.pem"


class DevCaRefused(GatewayError):
    """A certificate cannot be made here."""

    code = "dev_ca"


@dataclass(frozen=True, slots=True)
class Issued:
    """Files of one certificate."""

    certificate: Path
    key: Path


class DevCa:
    """The authority in `folder`, made where there is none. Keys are 0600 and never overwritten by others."""

    def __init__(self, folder: Path, clock: Clock, entropy: Entropy) -> None:
        self._folder = folder
        self._now = datetime.fromtimestamp(clock.wall_ms() / 1000, UTC)
        self._entropy = entropy
        self.certificate = folder / CA_CERTIFICATE
        if not (folder / CA_KEY).exists():
            self._make()
        self._key, self._ca = self._load()

    def server(self, names: Sequence[str]) -> Issued:
        """A certificate of our own ports: host names and addresses that others reach them by."""
        if not names:
            raise DevCaRefused("names: name the hosts and addresses that the ports are reached by")
        alternative = [_host(name) for name in names]
        return self._issue("server", names[0], alternative, ExtendedKeyUsageOID.SERVER_AUTH)

    def client(self, name: str, uri: str) -> Issued:
        """A certificate of a machine that calls; `uri` is what `ein client add --uri` registers."""
        if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            raise DevCaRefused("name: letters, digits, - and _ alone: it becomes a file name")
        if name in ("ca", "server"):
            raise DevCaRefused("name: it is taken by the authority's own files")
        if not uri.isascii() or ":" not in uri or any(letter.isspace() for letter in uri):
            raise DevCaRefused("uri: no URI; take for example urn:ein:caller:payments")
        alternative: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
        return self._issue(name, name, alternative, ExtendedKeyUsageOID.CLIENT_AUTH)

    def _make(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = p256_private_key(self._entropy)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ein development CA")])
        certificate = (
            self._builder(name, name, key.public_key(), CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, SHA256())
        )
        write_private(self._folder / CA_KEY, _pem(key))
        self.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))

    def _load(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        try:
            if stat.S_IMODE((self._folder / CA_KEY).stat().st_mode) & 0o077:
                raise DevCaRefused(f"{CA_KEY}: the file is open to others: chmod 600")
            key = load_pem_private_key((self._folder / CA_KEY).read_bytes(), None)
            certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        except (OSError, ValueError, TypeError):
            raise DevCaRefused(
                f"{CA_KEY}, {CA_CERTIFICATE}: not readable; take another folder, or remove both"
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise DevCaRefused(f"{CA_KEY}, {CA_CERTIFICATE}: they do not belong together")
        return key, certificate

    def _issue(
        self, file: str, common_name: str, names: Sequence[x509.GeneralName], use: x509.ObjectIdentifier
    ) -> Issued:
        issued = Issued(self._folder / f"{file}.pem", self._folder / f"{file}.key")
        key = p256_private_key(self._entropy)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
        certificate = (
            self._builder(subject, self._ca.subject, key.public_key(), LEAF_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, SHA256())
        )
        # One after the other: who reads in between finds that they do not belong together, and waits.
        write_private(issued.key, _pem(key))
        replace(issued.certificate, certificate.public_bytes(Encoding.PEM), mode=0o644)
        return issued

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int
    ) -> x509.CertificateBuilder:
        # RFC 5280 4.1.2.2: positive, at most 20 octets.
        serial = int.from_bytes(b"\x01" + self._entropy.bytes(18), "big")
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(serial)
            .not_valid_before(self._now - BACKDATED)
            .not_valid_after(self._now + timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )


def write_private(path: Path, data: bytes) -> None:
    """A new file for its owner alone, durable and at once."""
    replace(path, data, mode=0o600)


def replace(path: Path, data: bytes, *, mode: int) -> None:
    temporary = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    os.replace(temporary, path)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError:
        raise DevCaRefused("names: not a host name or an address; in ASCII, please") from None


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates,
        crl_sign=signs_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
