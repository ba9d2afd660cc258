"""SQL of the embedded DeliveryStore."""

import sqlite3
from hashlib import blake2b

SCHEMA = (
    """create table if not exists offsets(
        topic text not null, partition integer not null, position integer not null,
        primary key (topic, partition)) strict, without rowid""",
    """create table if not exists evaluations(
        evaluation_key integer primary key, evaluation_id text not null, sender_id text not null,
        merchant_id text not null, platform_id text not null, payment_intent_id text not null,
        attempt_no integer not null, issuer_id text not null, unit_key blob not null,
        initiated_at_ms integer not null, channel integer not null, mcc text not null,
        amount_minor integer not null, currency text not null, cardholder_region text not null,
        merchant_country text not null, match_keys text not null, recorded_at_ms integer not null,
        card_key blob not null default x'') strict""",
    """create index if not exists evaluations_payment
        on evaluations(sender_id, payment_intent_id, attempt_no)""",
    """create table if not exists match_keys(
        key blob not null, evaluation_key integer not null,
        primary key (key, evaluation_key)) strict, without rowid""",
    # queued: something of it is open and not withdrawn, and it is found by what it is taken back by: the
    # agreement (merchant, platform and consent in one number) and the keys of its card, which go with that.
    # Until then it stays also where its evaluation is gone, and says itself who agreed.
    """create table if not exists shares(
        share_id text primary key, evaluation_key integer not null, program text not null,
        issuer_id text not null, recipient_id text not null, expires_at_ms integer not null,
        has_left integer not null, consent_id text not null default '',
        queued integer not null default 0, agreement integer not null default 0,
        unit_key blob not null default x'', card_key blob not null default x'',
        merchant_id text not null default '', platform_id text not null default '')
        strict, without rowid""",
    "create index if not exists shares_agreement on shares(agreement, queued) where queued = 1",
    "create index if not exists shares_unit on shares(unit_key) where queued = 1",
    "create index if not exists shares_card on shares(card_key) where queued = 1 and card_key <> x''",
    "create index if not exists shares_evaluation on shares(evaluation_key)",
    "create table if not exists sets(jti text primary key, set_bytes blob not null) strict",
    # open: the recipient may still get it. withdrawn: only as a tombstone, or (look-up) not at all.
    """create table if not exists outbox(
        share_id text not null, transport integer not null, recipient_id text not null,
        program text not null, issuer_id text not null, evaluation_id text not null,
        stream_id text not null, stream_seq integer not null, jti text not null,
        withdrawn integer not null, state integer not null, open integer not null,
        expires_at_ms integer not null, sent_count integer not null default 0,
        error_count integer not null default 0, queued_at_ms integer not null default 0,
        primary key (share_id, transport)) strict, without rowid""",
    """create unique index if not exists outbox_stream
        on outbox(stream_id, stream_seq) where stream_seq > 0 and open = 1""",
    # Within a scope by age: what is too old is the first.
    """create index if not exists outbox_scope_age
        on outbox(program, issuer_id, queued_at_ms) where open = 1 and withdrawn = 0""",
    "drop index if exists outbox_scope",
    """create index if not exists outbox_expiry
        on outbox(transport, expires_at_ms) where open = 1 and stream_seq = 0""",
    """create table if not exists streams(
        stream_id text primary key, recipient_id text not null, next_seq integer not null)
        strict, without rowid""",
    """create table if not exists scopes(
        program text not null, issuer_id text not null, transport integer not null,
        left_count integer not null,
        primary key (program, issuer_id, transport)) strict, without rowid""",
    # report_no rises with time: the oldest are found without an index.
    """create table if not exists report_ids(
        report_no integer primary key, kind text not null, reporter_id text not null,
        report_id text not null, recorded_at_ms integer not null,
        unique (kind, reporter_id, report_id)) strict""",
    # After a restore: places below may have been given by what is gone.
    """create table if not exists restored(
        only_row integer primary key check (only_row = 1), first_free_seq integer not null) strict""",
    # Orders to erase, kept for good: the certificate of an erasure is made of them.
    """create table if not exists notices(
        share_id text primary key, case_id integer not null, recipient_id text not null,
        shares integer not null, told_at_ms integer not null, answered_at_ms integer not null default 0,
        error_code text not null default '') strict, without rowid""",
    "create index if not exists notices_of_case on notices(case_id)",
    """create table if not exists erasures(
        case_id integer primary key, evaluations integer not null, forgotten_at_ms integer not null)
        strict""",
    # When an open token by a key that signs no more was last seen: a margin counts from then.
    """create table if not exists key_uses(kid text primary key, seen_at_ms integer not null)
        strict, without rowid""",
    "create table if not exists unconfirmed(record_no integer primary key, record blob not null) strict",
)

# A database of before had no such column; what is in it counts from its newest payment on.
HAS_QUEUED_AT = "select 1 from pragma_table_info('outbox') where name = 'queued_at_ms'"
ADD_QUEUED_AT = (
    "alter table outbox add column queued_at_ms integer not null default 0",
    "update outbox set queued_at_ms = (select coalesce(max(recorded_at_ms), 0) from evaluations)",
)

HAS_CARD_KEY = "select 1 from pragma_table_info('evaluations') where name = 'card_key'"
ADD_CARD_KEY = ("alter table evaluations add column card_key blob not null default x''",)

HAS_QUEUED = "select 1 from pragma_table_info('shares') where name = 'queued'"
ADD_QUEUED = (
    "alter table shares add column queued integer not null default 0",
    "alter table shares add column agreement integer not null default 0",
    "alter table shares add column unit_key blob not null default x''",
    "alter table shares add column card_key blob not null default x''",
    "alter table shares add column merchant_id text not null default ''",
    "alter table shares add column platform_id text not null default ''",
    """update shares set queued = 1, agreement = agreement_of(e.merchant_id, e.platform_id, consent_id),
        unit_key = e.unit_key, merchant_id = e.merchant_id, platform_id = e.platform_id from evaluations e
        where e.evaluation_key = shares.evaluation_key and share_id in
        (select share_id from outbox where open = 1 and withdrawn = 0)""",
)

HAS_CONSENT_ID = "select 1 from pragma_table_info('shares') where name = 'consent_id'"
ADD_CONSENT_ID = ("alter table shares add column consent_id text not null default ''",)

_ITEM = """o.share_id, o.transport, o.recipient_id, o.program, o.issuer_id, o.evaluation_id, o.stream_id,
    o.stream_seq, o.jti, o.withdrawn, o.state, o.sent_count, o.error_count"""
_EVALUATION = """e.evaluation_key, e.evaluation_id, e.sender_id, e.merchant_id, e.platform_id,
    e.payment_intent_id, e.attempt_no, e.issuer_id, e.unit_key, e.initiated_at_ms, e.channel, e.mcc,
    e.amount_minor, e.currency, e.cardholder_region, e.merchant_country, e.match_keys, e.card_key"""

OFFSET = "select position from offsets where topic = ? and partition = ?"
KNOWN_SHARES = "select share_id from shares where share_id in ({marks})"
# One may outlive the rows of its share, and has its place.
KNOWN_TOMBSTONES = "select share_id from outbox where open = 1 and withdrawn = 1 and share_id in ({marks})"
KNOWN_REPORTS = (
    "select report_id from report_ids where kind = ? and reporter_id = ? and report_id in ({marks})"
)
NEXT_SEQ = "select next_seq from streams where stream_id = ?"
FIRST_FREE_SEQ = "select first_free_seq from restored"
SKIP_PLACES = """insert into restored
    select 1, ? + max(coalesce((select max(next_seq) from streams), 1),
        coalesce((select first_free_seq from restored), 1))
    where true
    on conflict (only_row) do update set first_free_seq = excluded.first_free_seq"""
UNCONFIRMED = "select record from unconfirmed order by record_no"

INSERT_EVALUATION = "insert or ignore into evaluations values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
INSERT_KEY = "insert or ignore into match_keys values (?,?)"
INSERT_SHARE = "insert into shares values (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
INSERT_SET = "insert or ignore into sets values (?,?)"
INSERT_ITEM = """insert into outbox(share_id, transport, recipient_id, program, issuer_id, evaluation_id,
    stream_id, stream_seq, jti, withdrawn, state, open, expires_at_ms, queued_at_ms)
    values (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"""
UPSERT_STREAM = """insert into streams values (?,?,?)
    on conflict (stream_id) do update set next_seq = excluded.next_seq"""
UPSERT_SCOPE = """insert into scopes values (?,?,?,?)
    on conflict (program, issuer_id, transport) do update set left_count = left_count + excluded.left_count"""
UPSERT_OFFSET = """insert into offsets values (?,?,?)
    on conflict (topic, partition) do update set position = excluded.position"""
INSERT_REPORT = """insert or ignore into report_ids(kind, reporter_id, report_id, recorded_at_ms)
    values (?,?,?,?)"""

LOOKUP = f"""select {_ITEM}, t.set_bytes, e.evaluation_key
    from match_keys m
    join evaluations e on e.evaluation_key = m.evaluation_key and e.initiated_at_ms between ?2 and ?3
    join shares s on s.evaluation_key = m.evaluation_key and s.recipient_id = ?4 and s.expires_at_ms > ?5
    join outbox o on o.share_id = s.share_id and o.transport = ?6 and o.withdrawn = 0 and o.open = 1
    join sets t on t.jti = o.jti
    where m.key = ?1 limit ?7"""  # noqa: S608
SHARE = f"""select {_EVALUATION}, s.program, s.issuer_id, s.recipient_id
    from shares s join evaluations e on e.evaluation_key = s.evaluation_key where s.share_id = ?"""  # noqa: S608
OF_PAYMENT = f"""select {_EVALUATION} from evaluations e
    where sender_id = ? and payment_intent_id = ? and attempt_no = ?
    order by evaluation_key desc limit 1"""  # noqa: S608
OF_KEY = f"""select {_EVALUATION} from match_keys m
    join evaluations e on e.evaluation_key = m.evaluation_key and e.initiated_at_ms between ?2 and ?3
    where m.key = ?1 limit ?4"""  # noqa: S608

PENDING = f"""select {_ITEM}, t.set_bytes from outbox o join sets t on t.jti = o.jti
    where o.stream_id = ? and o.stream_seq > 0 and o.open = 1 order by o.stream_seq limit ?"""  # noqa: S608
OPEN_OF_SHARES = f"""select {_ITEM}, null from outbox o
    where o.stream_id = ? and o.transport = ? and o.open = 1 and o.share_id in ({{marks}})"""  # noqa: S608
OPEN_ITEMS = f"""select {_ITEM}, null from outbox o
    where o.program = ? and o.issuer_id = ? and o.open = 1 and o.withdrawn = 0 and o.queued_at_ms < ?
    limit ?"""  # noqa: S608
_OPEN_OF = """from shares s cross join outbox o on o.share_id = s.share_id
    where s.queued = 1 and o.open = 1 and o.withdrawn = 0"""
# Of the index alone, in its order; then one share of each agreement says whose it is.
OPEN_CONSENTS = """select s.merchant_id, s.platform_id, s.consent_id from
    (select min(share_id) as share_id from shares indexed by shares_agreement
        where queued = 1 and agreement <> 0 group by agreement) one
    join shares s on s.share_id = one.share_id"""
OPEN_OF_CONSENT = f"select {_ITEM}, null {_OPEN_OF} and s.agreement = ? limit ?"
OPEN_OF_CARDS = f"""select {_ITEM}, null {_OPEN_OF} and o.queued_at_ms < ? and s.unit_key in ({{marks}})
    union select {_ITEM}, null {_OPEN_OF} and o.queued_at_ms < ?
    and s.card_key <> x'' and s.card_key in ({{marks}}) limit ?"""
SCOPES = "select distinct program, issuer_id from scopes"

FIRST_SENT = "select 1 from outbox where share_id = ? and transport = ? and sent_count = 0"
FIRST_LEAVE = "update shares set has_left = 1 where share_id = ? and has_left = 0"
MARK_SENT = """update outbox set sent_count = sent_count + 1, state = max(state, 1)
    where share_id = ? and transport = ?"""
# The jti tells an answer to the data from one to the tombstone that took its place meanwhile.
COUNT_ERROR = """update outbox set error_count = error_count + 1
    where share_id = ? and transport = ? and jti = ? and open = 1"""
MARK_ANSWERED = """update outbox set state = ?, open = 0
    where share_id = ? and transport = ? and jti = ? and open = 1"""
DROP_SET = """delete from sets where jti = ?1 and not exists
    (select 1 from outbox o where o.share_id = ?2 and o.jti = ?1 and o.open = 1)"""
# The bytes of a share are those of its data and of its tombstone; what no open item names can go.
DROP_CLOSED_SETS = """delete from sets where jti in (?1, ?1 || '.w') and jti not in
    (select o.jti from outbox o where o.share_id = ?1 and o.open = 1)"""

WITHDRAW_STREAM = """update outbox set withdrawn = 1, state = 0, sent_count = 0, error_count = 0, jti = ?
    where share_id = ? and transport = ? and open = 1"""
WITHDRAW_LOOKUP = "update outbox set withdrawn = 1, open = 0 where share_id = ? and transport = ?"
# Nothing more can be taken back of it: it need not say about whom it is.
NOT_QUEUED = """update shares set queued = 0, agreement = 0, unit_key = x'', card_key = x'',
    merchant_id = '', platform_id = '' where share_id = ?1 and queued = 1 and not exists
    (select 1 from outbox o where o.share_id = ?1 and o.open = 1 and o.withdrawn = 0)"""

# It outlived its evaluation for what was queued of it alone.
FORGET_OUTLIVING = """delete from shares where share_id = ?1 and queued = 0 and evaluation_key >= 0
    and not exists (select 1 from evaluations e where e.evaluation_key = shares.evaluation_key)"""

EXPIRED_LOOKUPS = """select share_id, transport from outbox
    where transport = ? and open = 1 and stream_seq = 0 and expires_at_ms < ? limit ?"""
CLOSE_ITEM = "update outbox set open = 0 where share_id = ? and transport = ?"

LEFT = """select transport, sum(left_count) from scopes
    where program = ? and (? is null or issuer_id = ?) group by transport"""

# Keys rise with time: the oldest rows are the first.
OLDEST = """select evaluation_key, match_keys from
    (select evaluation_key, match_keys, recorded_at_ms from evaluations order by evaluation_key limit ?2)
    where recorded_at_ms < ?1"""
FORGET_KEY = "delete from match_keys where key = ? and evaluation_key = ?"
# What is open stays, or the stream had a gap: a tombstone, or what was queued since, of a label. It goes
# once it is answered, and its share, by which it can be taken back, with what is queued of it.
FORGET_SETS = """delete from sets where jti in (select o.jti from outbox o join shares s using (share_id)
    where s.evaluation_key = ?1 and o.open = 0) and jti not in (select o.jti from outbox o
    join shares s using (share_id) where s.evaluation_key = ?1 and o.open = 1)"""
FORGET_ITEMS = """delete from outbox where open = 0
    and share_id in (select share_id from shares where evaluation_key = ?)"""
FORGET_ANSWERED = """delete from outbox where share_id = ?1 and open = 0
    and not exists (select 1 from shares where share_id = ?1)"""
FORGET_SHARES = "delete from shares where evaluation_key = ? and queued = 0"
FORGET_REPORTS = """delete from report_ids where recorded_at_ms < ?1 and report_no in
    (select report_no from report_ids order by report_no limit ?2)"""
INSERT_NOTICE = """insert or ignore into notices(share_id, case_id, recipient_id, shares, told_at_ms)
    values (?,?,?,?,?)"""
ANSWER_NOTICE = """update notices set answered_at_ms = ?, error_code = ?
    where share_id = ? and answered_at_ms = 0"""
NOTICES = """select case_id, recipient_id, share_id, shares, told_at_ms, answered_at_ms, error_code
    from notices where case_id = ? order by recipient_id, share_id"""
INSERT_ERASURE = "insert or ignore into erasures values (?,?,?)"
UPSERT_KEY_USE = """insert into key_uses values (?,?)
    on conflict (kid) do update set seen_at_ms = excluded.seen_at_ms"""
ERASED_UP_TO = "select coalesce(max(case_id), 0) from erasures"
ERASURE = "select evaluations, forgotten_at_ms from erasures where case_id = ?"
OF_CARDS = """select evaluation_key from evaluations
    where evaluation_key > ? and evaluation_key <= ? and (unit_key in ({marks}) or card_key in ({marks}))"""
MATCH_KEYS_OF = "select evaluation_key, match_keys from evaluations where evaluation_key = ?"
FORGET_EVALUATION = "delete from evaluations where evaluation_key = ?"

_ADDED = (
    (HAS_CONSENT_ID, ADD_CONSENT_ID),
    (HAS_QUEUED_AT, ADD_QUEUED_AT),
    (HAS_CARD_KEY, ADD_CARD_KEY),
    (HAS_QUEUED, ADD_QUEUED),
)
"""What tells that a database has a column, and how one of before gets it."""


def agreement_of(merchant_id: str, platform_id: str, consent_id: str) -> int:
    """Merchant, platform and consent as one number; never 0, which stands for none."""
    digest = blake2b("\n".join((merchant_id, platform_id, consent_id)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) or 1


def create(raw: sqlite3.Connection) -> None:
    """Tables and indexes, in a new database or in one of before."""
    raw.create_function("agreement_of", 3, agreement_of, deterministic=True)
    tables = [statement for statement in SCHEMA if statement.startswith("create table")]
    for statement in tables:
        raw.execute(statement)
    for present, statements in _ADDED:
        if not raw.execute(present).fetchone():
            for statement in statements:
                raw.execute(statement)
    for statement in SCHEMA:
        raw.execute(statement)
