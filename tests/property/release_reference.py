"""The release rules once more, slowly and from the documents alone: what the compiled table is held to.

Imports nothing from `gateway.programs`. Reads documents as plain mappings and works with names, not masks.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from enrichment.fields import FIELDS

Documents = Mapping[str, Mapping[str, Any]]
"""File name to document."""

STRICTNESS = ["opted_out", "none", "basic", "enhanced"]
# The codes of these groups as the page of the policy lists them.
MCC_GROUPS = {
    "gambling": [*range(7800, 7803), 7995, 9406, 9754],
    "digital_goods": [*range(5815, 5819)],
    "food_stores": [*range(5411, 5500)],
}
STATES = ["active", "shadow", "paused", "draft", "retired", "killed"]


def day_ms(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days * 86_400_000


def of_kind(documents: Documents, kind: str) -> list[Mapping[str, Any]]:
    return [document for name, document in documents.items() if name.startswith(f"{kind}/")]


def issuer_of(documents: Documents, iin: str) -> str | None:
    """The issuer of the narrowest range that holds the 8 digits."""
    found: list[tuple[int, int, str]] = []
    for issuer in of_kind(documents, "issuers"):
        for text in issuer["iin_ranges"]:
            first, _, last = text.partition("-")
            low, high = int(first.ljust(8, "0")), int((last or first).ljust(8, "9"))
            if low <= int(iin) <= high:
                found.append((high - low, -low, issuer["issuer_id"]))
    return min(found)[2] if found else None


def setting(documents: Documents, kind: str, party: str) -> Mapping[str, Any] | None:
    for one in documents["merchants.yaml"].get(kind, []):
        if party in one["ids"]:
            return one
    return None


def tier_of(one: Mapping[str, Any]) -> str:
    return "opted_out" if one.get("opted_out") else one["tier"]


def in_force(one: Mapping[str, Any], now_ms: int) -> bool:
    until = one.get("valid_until")
    return day_ms(one["valid_from"]) <= now_ms and (until is None or now_ms < day_ms(until))


def consent(documents: Documents, query: Mapping[str, Any]) -> tuple[str, str]:
    """Effective tier and who decided, or `("refused", reason)`."""
    merchant = setting(documents, "merchants", query["merchant_id"])
    platform = setting(documents, "platforms", query["platform_id"])
    said = [
        (f"{kind}/{party}/{one['terms_version']}/{tier_of(one)}", one)
        for kind, party, one in (
            ("merchant", query["merchant_id"], merchant),
            ("platform", query["platform_id"], platform),
        )
        if one is not None
    ]
    if not said:
        return "refused", "merchant_consent_missing"
    if any(tier_of(one) == "opted_out" for _, one in said):
        return "refused", "merchant_opted_out"
    if any(tier_of(one) == "none" or not in_force(one, query["now_ms"]) for _, one in said):
        return "refused", "merchant_consent_missing"
    consent_id, strictest = min(said, key=lambda named: STRICTNESS.index(tier_of(named[1])))
    return tier_of(strictest), consent_id


def conditions_hold(when: Mapping[str, Any], query: Mapping[str, Any]) -> bool:
    checks = [
        (when.get("channel"), query["channel"]),
        (when.get("mcc"), query["mcc"]),
        (when.get("merchant_country"), query["merchant_country"]),
    ]
    if any(wanted and fact not in wanted for wanted, fact in checks):
        return False
    codes = [f"{code:04d}" for group in when.get("mcc_group", []) for code in MCC_GROUPS[group]]
    if codes and query["mcc"] not in codes:
        return False
    below = when.get("amount_minor_below")
    return query["amount_minor"] >= when.get("amount_minor_from", 0) and (
        below is None or query["amount_minor"] < below
    )


def mccs_asked(when: Mapping[str, Any]) -> bool:
    """Whether some code meets both `mcc` and `mcc_group`, or not both are given."""
    codes = [f"{code:04d}" for group in when.get("mcc_group", []) for code in MCC_GROUPS[group]]
    return not (codes and when.get("mcc")) or bool(set(codes) & set(when["mcc"]))


def purpose_fields(purpose: str) -> set[str]:
    """Personal fields go under authorization alone, and those of reports do not go under it."""
    if purpose == "fraud_authorization":
        return {field.name for field in FIELDS if field.group != "fraud"}
    return {field.name for field in FIELDS if field.sensitivity not in ("I", "P")}


# What may leave unsealed: it says who sells, and nothing of a card, a person or a payment.
NO_SUBJECT = {"mcc", "merchant_name", "acceptor_id", "merchant_country"}


def region_fields(documents: Documents, region: str) -> set[str]:
    one = documents["regions.yaml"]["regions"].get(region, {})
    groups = one.get("groups", [])
    return {field.name for field in FIELDS if field.group in groups} | set(one.get("fields", []))


def decide(documents: Documents, issuer_id: str, program_name: str, query: Mapping[str, Any]) -> Any:
    """`reason`, or `(fields, {field: reason}, consent id)`."""
    program = documents[f"programs/{program_name}.yaml"]
    issuer = documents[f"issuers/{issuer_id}.yaml"]
    enrolled = [
        one
        for one in of_kind(documents, "enrolments")
        if one["issuer_id"] == issuer_id and one["program"] == program_name
    ]
    if not enrolled:
        return "not_enrolled"
    enrolment = enrolled[0]
    state = max(program["state"], enrolment["state"], key=STATES.index)
    if state == "killed":
        return "killed"
    if state not in ("active", "shadow"):
        return "program_not_active"
    if documents[f"recipients/{issuer['recipient_id']}.yaml"]["status"] == "disabled":
        return "recipient_disabled"
    may = purpose_fields(program["purpose"])
    if not may & set(program["fields"]):
        return "purpose_mismatch"
    now_ms = query["now_ms"]
    if not day_ms(enrolment["valid_from"]) <= now_ms < day_ms(enrolment["valid_until"]):
        return "outside_validity"
    if now_ms >= day_ms(enrolment["attestation_expires"]):
        return "attestation_expired"
    if not query["region"]:
        return "region_unknown"
    asked = set(program["fields"])
    allowed = asked & may
    granted = allowed & set(enrolment["fields"])
    if enrolment.get("profile") == "A":
        granted &= NO_SUBJECT
    in_region = granted & region_fields(documents, query["region"])
    if query["region"] not in enrolment["regions"] or not in_region:
        return "region_not_covered"
    tier, decided_by = consent(documents, query)
    if tier == "refused":
        return decided_by
    covered = in_region & set(program["tiers"][tier])
    if not covered:
        return "merchant_consent_missing"
    if query["subject_objected"]:
        return "subject_objected"
    if not conditions_hold(enrolment.get("when", {}), query):
        return "condition_not_met"
    there = covered & query["available"]
    good = there - query["below_quality"]
    if not good:
        return "below_quality"
    refusals = {
        **dict.fromkeys(there - good, "below_quality"),
        **dict.fromkeys(in_region - covered, "merchant_consent_missing"),
        **dict.fromkeys(granted - in_region, "region_not_covered"),
        **dict.fromkeys(allowed - granted, "not_enrolled"),
        **dict.fromkeys(asked - allowed, "purpose_mismatch"),
    }
    return good, refusals, decided_by


def facts(documents: Documents, issuer_id: str, program_name: str) -> dict[str, Any]:
    """What a decision says besides its fields: of an enrolled program."""
    program = documents[f"programs/{program_name}.yaml"]
    enrolment = documents.get(f"enrolments/{issuer_id}-{program_name}.yaml", {"state": "active"})
    state = max(program["state"], enrolment["state"], key=STATES.index)
    percents = {**program, **enrolment}
    recipient_id = documents[f"issuers/{issuer_id}.yaml"]["recipient_id"]
    recipient = documents[f"recipients/{recipient_id}.yaml"]
    return {
        "ahead": program["kind"] == "ahead",
        "purpose": program["purpose"],
        "enrolment_id": enrolment.get("enrolment_id", ""),
        "contract_id": enrolment.get("contract_id", ""),
        "recipient_id": recipient_id,
        "transports": enrolment.get("transports", []),
        "elements": enrolment.get("message_elements", {}) if enrolment.get("protection") == "network" else {},
        "ramp_ppm": round(percents["ramp_percent"] * 10_000),
        "holdout_ppm": round(percents["holdout_percent"] * 10_000),
        "experiment_id": f"{program_name}@{program['salt_version']}",
        "variant": enrolment.get("variant", "default"),
        "profile": enrolment.get("profile", "B"),
        "signing_algorithm": recipient.get("signing_algorithm", "ES256"),
        "fresh_content_key": recipient.get("content_key", "cached") == "fresh",
        "shadow": state == "shadow",
        "state": state,
    }
