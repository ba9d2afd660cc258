"""What of a wrong document could be read, so that it is still held against the others. Pure.

A member that cannot be read leaves its place to a stand-in that no check says anything of: what is told of a
policy must be true. Nothing is ever put in force with one, since the member itself is told as a mistake.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import date
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from enrichment.fields import FIELDS
from gateway.programs import schema

ROUNDS_MAX: Final = 4
"""What is taken out may leave a list empty, and that its document without a member: one round each."""

ERRORS_MAX: Final = 100
"""Of one file: beyond, it is no document with some mistakes, and each issue is looked up among them."""

UNREAD: Final = "unread"
"""Stands for a name. Nothing is looked up by it."""

_EARLY, _LATE = date(1970, 1, 1), date(9999, 12, 31)
_SALT: Final = "unread-unread-unread-unread"

_CONSENT: Final[Mapping[str, Any]] = {
    "ids": [UNREAD], "tier": "none", "terms_version": UNREAD, "actor": UNREAD, "evidence": UNREAD,
    "valid_from": _EARLY,
}  # fmt: skip

_STAND_INS: Final[Mapping[type[schema.Document], Mapping[str, Any]]] = {
    schema.IssuerDocument: {
        "issuer_id": UNREAD, "iin_ranges": ["000000"], "iin_ranges.*": "000000", "region": "XX",
    },
    schema.RecipientDocument: {"recipient_id": UNREAD, "status": "enabled"},
    schema.ProgramDocument: {
        "program": UNREAD, "kind": "ahead", "purpose": "fraud_authorization", "fields": [FIELDS[0].name],
        "tiers": {"basic": [], "enhanced": []}, "tiers.basic": [], "tiers.enhanced": [],
        "transports": ["ssf"], "state": "draft", "ramp_percent": 100.0, "holdout_percent": 0.0,
        "salt_version": UNREAD,
    },
    schema.EnrolmentDocument: {
        "enrolment_id": UNREAD, "issuer_id": UNREAD, "program": UNREAD, "contract_id": UNREAD,
        "legal_basis": "contract", "controller_role": "processor", "valid_from": _EARLY,
        "valid_until": _LATE, "attestation_expires": _LATE, "regions": ["XX"], "fields": [FIELDS[0].name],
        "transports": ["ssf"], "state": "paused",
    },
    schema.RegionsDocument: {"regions": {}, "regions.*": {}},
    schema.MerchantsDocument: {
        f"{kind}.{place}": stand_in
        for kind in ("merchants", "platforms")
        for place, stand_in in [
            ("*", _CONSENT),
            *((f"*.{name}", value) for name, value in _CONSENT.items() if name != "tier"),
        ]
    },
    schema.ExperimentDocument: {
        "global_holdout_percent": 0.0, "global_salt": _SALT, "salts": {}, "salts.*": _SALT,
    },
}  # fmt: skip
"""By place, a star for any key or number. What has none is taken out: members that may be left out, and the
elements of lists whose places nothing is told by."""

_WITHIN: Final[Mapping[str, type[BaseModel]]] = {
    "tiers": schema.TiersDocument, "when": schema.ConditionsDocument, "terms": schema.TermsDocument,
    "regions.*": schema.RegionDocument, "merchants.*": schema.ConsentDocument,
    "platforms.*": schema.ConsentDocument,
}  # fmt: skip
"""Documents within documents, by their place."""

_KEYED: Final = ("regions", "salts")
"""Members whose keys are names of their own. The regions of an enrolment are a list, and have numbers."""

_Place = tuple[int | str, ...]


def read_partly(
    raw: Mapping[str, Any], model: type[schema.Document], errors: Sequence[Any]
) -> tuple[Any, frozenset[str]] | None:
    """The document with stand-ins, and the places that were not read; None where nothing could be made of it.

    `errors` are those of the library for `raw`.
    """
    if len(errors) > ERRORS_MAX:
        return None
    made, unread = deepcopy(dict(raw)), set[str]()
    for _ in range(ROUNDS_MAX):
        _mend(made, model, errors, unread)
        try:
            return model.model_validate(made), frozenset(unread)
        except ValidationError as fault:
            errors = fault.errors(include_input=False, include_url=False, include_context=False)
    return None


def _mend(
    made: dict[str, Any], model: type[schema.Document], errors: Sequence[Any], unread: set[str]
) -> None:
    # From the end, so that what is taken out of a list moves nothing that is still to be mended.
    for error in sorted(errors, key=lambda one: _order(one["loc"]), reverse=True):
        place = tuple(part for part in error["loc"] if part != "[key]")
        unread.add(_dotted(place))
        holder = _at(made, place[:-1])
        if not place or not isinstance(holder, dict | list):
            continue
        if error["type"] == "extra_forbidden":
            # It may be another member that was meant: nobody knows what those that are absent would say.
            inner = model if len(place) == 1 else _WITHIN.get(_starred(place[:-1]))
            names = set(inner.model_fields) - holder.keys() if inner and isinstance(holder, dict) else ()
            unread.update(_dotted((*place[:-1], name)) for name in names)
        stand_in = _STAND_INS[model].get(_starred(place))
        if "[key]" in error["loc"]:
            # Whichever name is looked for there may have been meant.
            unread.add(_dotted((*place[:-1], schema.ANY_KEY)))
            stand_in = None
        if stand_in is not None and error["type"] != "extra_forbidden":
            holder[place[-1]] = deepcopy(stand_in)
        elif isinstance(holder, dict):
            holder.pop(place[-1], None)
        elif isinstance(place[-1], int) and place[-1] < len(holder):
            del holder[place[-1]]


def _order(place: Sequence[int | str]) -> list[tuple[int, str]]:
    return [(part, "") if isinstance(part, int) else (-1, part) for part in place]


def _starred(place: _Place) -> str:
    """A place as the tables have it."""
    keyed = place[0] in _KEYED
    return ".".join(
        "*" if isinstance(part, int) or (at == 1 and keyed) else str(part) for at, part in enumerate(place)
    )


def _dotted(place: _Place) -> str:
    return ".".join(map(str, place))


def _at(made: Any, place: _Place) -> Any:
    for part in place:
        try:
            made = made[part]
        except (KeyError, IndexError, TypeError):
            return None
    return made
