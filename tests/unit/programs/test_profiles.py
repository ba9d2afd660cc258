"""Profile A: what documents may ask for, and what leaves even where a check missed something."""

from dataclasses import replace
from datetime import date

import pytest

from enrichment.fields import EVERY_BIT, FIELDS, SUBJECTLESS_MASK, mask_of, names_of
from gateway.programs.documents import examine_policy, load_policy
from gateway.programs.model import PolicySnapshot
from gateway.programs.profiles import profile_mask
from gateway.programs.schema import start_ms
from gateway.programs.standing import recipients_without_key, recipients_without_signature
from gateway.programs.table import compile_table
from tests.kit.stream_policy import CLEAR, FRESH, SIGNED_WITH, policy

ENROLMENT = "enrolments/northgate-bank-merchant-notes.yaml"
NOW_MS = start_ms(date(2026, 11, 21))


def issues(files: dict[str, str]) -> list[str]:
    _, found = examine_policy(files, applied_at_ms=NOW_MS)
    return [f"{one.path}: {one.what}" for one in found if one.file == ENROLMENT]


def test_the_fields_without_a_subject_are_the_merchants_and_of_low_sensitivity() -> None:
    assert set(names_of(SUBJECTLESS_MASK)) == {"mcc", "merchant_name", "acceptor_id", "merchant_country"}
    assert all(field.sensitivity == "A" for field in FIELDS if field.subjectless)
    assert profile_mask("A") == SUBJECTLESS_MASK
    assert profile_mask("B") == EVERY_BIT


def test_a_policy_with_profile_a_and_every_signature_is_taken_whole() -> None:
    assert issues(policy()) == []
    snapshot = load_policy(policy())
    assert {one.recipient_id: one.signing_algorithm for one in snapshot.recipients.values()} == SIGNED_WITH
    entries = {
        entry.recipient_id: entry
        for issuer in compile_table(snapshot).issuers.values()
        for entry in issuer.programs
        if entry.enrolment_id
    }
    for recipient_id, entry in entries.items():
        assert entry.signing_algorithm == SIGNED_WITH[recipient_id]
        assert entry.fresh_content_key == (recipient_id == FRESH)


@pytest.mark.parametrize(
    "name", ["card_attempts_10m", "email", "amount_minor", "last4", "stan", "score_norm"]
)
def test_whatever_is_about_a_card_or_a_payment_is_refused_under_profile_a(name: str) -> None:
    files = policy()
    files[f"programs/{CLEAR}.yaml"] = files[f"programs/{CLEAR}.yaml"].replace(
        "[mcc, merchant_country]", f"[mcc, merchant_country, {name}]"
    )
    files[ENROLMENT] = files[ENROLMENT].replace("[mcc, merchant_country]", f"[mcc, {name}]")
    assert issues(files) == [
        f'profile: "{name}" may only leave sealed: profile A is for records with no subject'
    ]


def test_a_look_up_would_tie_it_to_an_authorization_and_is_refused() -> None:
    files = policy()
    for file in (f"programs/{CLEAR}.yaml", ENROLMENT):
        files[file] = files[file].replace("transports: [ssf]", "transports: [ssf, lookup]")
    (told,) = issues(files)
    assert told.startswith("profile: lookup ties what is shared to one authorization")


def widened(snapshot: PolicySnapshot) -> PolicySnapshot:
    """As it were where the check of documents let a field more through."""
    wide = mask_of(["mcc", "email", "score_norm"])
    programs = {
        name: replace(
            one,
            field_mask=one.field_mask | wide,
            basic_mask=one.basic_mask | wide,
            enhanced_mask=one.enhanced_mask | wide,
        )
        for name, one in snapshot.programs.items()
    }
    enrolments = tuple(
        replace(one, field_mask=one.field_mask | wide) if one.profile == "A" else one
        for one in snapshot.enrolments
    )
    return replace(snapshot, programs=programs, enrolments=enrolments)  # fmt: skip


def test_the_table_leaves_nothing_more_under_profile_a_than_the_merchants_fields() -> None:
    table = compile_table(widened(load_policy(policy())))
    (entry,) = [one for one in table.issuers["northgate-bank"].programs if one.program == CLEAR]
    assert entry.grants
    for tiers in entry.grants.values():
        for grant in tiers:
            assert not grant.mask & ~SUBJECTLESS_MASK, names_of(grant.mask)


def test_a_signature_without_a_key_is_told_once_a_recipient_and_profile_a_asks_for_no_key_to_seal_to() -> (
    None
):
    snapshot = load_policy(policy())
    told = recipients_without_signature(snapshot, NOW_MS, {"ES256", "EdDSA"})
    assert [one.file for one in told] == ["recipients/meridian-cards.yaml", "recipients/northgate-bank.yaml"]
    assert "ein keys add PS256" in told[0].mend
    assert recipients_without_signature(snapshot, NOW_MS, set(SIGNED_WITH.values())) == ()
    clear_alone = replace(
        snapshot, enrolments=tuple(one for one in snapshot.enrolments if one.program == CLEAR)
    )
    assert recipients_without_key(clear_alone, NOW_MS, lambda recipient_id: False) == ()
