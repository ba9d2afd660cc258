"""What must hold on the day on which a policy is put in force: attestations in date, keys to seal to.

A policy in force stays valid when one of them lapses: the release table and the sealer refuse by themselves
then. So this is asked where a policy is applied, and not where a snapshot is read again.
"""

from collections.abc import Callable, Container, Iterator

from gateway.programs.issues import PolicyIssue, Report
from gateway.programs.model import CLEAR_PROFILE, Enrolment, PolicySnapshot, State
from gateway.programs.schema import Documents, start_ms


def check_attestations(documents: Documents, now_ms: int, report: Report) -> None:
    """Names each enrolment that is to share under an attestation that has expired. `now_ms` is wall time."""
    for file, one in documents.enrolments.items():
        expires_ms = start_ms(one.attestation_expires)
        if one.state == "paused" or one.attestation_expires <= one.valid_from:
            continue  # the second is wrong whatever the day
        if not documents.whole(file, "valid_until"):
            continue  # it may have run out
        if expires_ms <= now_ms < start_ms(one.valid_until):
            report.add(
                file,
                "attestation_expires",
                "the attestation has expired",
                "Have the issuer attest anew, or set state: paused",
            )


def recipients_without_key(
    snapshot: PolicySnapshot, now_ms: int, has_key: Callable[[str], bool]
) -> tuple[PolicyIssue, ...]:
    """One issue a recipient that enrolments share with and that has no key to seal to, at the first of them.

    No mistake of the documents: keys come apart from them, and until then `key_unavailable` withholds all.
    """
    found: dict[str, PolicyIssue] = {}
    for one, recipient_id in _sharing(snapshot, now_ms):
        # Under profile A nothing is sealed.
        if recipient_id in found or one.profile == CLEAR_PROFILE or has_key(recipient_id):
            continue
        found[recipient_id] = PolicyIssue(
            f"enrolments/{one.enrolment_id}.yaml",
            "issuer_id",
            f'its recipient "{recipient_id}" has no key to seal to, so that all of it is withheld',
            f"Put its JWK Set at keys/recipients/{recipient_id}.jwks.json of the state directory",
        )
    return tuple(found.values())


def recipients_without_signature(
    snapshot: PolicySnapshot, now_ms: int, algorithms: Container[str]
) -> tuple[PolicyIssue, ...]:
    """One issue a recipient whose stream is to be signed with an algorithm that we have no key for."""
    named = dict.fromkeys(recipient_id for _, recipient_id in _sharing(snapshot, now_ms))
    return tuple(
        PolicyIssue(
            f"recipients/{recipient_id}.yaml",
            "signing_algorithm",
            f"there is no key to sign with {algorithm}, so that all of it is withheld",
            f"Make one with `ein keys add {algorithm}`",
        )
        for recipient_id in named
        if (algorithm := snapshot.recipients[recipient_id].signing_algorithm) not in algorithms
    )


def _sharing(snapshot: PolicySnapshot, now_ms: int) -> Iterator[tuple[Enrolment, str]]:
    """Enrolments that share, or would outside of shadow, with an enabled recipient, and that recipient."""
    for one in snapshot.enrolments:
        recipient_id = snapshot.issuers[one.issuer_id].recipient_id
        state = max(one.state, snapshot.programs[one.program].state)
        if state not in (State.ACTIVE, State.SHADOW) or one.valid_until_ms <= now_ms:
            continue
        if snapshot.recipients[recipient_id].enabled:
            yield one, recipient_id
