"""Domains whose mailboxes are made to be thrown away: the list of disposable-email-domains, loaded once."""

from typing import Final

from disposable_email_domains import blocklist

DISPOSABLE: Final = frozenset(blocklist)
"""In lower case. As new as the package that is installed."""


def is_disposable(domain: str) -> bool:
    """Whether a domain, or one that it stands under, is on the list. Takes it in lower case.

    >>> is_disposable("mailinator.com"), is_disposable("eu.mailinator.com"), is_disposable("gmx.net")
    (True, True, False)
    """
    while domain not in DISPOSABLE:
        _, dot, domain = domain.partition(".")
        if not dot:
            return False
    return True
