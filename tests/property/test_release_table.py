"""The compiled table says what the documents say, for every policy and every payment."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from enrichment.fields import FIELD_BY_NAME, mask_of, names_of
from gateway.programs.documents import load_policy
from gateway.programs.table import Query, Release, compile_table
from gateway.records.reasons import Withhold
from tests.property import release_reference as reference

FIELDS = ["email", "ip", "device_id", "mcc", "score_norm", "reason_codes", "avs_result", "account_age_days"]
GROUPS = ["contact", "device", "score", "merchant"]
DAYS = ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01", "2026-05-01"]
NOWS = sorted({reference.day_ms(day) + shift for day in DAYS for shift in (-1, 0, 86_400_000)})
REGIONS = ["US", "GB", "DE"]
CHANNELS = {"ecom": 1, "app": 2, "moto": 3, "pos": 4}
IINS = ["901001", "90100101", "90100100-90100150", "901002", "90100299", "901001-901002", "90100101-90100103"]

Document = dict[str, Any]


def some(pool: list[str], *, at_least: int = 0) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(pool), unique=True, min_size=at_least)


def most(pool: list[str]) -> st.SearchStrategy[list[str]]:
    """All but a few, so that often enough something is left of an intersection of five."""
    return st.sets(st.sampled_from(pool), max_size=2).map(
        lambda left_out: [one for one in pool if one not in left_out] or pool[:1]
    )


@st.composite
def programs(draw: st.DrawFn, name: str) -> Document:
    fields = draw(most(FIELDS))
    enhanced = draw(most(fields))
    return {
        "program": name,
        "kind": "ahead",
        "purpose": "fraud_authorization",
        "fields": fields,
        "tiers": {"enhanced": enhanced, "basic": draw(most(enhanced))},
        "transports": ["lookup", "ssf"],
        "state": draw(st.sampled_from(["active"] * 12 + reference.STATES)),
        "ramp_percent": 100,
        "holdout_percent": 0,
        "salt_version": "s",
        "deadline_ms": 50,
    }


@st.composite
def enrolments(draw: st.DrawFn, issuer_id: str, program: Document) -> Document:
    starts = draw(st.integers(0, 1))
    when: Document = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "channel": some(list(CHANNELS)),
                "mcc": some(["5411", "7995"]),
                "merchant_country": some(["US", "FR"]),
                "amount_minor_from": st.integers(0, 3),
                "amount_minor_below": st.integers(1, 4),
            },
        )
    )
    return {
        "enrolment_id": f"{issuer_id}-{program['program']}",
        "issuer_id": issuer_id,
        "program": program["program"],
        "contract_id": "c",
        "legal_basis": "contract",
        "controller_role": "processor",
        "valid_from": DAYS[starts],
        "valid_until": draw(st.sampled_from(DAYS[2:])),
        "attestation_expires": draw(st.sampled_from(DAYS[2:])),
        "regions": draw(most(REGIONS)),
        "fields": draw(most(program["fields"])),
        "transports": ["ssf"],
        "state": draw(st.sampled_from(["active"] * 6 + ["shadow", "paused"])),
        **({} if draw(st.integers(0, 2)) else {"when": when}),
    }


@st.composite
def consents(draw: st.DrawFn, parties: list[str]) -> list[Document]:
    settings: list[Document] = []
    for party in parties:
        if not draw(st.integers(0, 3)):
            continue
        tier = draw(st.sampled_from(["enhanced", "enhanced", "basic", "basic", "none", None]))
        one: Document = {
            "ids": [party],
            "terms_version": draw(st.sampled_from(["v1", "v2"])),
            "actor": "a",
            "evidence": "e",
            "valid_from": draw(st.sampled_from(DAYS[:2])),
            **({"opted_out": True} if tier is None else {"tier": tier}),
        }
        if tier is not None and draw(st.booleans()):
            one["valid_until"] = draw(st.sampled_from(DAYS[2:]))
        settings.append(one)
    return settings


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Document]:
    documents: dict[str, Document] = {
        "experiment.yaml": {"global_holdout_percent": 0, "global_salt": "g" * 22, "salts": {"s": "s" * 22}},
        "regions.yaml": {
            "regions": {
                region: {"groups": draw(some(GROUPS)), "fields": draw(most(FIELDS))} for region in REGIONS
            }
        },
        "merchants.yaml": {
            "merchants": draw(consents(["m1", "m2"])),
            "platforms": draw(consents(["p1", "p2"])),
        },
    }
    iins = draw(st.permutations(IINS))
    for index, issuer_id in enumerate(["bank-a", "bank-b"]):
        documents[f"issuers/{issuer_id}.yaml"] = {
            "issuer_id": issuer_id,
            "iin_ranges": iins[index * 3 : index * 3 + draw(st.integers(1, 3))],
            "region": "US",
            "recipient_id": issuer_id,
        }
        documents[f"recipients/{issuer_id}.yaml"] = {
            "recipient_id": issuer_id,
            "key_algorithms": ["RSA-OAEP-256"],
            "status": draw(st.sampled_from(["enabled"] * 7 + ["disabled"])),
        }
    for name in ("one", "two"):
        program = draw(programs(name))
        documents[f"programs/{name}.yaml"] = program
        for issuer_id in ("bank-a", "bank-b"):
            if draw(st.integers(0, 3)):
                enrolment = draw(enrolments(issuer_id, program))
                documents[f"enrolments/{enrolment['enrolment_id']}.yaml"] = enrolment
    return documents


QUERIES = st.fixed_dictionaries(
    {
        "region": st.sampled_from([*REGIONS * 3, "FR", ""]),
        "merchant_id": st.sampled_from(["m1", "m2", "m3"]),
        "platform_id": st.sampled_from(["p1", "p2", ""]),
        "channel": st.sampled_from(list(CHANNELS)),
        "mcc": st.sampled_from(["5411", "7995"]),
        "amount_minor": st.integers(0, 4),
        "merchant_country": st.sampled_from(["US", "FR", ""]),
        "available": most(FIELDS).map(frozenset),
        "below_quality": some(FIELDS).map(frozenset),
        "now_ms": st.sampled_from(NOWS),
        "subject_objected": st.sampled_from([False] * 7 + [True]),
    }
)


def as_query(query: Document) -> Query:
    masks = {
        "available_mask": mask_of(query["available"]),
        "below_quality_mask": mask_of(query["below_quality"]),
    }
    plain = {name: value for name, value in query.items() if name not in ("available", "below_quality")}
    return Query(**{**plain, **masks, "channel": CHANNELS[query["channel"]]})


def told(decision: Release | Withhold) -> Any:
    """The table's answer in the words of the reference."""
    if isinstance(decision, Withhold):
        return decision.reason.name.lower()
    names = {field.number: field.name for field in FIELD_BY_NAME.values()}
    refusals = [(names[number], reason.name.lower()) for number, reason in decision.refusals]
    assert len(dict(refusals)) == len(refusals), "a field is refused once"
    return set(names_of(decision.mask)), dict(refusals), decision.consent_id


@given(policies(), st.lists(QUERIES, min_size=8, max_size=8))
def test_the_table_decides_as_the_documents_say(
    documents: dict[str, Document], queries: list[Document]
) -> None:
    table = compile_table(load_policy({name: json.dumps(one) for name, one in documents.items()}))
    for query in queries:
        for issuer in table.issuers.values():
            for entry in issuer.programs:
                expected = reference.decide(documents, issuer.issuer_id, entry.program, query)
                assert told(entry.release(as_query(query))) == expected


@given(policies(), st.lists(st.integers(90_100_000, 90_100_400), min_size=20, max_size=20))
def test_the_narrowest_iin_range_names_the_issuer(documents: dict[str, Document], iins: list[int]) -> None:
    table = compile_table(load_policy({name: json.dumps(one) for name, one in documents.items()}))
    for iin in [*iins, 0, 90_099_999, 90_100_299, 90_100_300, 99_999_999]:
        found = table.issuer_of(f"{iin:08d}")
        assert (found.issuer_id if found else None) == reference.issuer_of(documents, f"{iin:08d}")
    for iin6 in ("901001", "901002", "901003"):
        owners = {reference.issuer_of(documents, f"{iin6}{last:02d}") for last in range(100)}
        found = table.issuer_of(iin6)
        assert (found.issuer_id if found else None) == (owners.pop() if len(owners) == 1 else None)
