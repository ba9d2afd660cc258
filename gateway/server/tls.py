"""TLS of the ports that others call: certificates in files, read again when they change."""

import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.records.errors import GatewayError

FILE_BYTES_MAX: Final = 256 * 1024
"""A chain of five certificates has 10 kB; a list of authorities may have a hundred."""


class TlsInvalid(GatewayError):
    """The files of TLS cannot be used."""

    code = "settings_invalid"


@dataclass(frozen=True, slots=True)
class _Read:
    key: bytes
    chain: bytes
    authorities: bytes | None


@dataclass(frozen=True, slots=True)
class Tls:
    """What a port speaks TLS with. `client_ca` None: no client certificate is asked for."""

    certificate: Path
    key: Path
    client_ca: Path | None

    def check(self) -> "Tls":
        """The same. Raises TlsInvalid, which names the setting at fault."""
        self._read()
        return self

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Where client certificates are asked for, gRPC takes no connection without one."""
        first = self._read()
        seen = [first]

        def changed() -> grpc.ServerCertificateConfiguration | None:
            # Asked at each handshake. A file that is being replaced leaves what was good before in force.
            try:
                found = self._read()
            except TlsInvalid:
                return None
            if found == seen[0]:
                return None
            seen[0] = found
            return _configuration(found)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(first),
            changed,  # type: ignore[arg-type] # None is for no change, which the stubs do not know
            require_client_authentication=self.client_ca is not None,
        )

    def http_context(self, *, client_needed: bool = False) -> "WatchedContext":
        """Over HTTP a client certificate is optional: our JWK Set is for everybody. Unless it is needed."""
        return WatchedContext(self, client_needed=client_needed)

    def stamps(self) -> tuple[tuple[int, int], ...]:
        """Changes when a file changes."""
        found = []
        for path in (self.certificate, self.key, self.client_ca):
            if path is not None:
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_ino))
        return tuple(found)

    def _read(self) -> _Read:
        chain = _content(self.certificate, "tls.certificate")
        key = _content(self.key, "tls.key", private=True)
        authorities = None if self.client_ca is None else _content(self.client_ca, "tls.client_ca")
        try:
            leaf = x509.load_pem_x509_certificates(chain)[0]
            private = load_pem_private_key(key, None)
        except (ValueError, TypeError, IndexError):
            raise TlsInvalid(
                "tls.certificate, tls.key: they are no PEM certificate and unencrypted PEM key"
            ) from None
        if private.public_key() != leaf.public_key():
            raise TlsInvalid("tls.key: it is not the key of the certificate in tls.certificate")
        if authorities is not None:
            try:
                x509.load_pem_x509_certificates(authorities)
            except ValueError:
                raise TlsInvalid("tls.client_ca: no PEM certificate is in it") from None
        return _Read(key, chain, authorities)


class _InForce(ssl.SSLContext):
    """Servers keep the context that they were given: this one hands each connection to what is in force as it
    begins. To load another certificate into a context takes away the key of the one before, so that nobody
    could connect meanwhile."""

    whole: ssl.SSLContext

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return self.whole.wrap_bio(*args, **kwargs)

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        return self.whole.wrap_socket(*args, **kwargs)


class WatchedContext:
    """An SSL context for servers that takes new certificates for new connections."""

    def __init__(self, tls: Tls, *, client_needed: bool = False) -> None:
        self._tls = tls
        self._client_needed = client_needed
        try:
            self._stamps = tls.stamps()
        except OSError:
            raise _not_loaded() from None
        self.context = _InForce(ssl.PROTOCOL_TLS_SERVER)
        self.context.whole = self._made()

    def refresh(self) -> None:
        """Reads the files again if they changed. Raises TlsInvalid; what was good before then stays."""
        try:
            stamps = self._tls.stamps()
        except OSError:
            return
        if stamps != self._stamps:
            self._tls.check()
            self.context.whole = self._made()
            self._stamps = stamps

    def _made(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # RFC 9325 3.1.1: nothing older is to be negotiated.
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            made.load_cert_chain(self._tls.certificate, self._tls.key)
            if self._tls.client_ca is not None:
                made.load_verify_locations(cafile=self._tls.client_ca)
                made.verify_mode = ssl.CERT_REQUIRED if self._client_needed else ssl.CERT_OPTIONAL
        except (OSError, ssl.SSLError):
            raise _not_loaded() from None
        return made


def _not_loaded() -> TlsInvalid:
    return TlsInvalid("tls: the certificate, key or client_ca cannot be loaded")


def _configuration(read: _Read) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(read.key, read.chain)], root_certificates=read.authorities
    )


def _content(path: Path, setting: str, *, private: bool = False) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        raise TlsInvalid(f"{setting}: the file cannot be read; check its path, owner and mode") from None
    with os.fdopen(descriptor, "rb") as file:
        if private and stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            raise TlsInvalid(f"{setting}: the file is open to others: chmod 600")
        return file.read(FILE_BYTES_MAX)
