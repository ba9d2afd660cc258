"""Protection profiles: what an enrolment may leave unsealed.

B seals the body to the recipient, inside the signed event. A signs and does not seal, so that it is for
records with no subject alone: nothing in them may say anything of a card, a person, a device or a payment.
"""

from enrichment.fields import EVERY_BIT, FIELDS, SUBJECTLESS_MASK
from gateway.programs.issues import Report
from gateway.programs.model import CLEAR_PROFILE, Program
from gateway.programs.schema import EnrolmentDocument


def profile_mask(profile: str) -> int:
    """Bits of the fields that may leave under it."""
    return SUBJECTLESS_MASK if profile == CLEAR_PROFILE else EVERY_BIT


def check_profile(
    file: str, one: EnrolmentDocument, field_mask: int, program: Program | None, report: Report
) -> None:
    """Names what an enrolment under profile A has that only a sealed body may carry."""
    if one.profile != CLEAR_PROFILE:
        return
    if program is not None and not program.ahead:
        report.add(
            file,
            "profile",
            "a label is about one payment: profile A is for records with no subject",
            "Set profile: B",
        )
    for field in FIELDS:
        if field_mask & ~profile_mask(one.profile) & 1 << field.number:
            report.add(
                file,
                "profile",
                f'"{field.name}" may only leave sealed: profile A is for records with no subject',
                "Keep to fields of the group merchant, or set profile: B",
            )
    # By a look-up or in a message it would be about one authorization, and by that about a cardholder.
    for transport in one.transports:
        if transport != "ssf":
            report.add(
                file,
                "profile",
                f"{transport} ties what is shared to one authorization: profile A goes by ssf alone",
                "Remove the transport, or set profile: B",
            )
