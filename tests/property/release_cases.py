"""Policies and payments drawn from a seed, and where the table and the documents differ about them."""

import json
from collections.abc import Iterator
from random import Random
from types import ModuleType
from typing import Any

from hypothesis import strategies as st

from enrichment.fields import FIELD_BY_NAME, mask_of, names_of
from enrichment.fields import FIELDS as ALL_FIELDS
from gateway.programs import table as tables
from gateway.programs.documents import examine_policy
from gateway.programs.model import PolicySnapshot
from gateway.records.reasons import Withhold
from tests.property import release_reference as reference

FIELDS = [
    "email", "ip", "device_id", "mcc", "score_norm", "reason_codes", "avs_result", "account_age_days",
    "correlation_id", "network_txn_id", "cards_per_email_24h", "ip_country", "recommendation",
]  # fmt: skip
"""Numbers on both sides of 62, 63 and 64, where machine words end."""

CLEAR = ["score_norm", "reason_codes", "avs_result"]
GROUPS = ["contact", "device", "score", "merchant", "fraud"]
DAYS = ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01", "2026-05-01"]
MID_FEBRUARY_MS = reference.day_ms("2026-02-15")
NOWS = sorted({reference.day_ms(day) + shift for day in DAYS for shift in (-1, 0, 86_400_000)})
REGIONS = ["US", "GB", "DE"]
CHANNELS = {"ecom": 1, "app": 2, "moto": 3, "pos": 4}
TRANSPORTS = {"message": 1, "lookup": 2, "ssf": 3}
PURPOSES = {"fraud_authorization": 1, "fraud_reporting": 2}
IINS = ["901001", "90100101", "90100100-90100150", "901002", "90100299", "901001-901002", "90100101-90100103"]
SOME_IINS = [
    0,
    90_099_999,
    90_100_100,
    90_100_102,
    90_100_150,
    90_100_151,
    90_100_200,
    90_100_299,
    90_100_300,
]

ISSUERS = ["bank-a", "bank-b"]
PROGRAMS = ["one", "two"]

REFUSED_TWICE = ("it may not go under", "may only leave sealed", "ties what is shared to one authorization")
"""Mistakes that the check of documents tells, and against which the table stands by itself."""

Document = dict[str, Any]

# One seed a case, drawn evenly: hypothesis leans to the simplest documents, under which nothing is released.
SEEDS = st.integers(0, 2**64 - 1)


def some(source: Random, pool: list[str]) -> list[str]:
    return source.sample(pool, source.randint(0, len(pool)))


def most(source: Random, pool: list[str]) -> list[str]:
    """All but a few, so that often enough something is left of an intersection of six."""
    return source.sample(pool, max(1, len(pool) - source.randint(0, 2)))


def program_of(source: Random, name: str) -> Document:
    purpose = source.choice(["fraud_authorization"] * 8 + ["fraud_reporting"])
    after = purpose == "fraud_reporting" and source.random() < 0.5
    # What the purpose does not allow too: the table refuses it, though no such policy passes the check.
    fields = most(source, [*FIELDS, "label_state"] if source.random() < 0.2 else FIELDS)
    if source.random() < 0.05:
        fields = ["email", "ip"] if purpose == "fraud_reporting" else ["label_state"]
    enhanced = most(source, fields)
    return {
        "program": name,
        "kind": "after" if after else "ahead",
        "purpose": purpose,
        "fields": fields,
        "tiers": {"enhanced": enhanced, "basic": most(source, enhanced)},
        "transports": ["ssf"] if after else [*some(source, ["message", "lookup"]), "ssf"],
        "state": source.choice(["active"] * 18 + reference.STATES),
        "ramp_percent": 100 if after else source.choice([0, 12.5, 100]),
        "holdout_percent": 0 if after else source.choice([0, 5]),
        "salt_version": source.choice(["s", "t"]),
    }


def conditions_of(source: Random) -> Document:
    every: Document = {
        "channel": some(source, list(CHANNELS)),
        "mcc": some(source, ["5411", "7995", "5816"]),
        "mcc_group": some(source, list(reference.MCC_GROUPS)),
        "merchant_country": some(source, ["US", "FR"]),
        "amount_minor_from": source.randint(0, 2),
        "amount_minor_below": source.randint(3, 4),
    }
    asked = {key: every[key] for key in source.sample(list(every), source.randint(0, 2))}
    if not reference.mccs_asked(asked):
        asked.pop("mcc", None)
    return asked


def enrolment_of(source: Random, issuer_id: str, program: Document) -> Document:
    fields = most(source, program["fields"])
    clear = [name for name in fields if name in CLEAR]
    transports = most(source, program["transports"])
    if not clear:
        transports = [one for one in transports if one != "message"]
    carried: Document = {}
    if "message" in transports:
        carried = {
            "protection": "network",
            "message_elements": {f"DE48.{program['program']}{at}": name for at, name in enumerate(clear)},
        }
    after = program["kind"] == "after"
    # Aside, so that what is drawn below stays as it was; fields that profile A may not leave are in it too.
    aside = Random(f"{issuer_id} {program} {fields}")
    clear_profile: Document = {"profile": "A"} if not after and aside.random() < 0.15 else {}
    own: Document = {"ramp_percent": 40, "holdout_percent": 1} if not after and source.random() < 0.3 else {}
    return {
        "enrolment_id": f"{issuer_id}-{program['program']}",
        "issuer_id": issuer_id,
        "program": program["program"],
        "contract_id": source.choice(["c", "d"]),
        "legal_basis": "contract",
        "controller_role": "processor",
        "valid_from": source.choice(DAYS[:2]),
        "valid_until": source.choice(DAYS[2:]),
        "attestation_expires": source.choice(DAYS[2:]),
        "regions": most(source, REGIONS),
        "fields": fields,
        "transports": transports or ["ssf"],
        **carried,
        **own,
        **clear_profile,
        "state": source.choice(["active"] * 6 + ["shadow", "paused"]),
        "variant": source.choice(["default", "narrow"]),
        "when": conditions_of(source),
    }


def stream_of(source: Random) -> Document:
    """How a recipient's stream is signed and sealed, where its document says so."""
    every = {
        "signing_algorithm": source.choice(["ES256", "EdDSA", "RS256", "PS256"]),
        "content_key": source.choice(["cached", "fresh"]),
    }
    return {name: every[name] for name in some(source, list(every))}


def consents_of(source: Random, parties: list[str]) -> list[Document]:
    said: list[Document] = []
    for party in parties:
        if source.random() < 0.25:
            continue  # silent
        tier = source.choice(["enhanced", "enhanced", "enhanced", "basic", "basic", "none", None])
        one: Document = {
            "ids": [party],
            "terms_version": source.choice(["v1", "v2"]),
            "actor": "a",
            "evidence": "e",
            "valid_from": source.choice(DAYS[:2]),
            **({"opted_out": True} if tier is None else {"tier": tier}),
        }
        if tier is not None and source.random() < 0.5:
            one["valid_until"] = source.choice(DAYS[2:])
        said.append(one)
    return said


def policy_of(source: Random) -> dict[str, Document]:
    salts = {"s": "s" * 22, "t": "t" * 22}
    documents: dict[str, Document] = {
        "experiment.yaml": {"global_holdout_percent": 0, "global_salt": "g" * 22, "salts": salts},
        "regions.yaml": {
            "regions": {
                region: {"groups": some(source, GROUPS), "fields": some(source, FIELDS)} for region in REGIONS
            }
        },
        "merchants.yaml": {
            "merchants": consents_of(source, ["m1", "m2"]),
            "platforms": consents_of(source, ["p1", "p2"]),
        },
    }
    iins = source.sample(IINS, len(IINS))
    for index, issuer_id in enumerate(ISSUERS):
        documents[f"issuers/{issuer_id}.yaml"] = {
            "issuer_id": issuer_id,
            "iin_ranges": iins[index * 3 : index * 3 + source.randint(1, 3)],
            "region": "US",
            "recipient_id": issuer_id,
        }
        documents[f"recipients/{issuer_id}.yaml"] = {
            "recipient_id": issuer_id,
            "status": source.choice(["enabled"] * 9 + ["disabled"]),
            **stream_of(Random(f"{issuer_id} {iins}")),
        }
    for name in PROGRAMS:
        program = program_of(source, name)
        documents[f"programs/{name}.yaml"] = program
        for issuer_id in ISSUERS:
            if source.random() < 0.85:
                enrolment = enrolment_of(source, issuer_id, program)
                documents[f"enrolments/{enrolment['enrolment_id']}.yaml"] = enrolment
    return documents


def snapshot_of(documents: dict[str, Document]) -> PolicySnapshot:
    """The checked policy; nothing may be wrong with it but what the table has to refuse by itself as well."""
    snapshot, issues = examine_policy({name: json.dumps(one) for name, one in documents.items()}, version=3)
    other = [str(issue) for issue in issues if not any(text in issue.what for text in REFUSED_TWICE)]
    assert not other, other
    assert snapshot is not None
    return snapshot


def bounds_of(documents: dict[str, Document]) -> list[int]:
    """Every moment at which something of the policy begins or ends."""
    dated = [one for name, one in documents.items() if name.startswith("enrolments/")]
    for said in documents["merchants.yaml"].values():
        dated += said
    names = ("valid_from", "valid_until", "attestation_expires")
    return sorted({reference.day_ms(one[name]) for one in dated for name in names if name in one})


def query_of(source: Random, bounds: list[int]) -> Document:
    """A payment; each second one is a millisecond before a bound, on it, or a millisecond after."""
    edge = source.choice(bounds or [MID_FEBRUARY_MS]) + source.choice([-1, 0, 1])
    return {
        "region": source.choice([*REGIONS * 3, "FR", ""]),
        "merchant_id": source.choice(["m1", "m2", "m3"]),
        "platform_id": source.choice(["p1", "p2", ""]),
        "channel": source.choice([*CHANNELS, ""]),
        "mcc": source.choice(["5411", "7995", "5816", ""]),
        "amount_minor": source.randint(0, 4),
        "merchant_country": source.choice(["US", "FR", ""]),
        "available": frozenset(most(source, [*FIELDS, "label_state"])),
        "below_quality": frozenset(some(source, FIELDS)),
        "now_ms": edge if source.random() < 0.5 else MID_FEBRUARY_MS,
        "subject_objected": source.random() < 0.1,
    }


def as_query(query: Document, module: ModuleType | Any = tables) -> Any:
    masks = {
        "available_mask": mask_of(query["available"]),
        "below_quality_mask": mask_of(query["below_quality"]),
    }
    plain = {name: value for name, value in query.items() if name not in ("available", "below_quality")}
    return module.Query(**{**plain, **masks, "channel": CHANNELS.get(query["channel"], 0)})


def told(decision: Any) -> Any:
    """The table's answer in the words of the reference."""
    if isinstance(decision, Withhold):
        return decision.reason.name.lower()
    refusals = [(ALL_FIELDS[number].name, reason.name.lower()) for number, reason in decision.refusals]
    assert len(dict(refusals)) == len(refusals), "a field is refused once"
    return set(names_of(decision.mask)), dict(refusals), decision.consent_id


def facts_of(entry: Any) -> Document:
    """What an entry keeps for the record and the draw, in the words of the documents."""
    return {
        "ahead": entry.ahead,
        "purpose": entry.purpose,
        "enrolment_id": entry.enrolment_id,
        "contract_id": entry.contract_id,
        "recipient_id": entry.recipient_id,
        "transports": set(entry.transports),
        "elements": {target: ALL_FIELDS[number].name for target, number in entry.message_elements},
        "ramp_ppm": entry.ramp_ppm,
        "holdout_ppm": entry.holdout_ppm,
        "experiment_id": entry.experiment_id,
        "variant": entry.variant,
        "profile": entry.profile,
        "signing_algorithm": entry.signing_algorithm,
        "fresh_content_key": entry.fresh_content_key,
        "shadow": entry.shadow,
        "state": entry.state.name.lower(),
    }


def differences(
    documents: dict[str, Document],
    snapshot: PolicySnapshot,
    source: Random,
    payments: int,
    module: Any = tables,
) -> Iterator[str]:
    """Where a table that the module compiles says something else than the documents do."""
    table = module.compile_table(snapshot)
    if (list(table.issuers), table.version) != (ISSUERS, 3):
        yield "issuers"
    for issuer in table.issuers.values():
        for entry in issuer.programs + issuer.after:
            expected = reference.facts(documents, issuer.issuer_id, entry.program)
            if entry.enrolment_id and facts_of(entry) != {
                **expected,
                "transports": {TRANSPORTS[one] for one in expected["transports"]},
                "purpose": PURPOSES[expected["purpose"]],
            }:
                yield f"facts of {entry.program} at {issuer.issuer_id}"
        if {one.ahead for one in issuer.programs} - {True} or {one.ahead for one in issuer.after} - {False}:
            yield "an entry among those of another kind"
    yield from _differences_by_payment(documents, table, source, payments, module)


def _differences_by_payment(
    documents: dict[str, Document], table: Any, source: Random, payments: int, module: Any
) -> Iterator[str]:
    bounds = bounds_of(documents)
    for _ in range(payments):
        iin = f"{source.choice([*SOME_IINS, source.randint(90_100_000, 90_100_400)]):08d}"
        issuer = table.issuer_of(iin)
        owner = reference.issuer_of(documents, iin)
        if (issuer.issuer_id if issuer else None) != owner:
            yield f"owner of {iin}"
        # A payment that has no issuer asks of one all the same: most have one.
        issuer = issuer or table.issuers[source.choice(ISSUERS)]
        query = query_of(source, bounds)
        asked = as_query(query, module)
        for entry in issuer.programs + issuer.after:
            expected = reference.decide(documents, issuer.issuer_id, entry.program, query)
            for release in (entry.release, entry.release_by_twin):
                if told(release(asked)) != expected:
                    yield f"{release.__name__} of {entry.program} at {issuer.issuer_id}: {expected}"


assert set(FIELDS) <= FIELD_BY_NAME.keys()
