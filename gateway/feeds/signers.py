"""Who signs a recipient's stream: the algorithm is the one that its document names."""

from collections.abc import Mapping

from gateway.programs.model import Recipient
from gateway.sealing.keys import SignatureAlgorithm, Signer


class StreamSigners:
    """A signer for each recipient. `use` comes from the thread that follows the policy, `of` from any.

    A recipient that the policy no longer names keeps its signer: what takes back what it has, tombstones and
    orders to erase, must be of the algorithm that it reads.
    """

    __slots__ = ("_by_algorithm", "_by_recipient", "_default")

    def __init__(self, by_algorithm: Mapping[SignatureAlgorithm, Signer], default: Signer) -> None:
        self._by_algorithm = by_algorithm
        self._default = default
        self._by_recipient: Mapping[str, Signer] = {}

    def __repr__(self) -> str:
        return f"StreamSigners(algorithms={sorted(map(str, self._by_algorithm))})"

    def use(self, recipients: Mapping[str, Recipient]) -> None:
        """Takes a policy's recipients. One whose algorithm has no key keeps the signer that it had.

        Nothing is shared with it meanwhile (`key_unavailable`); what was, can still be taken back.
        """
        known = dict(self._by_recipient)
        for recipient_id, recipient in recipients.items():
            found = self._by_algorithm.get(SignatureAlgorithm(recipient.signing_algorithm))
            if found is not None:
                known[recipient_id] = found
        # As a whole, so that no reader sees half of it.
        self._by_recipient = known

    def of(self, recipient_id: str) -> Signer:
        """The signer of the recipient's stream."""
        return self._by_recipient.get(recipient_id, self._default)
