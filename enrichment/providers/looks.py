"""Our own providers asked in one step, where the engine is built (native/src/looks): it looks into what it
has read, without columns in between. Each provider's `fetch` is the twin, and what a provider remembers is
where `fetch` looks too: any batch may go either way.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from enrichment.calling_codes import COUNTRIES_BY_PREFIX
from enrichment.domains import KINDS
from enrichment.payment import Facts
from enrichment.provider import Provider
from enrichment.providers import amounts, authentication, card_testing, iin, merchant, network
from enrichment.providers.contact import Contact
from enrichment.providers.device import DeviceContinuity
from enrichment.providers.kept import GENERATION_DAYS, SPREAD
from enrichment.reader import slots_of
from enrichment.scoring.points import MINOR_ELSE, MINOR_TO_DOLLAR
from enrichment.signals import PROVIDED

_READ_OF_PAYMENT: Final = (
    "amount_minor", "currency", "initiated_at_ms", "mcc", "merchant_id", "email", "phone_e164",
    "billing.country", "network", "trans_status", "eci", "cvv_result", "initiation",
)  # fmt: skip

_Tables = Callable[[Any], tuple[Any, ...]]
"""What the engine needs to know of a provider."""

_KINDS: Final[dict[type[Any], tuple[str, _Tables]]] = {
    amounts.Amounts: (
        "amounts",
        lambda provider: (GENERATION_DAYS, amounts.AMOUNT_MAX, amounts.PERCENT_MAX, SPREAD),
    ),
    authentication.Authentication: (
        "authentication",
        lambda provider: (list(authentication.ECI_FITS), list(authentication.JUDGED)),
    ),
    card_testing.CardTesting: (
        "card_testing",
        lambda provider: (
            list(card_testing.VERDICTS), MINOR_TO_DOLLAR, MINOR_ELSE, card_testing.SMALL_DOLLARS,
        ),
    ),
    Contact: ("contact", lambda provider: (KINDS, COUNTRIES_BY_PREFIX)),
    DeviceContinuity: ("device", lambda provider: (GENERATION_DAYS,)),
    iin.Iin: ("iin", lambda provider: iin.IIN_DIGITS),
    merchant.Merchant: ("merchant", lambda provider: (merchant.RISK_BY_MCC, merchant.OTHER_RISK)),
    network.Network: ("network", lambda provider: ([network.FILLS.index(one) for one in provider.gives],)),
}  # fmt: skip


def has_twin(provider: Provider) -> bool:
    """Whether the engine can be asked in a provider's place: one of ours, and no other that is made of it."""
    return type(provider) in _KINDS


def make_looks(engines: Any, providers: Sequence[Provider]) -> Any:
    """An engine that is asked in place of these; each has a twin there. `engines` is the native module.

    Its `look(works, counts, now)` gives None, having asked nobody, where one of the works was not read by the
    engine; else what was found, with `outcomes`: of each provider the nanoseconds that it took by the clock
    `now`, or the exception that it raised. `join(looked, works, counts, omissions, columns)` makes the facts
    of works of that and of the columns of others. Where there are none of others, `found` is a dict in all
    but its type: the engine's later steps read it without one (native/src/looks/findings.rs).
    """
    rows = []
    for one in providers:
        kind, tables = _KINDS[type(one)]
        rows.append((kind, one, list(one.gives), tables(one)))
    return engines.Looks(rows, slots_of(_READ_OF_PAYMENT), PROVIDED, Facts)
