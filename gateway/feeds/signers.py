"""Who signs a recipient's stream: with the algorithm that its document names, by the key in use now."""

from collections.abc import Callable, Mapping

from gateway.programs.model import Recipient
from gateway.sealing.keys import KeyStoreFault, SignatureAlgorithm, Signer


class StreamSigners:
    """A signer for each recipient. `use` comes from the thread that follows the policy, `of` from any.

    A recipient that the policy no longer names keeps its algorithm: what takes back what it has, tombstones
    and orders to erase, must be of the one that it reads.
    """

    __slots__ = ("_by_recipient", "_default", "_followed", "_in_use")

    def __init__(
        self,
        in_use: Callable[[SignatureAlgorithm], Signer | None],
        default: Callable[[], Signer],
        followed: Callable[[], bool],
    ) -> None:
        """`in_use`: who signs with an algorithm now, None where no key for it is in use.

        `followed`: whether that is so in every process, and not only here.
        """
        self._in_use = in_use
        self._default = default
        self._followed = followed
        self._by_recipient: Mapping[str, tuple[SignatureAlgorithm, ...]] = {}

    def __repr__(self) -> str:
        return f"StreamSigners(recipients={len(self._by_recipient)})"

    def use(self, recipients: Mapping[str, Recipient]) -> None:
        """Takes a policy's recipients. One whose algorithm has no key keeps the one that it had until then.

        Nothing is shared with it meanwhile (`key_unavailable`); what was, can still be taken back.
        """
        known = dict(self._by_recipient)
        for recipient_id, recipient in recipients.items():
            wanted = SignatureAlgorithm(recipient.signing_algorithm)
            had = [alg for alg in known.get(recipient_id, ()) if alg is not wanted and self._in_use(alg)]
            known[recipient_id] = (wanted, *had[:1])
        # As a whole, so that no reader sees half of it.
        self._by_recipient = known

    def of_share(self, recipient_id: str) -> Signer | None:
        """Who signs a new share for it; None where nobody can: the share is withdrawn then, alone.

        Raises KeyStoreFault where another process may have the key already: the share waits for it.
        Where the algorithm has no key anywhere, but the one before has, the share is of before.
        """
        named = self._by_recipient.get(recipient_id, ())
        if named and self._in_use(named[0]) is None:
            if not self._followed():
                raise KeyStoreFault(
                    f"a recipient's stream is to be signed with {named[0]}, and no key for it is in use here:"
                    " see `ein keys list` and `ein status`"
                )
            if len(named) == 1:
                return None
        return self.of(recipient_id)

    def of(self, recipient_id: str) -> Signer:
        """Who signs what takes back, tombstones and orders to erase: it must leave. Ask for each token."""
        for alg in self._by_recipient.get(recipient_id, ()):
            found = self._in_use(alg)
            if found is not None:
                return found
        return self._default()
