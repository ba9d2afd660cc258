"""Client certificates of a TLS connection, verified by the transport: what of them says who calls."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.sealing import base64url

KNOWN_MAX: Final = 1024
"""Certificates at hand: one a client, and two while it changes them; others are parsed again (60 us)."""

URIS_MAX: Final = 8
"""Of one certificate: it names who calls, not a list of everybody."""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """URIs of the subject's alternative names (RFC 5280 4.2.1.6), and the thumbprint of RFC 8705 3.1."""

    uris: tuple[str, ...]
    thumbprint: str


def peer_certificate(certificate: x509.Certificate, der: bytes) -> PeerCertificate:
    """What says who calls."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = tuple(names.get_values_for_type(x509.UniformResourceIdentifier)[:URIS_MAX])
    except (x509.ExtensionNotFound, ValueError):
        uris = ()
    return PeerCertificate(uris, base64url.encode(hashlib.sha256(der).digest()).decode())


class Peers:
    """Certificates of connections, by their text. For one thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, PeerCertificate | None] = OrderedDict()

    def of(self, context: Any) -> PeerCertificate | None:
        """The certificate that a call over gRPC was made with; None where there is none."""
        for text in context.auth_context().get("x509_pem_cert", ()):
            return self._read(text)
        return None

    def of_request(self, request: Any) -> PeerCertificate | None:
        """The certificate of the connection that an HTTP request came by; None where there is none."""
        transport = request.transport
        tls = None if transport is None else transport.get_extra_info("ssl_object")
        der = None if tls is None else tls.getpeercert(binary_form=True)
        return self._read(der) if der else None

    def _read(self, raw: bytes) -> PeerCertificate | None:
        if raw in self._known:
            return self._known[raw]
        found: PeerCertificate | None
        try:
            pem = raw.startswith(b"-----BEGIN")
            certificate = x509.load_pem_x509_certificate(raw) if pem else x509.load_der_x509_certificate(raw)
            found = peer_certificate(certificate, certificate.public_bytes(Encoding.DER))
        except ValueError:
            # The transport took it, and we cannot read it: nobody known.
            found = None
        self._known[raw] = found
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return found
