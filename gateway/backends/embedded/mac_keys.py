"""The MAC keys behind pseudonyms, all from one master. They are in memory: a payment takes several."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.sealing.keys import MacKey
from gateway.sealing.pseudonyms_macs import canonical


@dataclass(frozen=True, slots=True)
class HkdfMacKeys:
    """Every MAC key from one master (RFC 5869), each under a name of its own. Implements `keys.MacKeys`."""

    master: bytes = field(repr=False)

    def _derive(self, name: bytes, *parts: str) -> MacKey:
        info = canonical(b"ein mac key v1 " + name, *parts)
        return MacKey(HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(self.master))

    def unit(self) -> MacKey:
        return self._derive(b"unit")

    def velocity(self) -> MacKey:
        return self._derive(b"velocity")

    def share(self) -> MacKey:
        return self._derive(b"share")

    def token(self, recipient_id: str, epoch: int) -> MacKey:
        return self._derive(b"token", recipient_id, str(epoch))
