"""What kind of host an e-mail address is at, by its domain."""

from typing import Final, Literal

from enrichment.disposable import is_disposable
from enrichment.quality import TEST_DOMAINS, TEST_TOP_LEVELS

DomainType = Literal["free", "disposable", "corporate"]

DOMAINS_CACHED: Final = 8_192
"""Domains whose kind is kept: nine in ten addresses are at some hundred hosts."""

_FREE_ANYWHERE: Final = frozenset({"yahoo", "hotmail", "outlook", "live", "gmx", "yandex"})
"""Hosts that have a domain in many countries."""

_FREE_HOSTS: Final = """
gmail.com googlemail.com ymail.com rocketmail.com myyahoo.com msn.com windowslive.com passport.com
icloud.com me.com mac.com aol.com aim.com proton.me protonmail.com pm.me tutanota.com tuta.io zoho.com
zohomail.com fastmail.com fastmail.fm hushmail.com mail.com email.com inbox.com usa.com web.de
freenet.de t-online.de arcor.de online.de posteo.de mailbox.org orange.fr wanadoo.fr free.fr sfr.fr
laposte.net neuf.fr libero.it virgilio.it tiscali.it alice.it tin.it terra.com terra.es telefonica.net
uol.com.br bol.com.br ig.com.br globo.com sapo.pt wp.pl o2.pl onet.pl interia.pl op.pl seznam.cz
centrum.cz email.cz azet.sk freemail.hu citromail.hu abv.bg mail.bg mail.ru bk.ru inbox.ru list.ru
rambler.ru ukr.net i.ua walla.co.il walla.com qq.com foxmail.com 163.com 126.com yeah.net sina.com
sina.cn sohu.com aliyun.com 139.com naver.com hanmail.net daum.net nate.com docomo.ne.jp ezweb.ne.jp
softbank.ne.jp nifty.com rediffmail.com btinternet.com talktalk.net ntlworld.com virginmedia.com
bluewin.ch telenet.be skynet.be ziggo.nl planet.nl home.nl kpnmail.nl telia.com comhem.se online.no
comcast.net verizon.net att.net sbcglobal.net bellsouth.net cox.net charter.net earthlink.net
optonline.net juno.com rogers.com shaw.ca sympatico.ca telus.net bigpond.com optusnet.com.au xtra.co.nz
"""
"""Where everybody may have a mailbox: the large hosts and the access providers."""

_FREE: Final = frozenset(_FREE_HOSTS.split())


def _kind_of(domain: str) -> DomainType | None:
    if domain in TEST_DOMAINS or domain.rpartition(".")[2] in TEST_TOP_LEVELS or "." not in domain:
        return None
    if domain in _FREE or domain.partition(".")[0] in _FREE_ANYWHERE:
        return "free"
    return "disposable" if is_disposable(domain) else "corporate"


class _Kinds(dict[str, DomainType | None]):
    def __missing__(self, domain: str) -> DomainType | None:
        if len(self) >= DOMAINS_CACHED:
            self.clear()
        kind = self[domain] = _kind_of(domain.lower())
        return kind


KINDS: Final = _Kinds()
"""`domain_type` without the call: an entry for whatever domain it is asked for."""


def domain_type(domain: str) -> DomainType | None:
    """The kind of host; None for a domain that no real mailbox has. In whatever case it is written.

    >>> domain_type("gmail.com"), domain_type("yahoo.co.uk"), domain_type("mailinator.com")
    ('free', 'free', 'disposable')
    >>> domain_type("northgate.bank"), domain_type("Example.com")
    ('corporate', None)
    """
    return KINDS[domain]
