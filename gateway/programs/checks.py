"""What must hold between documents, and the making of the snapshot from them."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

from enrichment.fields import FIELD_BY_NAME, FIELDS, GROUPS
from gateway.programs.iin_ranges import check_iin_ranges
from gateway.programs.issues import Report
from gateway.programs.mcc_groups import MCC_GROUPS, mccs_of
from gateway.programs.model import (
    FOREVER_MS,
    Channel,
    Conditions,
    ConsentSetting,
    Enrolment,
    Experiment,
    Issuer,
    PolicySnapshot,
    Program,
    Purpose,
    Recipient,
    State,
    Terms,
    Tier,
    Transport,
    consent_id_of,
)
from gateway.programs.profiles import check_profile
from gateway.programs.purposes import purpose_mask
from gateway.programs.schema import (
    ConditionsDocument,
    ConsentDocument,
    Documents,
    EnrolmentDocument,
    ProgramDocument,
    TermsDocument,
    iin_range,
    ppm,
    start_ms,
)

_EVERY_FIELD: Final = (1 << len(FIELDS)) - 1


def snapshot_of(documents: Documents, version: int, report: Report) -> PolicySnapshot | None:
    """The snapshot, or None where a part that all else needs is missing. Issues go to the report."""
    _check_issuers(documents, report)
    programs = {
        one.program: _program(file, one, documents, report) for file, one in documents.programs.items()
    }
    enrolments = _enrolments(documents, programs, report)
    regions = _regions(documents, report)
    merchants, platforms = _consents(documents, report)
    if documents.experiment is None:
        return None
    experiment = documents.experiment
    return PolicySnapshot(
        version=version,
        issuers={
            one.issuer_id: Issuer(
                one.issuer_id, tuple(map(iin_range, one.iin_ranges)), one.region, one.recipient_id or ""
            )
            for one in documents.issuers.values()
        },
        recipients={
            one.recipient_id: Recipient(
                one.recipient_id, one.status == "enabled", one.signing_algorithm, one.content_key
            )
            for one in documents.recipients.values()
        },
        programs=programs,
        enrolments=enrolments,
        regions=regions,
        merchants=merchants,
        platforms=platforms,
        experiment=Experiment(
            ppm(experiment.global_holdout_percent),
            _salt(experiment.global_salt, b"ein-global-salt"),
            {name: _salt(text, b"ein-salt") for name, text in experiment.salts.items()},
        ),
    )


def _salt(text: str, person: bytes) -> bytes:
    return blake2b(text.encode(), digest_size=32, person=person).digest()


def _mask(file: str, path: str, names: Sequence[str], report: Report) -> int:
    mask = 0
    for name in names:
        known = FIELD_BY_NAME.get(name)
        if known is None:
            report.unknown(file, path, "field", name, FIELD_BY_NAME, "See the field dictionary")
        else:
            mask |= 1 << known.number
    return mask


def _inside(file: str, path: str, mask: int, outer: int, of: str, report: Report) -> None:
    for one in FIELDS:
        if mask & ~outer & 1 << one.number:
            report.add(file, path, f'"{one.name}" is not in {of}', f"Remove it, or add it to {of}")


def _check_issuers(documents: Documents, report: Report) -> None:
    recipients = {one.recipient_id for one in documents.recipients.values()}
    recipients |= documents.names.get("recipients", set())
    for file, issuer in documents.issuers.items():
        if issuer.recipient_id is not None and issuer.recipient_id not in recipients:
            report.unknown(
                file, "recipient_id", "recipient", issuer.recipient_id, recipients, "Add it under recipients/"
            )
    check_iin_ranges(documents, report)


def _program(file: str, one: ProgramDocument, documents: Documents, report: Report) -> Program:
    field_mask = _mask(file, "fields", one.fields, report)
    basic = _mask(file, "tiers.basic", one.tiers.basic, report)
    enhanced = _mask(file, "tiers.enhanced", one.tiers.enhanced, report)
    # Where a name is no field, what was meant to lie within it cannot be told.
    known = FIELD_BY_NAME.keys() >= set(one.fields) and documents.whole(file, "fields")
    outer = field_mask if known else _EVERY_FIELD
    _inside(file, "tiers.enhanced", enhanced, outer, "the program's fields", report)
    if documents.whole(file, "tiers.enhanced"):
        _inside(file, "tiers.basic", basic, enhanced, "tiers.enhanced", report)
    purpose = Purpose[one.purpose.upper()]
    if documents.whole(file, "purpose"):
        _check_purpose(file, one, field_mask & ~purpose_mask(purpose), report)
    salts = documents.experiment.salts if documents.experiment else {one.salt_version: ""}
    if one.salt_version not in salts and documents.lacks("experiment.yaml", "salts", one.salt_version):
        report.unknown(
            file, "salt_version", "salt", one.salt_version, salts, "Add it to salts in experiment.yaml"
        )
    if one.kind == "after" and one.transports != ["ssf"]:
        report.add(file, "transports", "after the fact there is no authorization to carry it", "Use [ssf]")
    if one.kind == "after":
        _check_no_experiment(file, one.ramp_percent, one.holdout_percent, report)
    return Program(
        program=one.program,
        ahead=one.kind == "ahead",
        purpose=purpose,
        field_mask=outer,
        basic_mask=basic,
        enhanced_mask=enhanced,
        transports=_transports(one.transports) if documents.whole(file, "transports") else tuple(Transport),
        state=State[one.state.upper()],
        ramp_ppm=ppm(one.ramp_percent),
        holdout_ppm=ppm(one.holdout_percent),
        salt_version=one.salt_version,
    )


def _check_purpose(file: str, one: ProgramDocument, not_allowed: int, report: Report) -> None:
    for field in FIELDS:
        if not_allowed & 1 << field.number:
            why = "is personal" if field.sensitivity in "IP" else "is collected for reports"
            report.add(
                file, "fields", f'"{field.name}" {why}: it may not go under {one.purpose}', "Remove it"
            )
    if one.kind == "after" and one.purpose == "fraud_authorization":
        report.add(
            file, "purpose", "after the fact there is nothing left to authorize", "Use fraud_reporting"
        )


def _check_no_experiment(file: str, ramp: float | None, holdout: float | None, report: Report) -> None:
    """Arms are drawn ahead of an authorization: a report is released whatever the ramp says."""
    for path, percent, only in (("ramp_percent", ramp, 100), ("holdout_percent", holdout, 0)):
        if percent is not None and percent != only:
            report.add(
                file,
                path,
                "reports after the fact are in no experiment: it would have no effect",
                f"Set {only}; to share fewer, narrow the enrolments, or pause the program",
            )


def _transports(names: Iterable[str]) -> tuple[Transport, ...]:
    return tuple(Transport[name.upper()] for name in dict.fromkeys(names))


def _enrolments(documents: Documents, programs: dict[str, Program], report: Report) -> tuple[Enrolment, ...]:
    issuers = {one.issuer_id for one in documents.issuers.values()} | documents.names.get("issuers", set())
    without_recipient = {
        one.issuer_id
        for file, one in documents.issuers.items()
        if one.recipient_id is None and documents.whole(file, "recipient_id")
    }
    regions = documents.regions.regions if documents.regions else {}
    named = {one.program for one in documents.programs.values()} | documents.names.get("programs", set())
    files: dict[tuple[str, str], str] = {}
    enrolments: list[Enrolment] = []
    for file, one in documents.enrolments.items():
        if one.issuer_id not in issuers:
            report.unknown(file, "issuer_id", "issuer", one.issuer_id, issuers, "Add it under issuers/")
        if one.program not in named:
            report.unknown(file, "program", "program", one.program, named, "Add it under programs/")
        if one.issuer_id in without_recipient:
            report.add(file, "issuer_id", "the issuer has no recipient", "Give it a recipient_id")
        if documents.whole(file, "issuer_id"):
            other = files.setdefault((one.issuer_id, one.program), file)
            if other != file:
                report.add(file, "program", f"{other} enrols the issuer in it already", "Keep one of the two")
        for region in set(one.regions) - set(regions) if documents.regions else ():
            if documents.lacks("regions.yaml", "regions", region):
                report.unknown(file, "regions", "region", region, regions, "Add it to regions.yaml")
        enrolments.append(_enrolment(file, one, programs.get(one.program), documents, report))
    _check_targets(documents, report)
    return tuple(enrolments)


def _check_targets(documents: Documents, report: Report) -> None:
    """One message has one place for each target, whatever the program that fills it."""
    taken: dict[tuple[str, str], str] = {}
    for file, one in documents.enrolments.items():
        for target in one.message_elements if documents.whole(file, "issuer_id") else ():
            other = taken.setdefault((one.issuer_id, target), file)
            if other != file:
                report.add(
                    file,
                    f"message_elements.{target}",
                    f"{other} fills it for the same issuer",
                    "Take another target for one of the two",
                )


def _enrolment(
    file: str, one: EnrolmentDocument, program: Program | None, documents: Documents, report: Report
) -> Enrolment:
    field_mask = _mask(file, "fields", one.fields, report)
    transports = _transports(one.transports)
    if program is not None:
        _inside(file, "fields", field_mask, program.field_mask, "the program's fields", report)
        for transport in transports:
            if transport not in program.transports:
                report.add(
                    file,
                    "transports",
                    f"the program does not use {transport.name.lower()}",
                    "Remove it, or add it to the program",
                )
        if not program.ahead:
            _check_no_experiment(file, one.ramp_percent, one.holdout_percent, report)
    check_profile(file, one, field_mask, program, report)
    for path, end in (("valid_until", one.valid_until), ("attestation_expires", one.attestation_expires)):
        if one.valid_from >= end:
            report.add(file, path, "it is not after valid_from", "Correct one of them")
    return Enrolment(
        enrolment_id=one.enrolment_id,
        issuer_id=one.issuer_id,
        program=one.program,
        contract_id=one.contract_id,
        legal_basis=one.legal_basis,
        controller_role=one.controller_role,
        valid_from_ms=start_ms(one.valid_from),
        valid_until_ms=start_ms(one.valid_until),
        attestation_expires_ms=start_ms(one.attestation_expires),
        regions=tuple(dict.fromkeys(one.regions)),
        field_mask=field_mask,
        transports=transports,
        message_elements=_message_elements(file, one, field_mask, documents, report),
        clear_elements_allowed=one.protection == "network",
        state=State[one.state.upper()],
        ramp_ppm=None if one.ramp_percent is None else ppm(one.ramp_percent),
        holdout_ppm=None if one.holdout_percent is None else ppm(one.holdout_percent),
        profile=one.profile,
        variant=one.variant,
        conditions=_conditions(file, one.when, documents, report),
        terms=_terms(one.terms),
    )


def _terms(said: TermsDocument) -> Terms:
    return Terms(
        said.transfer_basis or "",
        said.dpia_reference or "",
        said.notice_reference or "",
        said.retention_days or 0,
        said.onward_transfer,
        said.model_training,
        said.cross_sender_use,
    )


def _message_elements(
    file: str, one: EnrolmentDocument, field_mask: int, documents: Documents, report: Report
) -> tuple[tuple[str, int], ...]:
    both = documents.whole(file, "transports") and documents.whole(file, "message_elements")
    if both and ("message" in one.transports) != bool(one.message_elements):
        report.add(
            file,
            "message_elements",
            "elements and the transport message go together",
            "Add what is missing, or remove both",
        )
    if one.message_elements and one.protection != "network":
        report.add(
            file,
            "protection",
            "elements of the message are clear to the network",
            'Set "network" where the contract says so, or remove message_elements',
        )
    elements: list[tuple[str, int]] = []
    for target, name in one.message_elements.items():
        path = f"message_elements.{target}"
        mask = _mask(file, path, [name], report)
        if documents.whole(file, "fields"):
            _inside(file, path, mask, field_mask, "the enrolment's fields", report)
        field = FIELD_BY_NAME.get(name)
        if field is None:
            continue
        if not field.clear_ok:
            report.add(file, path, f'"{name}" may only leave sealed', "Use a score, velocity or auth field")
        elements.append((target, field.number))
    return tuple(elements)


def _conditions(file: str, when: ConditionsDocument, documents: Documents, report: Report) -> Conditions:
    for name in when.mcc_group:
        if name not in MCC_GROUPS:
            report.unknown(file, "when.mcc_group", "MCC group", name, MCC_GROUPS, "See the table of groups")
    groups = frozenset(name for name in when.mcc_group if name in MCC_GROUPS)
    both = documents.whole(file, "when.mcc") and documents.whole(file, "when.mcc_group")
    if both and when.mcc and groups and not mccs_of(frozenset(when.mcc), groups):
        report.add(file, "when.mcc", "none of them is in mcc_group, and both have to hold", "Remove one")
    below = when.amount_minor_below
    if below is not None and (when.amount_minor_from or 0) >= below:
        report.add(
            file, "when.amount_minor_below", "it is not above amount_minor_from", "Correct one of them"
        )
    return Conditions(
        frozenset(int(Channel[name.upper()]) for name in when.channel),
        frozenset(when.mcc),
        groups,
        frozenset(when.merchant_country),
        when.amount_minor_from,
        when.amount_minor_below,
    )


def _regions(documents: Documents, report: Report) -> dict[str, int]:
    if documents.regions is None:
        return {}
    regions: dict[str, int] = {}
    for region, one in documents.regions.regions.items():
        path = f"regions.{region}"
        mask = _mask("regions.yaml", f"{path}.fields", one.fields, report)
        for group in one.groups:
            if group not in GROUPS:
                report.unknown(
                    "regions.yaml", f"{path}.groups", "group", group, GROUPS, "See the field dictionary"
                )
            mask |= sum(1 << field.number for field in FIELDS if field.group == group)
        regions[region] = mask
    return regions


def _consents(
    documents: Documents, report: Report
) -> tuple[dict[str, ConsentSetting], dict[str, ConsentSetting]]:
    both: tuple[dict[str, ConsentSetting], dict[str, ConsentSetting]] = ({}, {})
    if documents.merchants is None:
        return both
    for settings, kind, said in (
        (both[0], "merchants", documents.merchants.merchants),
        (both[1], "platforms", documents.merchants.platforms),
    ):
        for index, one in enumerate(said):
            path = f"{kind}.{index}"
            tier = _tier(path, one, documents, report)
            for party in one.ids if not documents.hides("merchants.yaml", f"{path}.ids") else ():
                if party in settings:
                    report.add("merchants.yaml", f"{path}.ids", f'"{party}" stands twice', "Keep one setting")
                settings[party] = ConsentSetting(
                    consent_id_of(kind.removesuffix("s"), party, one.terms_version, tier),
                    tier,
                    one.terms_version,
                    one.actor,
                    one.evidence,
                    start_ms(one.valid_from),
                    FOREVER_MS if one.valid_until is None else start_ms(one.valid_until),
                )
    return both


def _tier(path: str, one: ConsentDocument, documents: Documents, report: Report) -> Tier:
    both = all(documents.whole("merchants.yaml", f"{path}.{name}") for name in ("tier", "opted_out"))
    if both and one.opted_out == (one.tier is not None):
        report.add("merchants.yaml", path, "it takes either a tier or opted_out: true", "Keep one of them")
    if one.opted_out and one.valid_until is not None:
        report.add(
            "merchants.yaml", f"{path}.valid_until", "an opt-out does not run out by itself", "Remove it"
        )
    if one.valid_until is not None and one.valid_from >= one.valid_until:
        report.add(
            "merchants.yaml", f"{path}.valid_until", "it is not after valid_from", "Correct one of them"
        )
    if one.opted_out or one.tier is None:
        return Tier.OPTED_OUT
    return Tier[one.tier.upper()]
