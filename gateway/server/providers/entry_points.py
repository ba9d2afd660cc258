"""Providers of third parties: found by entry point, checked before anything starts."""

import re
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Final

from enrichment.provider import KEYS, PERSONAL, Provider
from enrichment.signals import PROVIDED
from gateway.records.errors import GatewayError
from gateway.server.providers.settings import OtherSettings

GROUP: Final = "issuernetwork.providers"

Factory = Callable[[Mapping[str, str | int | float | bool]], Provider]
"""What an entry point names: makes the provider from its options."""

_VERSION: Final = re.compile(r"[A-Za-z0-9._+-]{1,32}")


class ProviderInvalid(GatewayError):
    """A provider that is named in the settings cannot be used; the text says which and why."""

    code = "settings_invalid"


def load_others(
    named: Iterable[OtherSettings], taken: Mapping[str, str]
) -> list[tuple[OtherSettings, Provider]]:
    """The providers that the settings name. `taken`: fields that a provider of this installation fills
    already, and which. Raises ProviderInvalid."""
    filled = dict(taken)
    found: list[tuple[OtherSettings, Provider]] = []
    for one in named:
        if any(one.name == other.name for other, _ in found):
            raise ProviderInvalid(f"providers.others: {one.name} is named twice; name it once")
        provider = _made(one)
        _check(one, provider, filled)
        filled |= dict.fromkeys(provider.gives, one.name)
        found.append((one, provider))
    return found


def _made(one: OtherSettings) -> Provider:
    points = [point for point in entry_points(group=GROUP) if point.name == one.name]
    if len(points) != 1:
        why = "two packages have" if points else "no installed package has"
        raise ProviderInvalid(
            f"providers.others: {why} an entry point {one.name} in the group {GROUP}; "
            + ("remove one" if points else "install the package, or take the name out")
        )
    try:
        factory: Factory = points[0].load()
        return factory(dict(one.options))
    except Exception as fault:
        # Its text could hold an option, which may be a secret.
        raise ProviderInvalid(
            f"providers.others: {one.name} could not be made ({type(fault).__name__}); see its documentation"
        ) from None


def _check(one: OtherSettings, provider: Provider, filled: Mapping[str, str]) -> None:
    def refuse(why: str) -> None:
        raise ProviderInvalid(f"providers.others: {one.name}: {why}")

    try:
        name, version, wants, gives = provider.name, provider.version, provider.wants, provider.gives
        wants, gives = tuple(map(str, wants)), tuple(map(str, gives))
        callable_fetch = callable(provider.fetch)
    except Exception as fault:
        refuse(f"it lacks a part of the port ({type(fault).__name__}): enrichment/provider.py has it")
    if name != one.name:
        refuse("it calls itself by another name than its entry point; make them the same")
    if not (isinstance(version, str) and _VERSION.fullmatch(version)) or not callable_fetch:
        refuse("version must be short text and fetch a function: enrichment/provider.py has the port")
    unknown = sorted(set(wants) - KEYS.keys())
    if unknown:
        refuse(f"it wants what is no fact key; the keys are {', '.join(sorted(KEYS))}")
    hidden = sorted((set(wants) & PERSONAL) - set(one.may_see))
    if hidden:
        refuse(f"it wants {', '.join(hidden)}, which is personal; if it may, list it in its may_see")
    if not gives or len(set(gives)) != len(gives):
        refuse("gives must name each field once, and one at least")
    for field in gives:
        if field in filled:
            refuse(
                f"{field} is filled by {filled[field]} in this installation; turn that off, or leave it out"
            )
        if field not in PROVIDED:
            free = ", ".join(sorted(PROVIDED.keys() - filled.keys()))
            refuse(f"it gives what is no field for a provider; free are {free}")
