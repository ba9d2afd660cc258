"""`ConsentService`: what merchants and platforms agreed to, written and read by operators."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from gateway.programs.consent_rows import LAST_ROW, Place
from gateway.programs.consents import (
    ID_CHARACTERS_MAX,
    NEWEST_PLACE,
    SETTINGS_A_CALL_MAX,
    ConsentRefused,
    Party,
    Said,
    Setting,
    check_setting,
)
from gateway.programs.model import FOREVER_MS, Tier
from gateway.programs.switches import Stopped
from gateway.server.beside import Beside
from gateway.server.gate import caller
from gateway.server.gateway.acts import check_reason, cursor_of, everywhere, page_size, places_of
from gateway.server.grpc_common import InvalidArgument
from gateway.server.verbs.consents import ConsentDesk
from issuernetwork.v1 import consents_pb2 as v1
from issuernetwork.v1 import consents_pb2_grpc as rpc

SERVICE: Final = v1.DESCRIPTOR.services_by_name["ConsentService"].full_name

THREADS: Final = 2
"""Each looks at the leases 200 times a second while it waits, in the process that shares."""

CALLS_INSIDE_MAX: Final = 64
"""Some 50 ms each: who is last of these waits under two seconds, and more send one batch."""

CHECKED_AT_ONCE: Final = 50
"""Settings of a batch, some 0.2 ms of the interpreter, which the hot loop needs too."""

_PARTIES: Final[Mapping[int, Party]] = {
    v1.CONSENT_PARTY_MERCHANT: Party.MERCHANT,
    v1.CONSENT_PARTY_PLATFORM: Party.PLATFORM,
}
_TIERS: Final[Mapping[int, Tier]] = {
    v1.CONSENT_TIER_OPTED_OUT: Tier.OPTED_OUT,
    v1.CONSENT_TIER_NONE: Tier.NONE,
    v1.CONSENT_TIER_BASIC: Tier.BASIC,
    v1.CONSENT_TIER_ENHANCED: Tier.ENHANCED,
}
_PARTY_NUMBERS: Final = {party: number for number, party in _PARTIES.items()}
_TIER_NUMBERS: Final = {tier: number for number, tier in _TIERS.items()}


def party_of(number: int, party_id: str) -> tuple[Party, str]:
    """Who is meant. Raises InvalidArgument."""
    party = _PARTIES.get(number)
    if party is None:
        raise InvalidArgument("party: say whose word it is, merchant or platform")
    if not party_id.strip() or len(party_id) > ID_CHARACTERS_MAX or not party_id.isprintable():
        raise InvalidArgument(f"party_id: takes 1 to {ID_CHARACTERS_MAX} printable characters")
    return party, party_id


def setting_of(sent: v1.ConsentSetting, now_ms: int) -> Setting:
    """A checked setting. Raises InvalidArgument, ConsentRefused."""
    party, party_id = party_of(sent.party, sent.party_id)
    tier = _TIERS.get(sent.tier)
    if tier is None:
        raise InvalidArgument("tier: say what was agreed to: opted out, none, basic or enhanced")
    return check_setting(
        Setting(
            party, party_id, tier, sent.terms_version, sent.evidence, sent.valid_from_ms or now_ms,
            sent.valid_until_ms or FOREVER_MS,
        )
    )  # fmt: skip


def settings_of(
    sent: Iterable[v1.ConsentSetting], now_ms: int, let_others_in: Callable[[], None]
) -> list[Setting]:
    """All of a batch. Raises InvalidArgument, which says which one cannot be taken."""
    found = []
    for place, one in enumerate(sent):
        if place % CHECKED_AT_ONCE == CHECKED_AT_ONCE - 1:
            let_others_in()
        try:
            found.append(setting_of(one, now_ms))
        except (InvalidArgument, ConsentRefused) as refused:
            raise InvalidArgument(f"settings[{place}].{refused.public}; nothing was written") from None
    return found


def consent_message(said: Said) -> v1.Consent:
    """What the registry keeps, as it is sent."""
    one = said.setting
    return v1.Consent(
        setting=v1.ConsentSetting(
            party=_PARTY_NUMBERS[one.party],  # type: ignore[arg-type]
            party_id=one.party_id,
            tier=_TIER_NUMBERS[one.tier],  # type: ignore[arg-type]
            terms_version=one.terms_version,
            evidence=one.evidence,
            valid_from_ms=one.valid_from_ms,
            valid_until_ms=0 if one.valid_until_ms == FOREVER_MS else one.valid_until_ms,
        ),
        consent_epoch=said.epoch,
        actor=said.actor,
        reason=said.reason,
        at_ms=said.at_ms,
    )


class ConsentService(rpc.ConsentServiceServicer):
    """Operators and approvers write, auditors read."""

    def __init__(self, *, desk: ConsentDesk) -> None:
        self._desk = desk
        self._beside = Beside("consents", threads=THREADS, inside_max=CALLS_INSIDE_MAX)

    def close(self) -> None:
        self._beside.close()

    async def SetConsent(self, request: v1.SetConsentRequest, context: Any) -> v1.SetConsentResponse:  # noqa: N802
        actor = caller().principal_id
        setting = setting_of(request.setting, self._desk.clock.wall_ms())
        reason = check_reason(request.reason)
        effect = await self._effect(lambda: self._desk.say([setting], actor=actor, reason=reason))
        return v1.SetConsentResponse(effect=effect)

    async def BatchSetConsents(  # noqa: N802
        self, request: v1.BatchSetConsentsRequest, context: Any
    ) -> v1.BatchSetConsentsResponse:
        actor = caller().principal_id
        if not 1 <= len(request.settings) <= SETTINGS_A_CALL_MAX:
            raise InvalidArgument(
                f"settings: send 1 to {SETTINGS_A_CALL_MAX}; more go by `ein consent import`"
            )
        reason, now_ms = check_reason(request.reason), self._desk.clock.wall_ms()

        def say() -> Stopped:
            settings = settings_of(request.settings, now_ms, lambda: self._desk.wait_s(0))
            return self._desk.say(settings, actor=actor, reason=reason)

        return v1.BatchSetConsentsResponse(effect=await self._effect(say))

    async def RevokeConsent(  # noqa: N802
        self, request: v1.RevokeConsentRequest, context: Any
    ) -> v1.RevokeConsentResponse:
        actor = caller().principal_id
        party, party_id = party_of(request.party, request.party_id)
        reason = check_reason(request.reason)
        effect = await self._effect(lambda: self._desk.revoke(party, party_id, actor=actor, reason=reason))
        return v1.RevokeConsentResponse(effect=effect)

    async def GetConsent(self, request: v1.GetConsentRequest, context: Any) -> v1.GetConsentResponse:  # noqa: N802
        said = await self._said(request, most=1)
        return v1.GetConsentResponse(consent=consent_message(said[0]) if said else None)

    async def ListConsents(self, request: v1.ListConsentsRequest, context: Any) -> v1.ListConsentsResponse:  # noqa: N802
        most = page_size(request.limit)
        # What is said meanwhile moves no place.
        epoch, row_number = places_of(request.cursor, 2, LAST_ROW)
        said = await self._said(request, most=most + 1, before=(epoch, row_number))
        page = said[:most]
        return v1.ListConsentsResponse(
            consents=[consent_message(one) for one in page],
            next_cursor=cursor_of(*page[-1].place) if len(said) > most else "",
        )

    async def _said(self, request: Any, *, most: int, before: Place = NEWEST_PLACE) -> list[Said]:
        party, party_id = party_of(request.party, request.party_id)
        return await self._beside.run(
            lambda: self._desk.store.said(party, party_id, most=most, before=before)
        )

    async def _effect(self, act: Callable[[], Stopped]) -> v1.ConsentEffect:
        effect = everywhere(await self._beside.run(act), "the consent")
        return v1.ConsentEffect(
            consent_epoch=effect.epoch,
            effective_after_ms=effect.effective_after_ms,
            workers_acknowledged=len(effect.workers_acknowledged),
            workers_expired=len(effect.workers_expired),
        )
