"""What must hold on the day on which a policy is put in force: attestations in date, keys to seal to.

A policy in force stays valid when one of them lapses: the release table and the sealer refuse by themselves
then. So this is asked where a policy is applied, and not where a snapshot is read again.
"""

from collections.abc import Callable

from gateway.programs.issues import PolicyIssue, Report
from gateway.programs.model import PolicySnapshot, State
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
    for one in snapshot.enrolments:
        recipient_id = snapshot.issuers[one.issuer_id].recipient_id
        state = max(one.state, snapshot.programs[one.program].state)
        if state not in (State.ACTIVE, State.SHADOW) or one.valid_until_ms <= now_ms:
            continue
        if not snapshot.recipients[recipient_id].enabled or recipient_id in found or has_key(recipient_id):
            continue
        found[recipient_id] = PolicyIssue(
            f"enrolments/{one.enrolment_id}.yaml",
            "issuer_id",
            f'its recipient "{recipient_id}" has no key to seal to, so that all of it is withheld',
            f"Put its JWK Set at keys/recipients/{recipient_id}.jwks.json of the state directory",
        )
    return tuple(found.values())
