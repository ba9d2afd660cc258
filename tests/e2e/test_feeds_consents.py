"""A consent that is revoked takes back what waits for its recipient, wherever it waits."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from gateway.backends.embedded.consents import SqliteConsents
from gateway.programs.consents import Party, Setting
from gateway.programs.model import Tier
from gateway.runtime.clock import SystemClock
from issuernetwork.v1 import feed_pb2 as v1
from tests.kit.feeds_process import Feeds, until
from tests.kit.installation import Installation, policy_with
from tests.unit.feeds.records import references

QUEUED, LATE, DOWN, NARROWED = "northgate-bank", "harbor-federal", "meridian-cards", "atlas-processing"
ENDED, LEFT = "ended-bank", "left-bank"
POLICY = policy_with(LATE, NARROWED, ENDED, LEFT)


@pytest.fixture(scope="module")
def feeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feeds]:
    installation = Installation(tmp_path_factory.mktemp("consents"), processes=("feeds",), policy=POLICY)
    installation.token(ENDED, "issuer")
    installation.token(LEFT, "issuer")
    with installation:
        running = Feeds(installation)
        yield running
        running.close()


def ein(feeds: Feeds, *arguments: str) -> str:
    return subprocess.run(
        [
            sys.executable, "-m", "gateway.server.cli.main", "consent", *arguments, "--reason", "test",
            "--config", str(feeds.installation.config),
        ],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip


def write(policy: Mapping[str, str], folder: Path) -> None:
    for name, text in policy.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def apply(feeds: Feeds, folder: Path) -> None:
    subprocess.run(
        [
            sys.executable, "-m", "gateway.server.cli.main", "apply", str(folder), "--reason", "letter",
            "--config", str(feeds.installation.config),
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip


def sets(feeds: Feeds, recipient_id: str, count: int) -> dict[str, str]:
    found: dict[str, str] = until(
        lambda: got if len(got := feeds.poll(recipient_id, maxEvents=1000)["sets"]) >= count else None
    )
    return found


def match_of(feeds: Feeds, number: int, recipient_id: str) -> int:
    found: v1.LookupResponse = feeds.call("Lookup", v1.LookupRequest(match=references(number)), recipient_id)
    return found.match


def test_a_revocation_withdraws_what_is_queued_of_that_merchant_alone(feeds: Feeds) -> None:
    gone = feeds.pay(3, QUEUED, merchant_id="m-1000")
    kept = feeds.pay(2, QUEUED, merchant_id="m-1001")
    before = sets(feeds, QUEUED, 5)
    assert match_of(feeds, gone[0], QUEUED) == v1.MATCH_RESULT_UNIQUE
    assert "in effect after" in ein(feeds, "revoke", "m-1000")
    # Once the command has returned: at the first look.
    after = feeds.poll(QUEUED, maxEvents=1000)["sets"]
    assert {f"share-{number}" for number in kept} == set(after) & set(before)
    assert len(after) == 5, "a tombstone stands in each place"
    assert match_of(feeds, gone[0], QUEUED) == v1.MATCH_RESULT_NOT_MATCHED
    assert match_of(feeds, kept[0], QUEUED) == v1.MATCH_RESULT_UNIQUE


def test_what_comes_to_the_feeds_after_the_revocation_is_withdrawn_at_once(feeds: Feeds) -> None:
    ein(feeds, "revoke", "m-2000")
    late = feeds.pay(2, LATE, merchant_id="m-2000")
    found = sets(feeds, LATE, 2)
    assert not set(found) & {f"share-{number}" for number in late}
    assert match_of(feeds, late[0], LATE) == v1.MATCH_RESULT_NOT_MATCHED


def test_what_is_revoked_while_the_feeds_are_down_does_not_leave_when_they_are_back(feeds: Feeds) -> None:
    gone = feeds.pay(2, DOWN, platform_id="plat-9")
    sets(feeds, DOWN, 2)
    supervisor = feeds.installation.supervisor
    supervisor.signal("feeds", signal.SIGSTOP)
    try:
        store = SqliteConsents(str(feeds.state.consents_db), SystemClock())
        said = Setting(Party.PLATFORM, "plat-9", Tier.OPTED_OUT, "2026", "letter", 0)
        store.put([said], actor="test", reason="test")
        store.close()
    finally:
        supervisor.signal("feeds", signal.SIGKILL)
        supervisor.respawn("feeds")
    found = sets(feeds, DOWN, 2)
    assert not set(found) & {f"share-{number}" for number in gone}


def test_what_is_queued_under_a_consent_is_taken_back_when_its_last_day_has_passed(feeds: Feeds) -> None:
    until_ms = SystemClock().wall_ms() + 6_000
    with closing(SqliteConsents(str(feeds.state.consents_db), SystemClock())) as store:
        said = Setting(Party.MERCHANT, "m-4000", Tier.ENHANCED, "2026", "form", 0, until_ms)
        store.put([said], actor="test", reason="test")
    gone = {f"share-{number}" for number in feeds.pay(2, ENDED, merchant_id="m-4000")}
    kept = {f"share-{number}" for number in feeds.pay(1, ENDED, merchant_id="m-4001")}
    before = sets(feeds, ENDED, 3)
    assert SystemClock().wall_ms() < until_ms, "the machine is too slow to see it before"
    assert gone | kept == set(before)
    after: dict[str, str] = until(
        lambda: None if gone & set(found := feeds.poll(ENDED, maxEvents=1000)["sets"]) else found
    )
    assert SystemClock().wall_ms() >= until_ms
    assert kept < set(after)
    assert len(after) == 3, "a tombstone stands in each place"


def test_a_policy_whose_documents_say_less_of_a_merchant_takes_back_what_is_queued(
    feeds: Feeds, tmp_path: Path
) -> None:
    gone = feeds.pay(2, NARROWED, merchant_id="m-3000")
    before = sets(feeds, NARROWED, 2)
    assert {f"share-{number}" for number in gone} <= set(before)
    folder = tmp_path / "policy"
    write(POLICY, folder)
    with (folder / "merchants.yaml").open("a") as documents:
        documents.write(
            "  - ids: [m-3000]\n    opted_out: true\n    terms_version: '2026'\n    actor: m-3000\n"
            "    evidence: letter\n    valid_from: 2025-01-01\n"
        )
    apply(feeds, folder)
    until(
        lambda: not {f"share-{number}" for number in gone} & set(feeds.poll(NARROWED, maxEvents=1000)["sets"])
    )


def test_a_policy_without_an_enrolment_takes_back_what_is_queued_under_it_and_what_comes_after(
    feeds: Feeds, tmp_path: Path
) -> None:
    gone = {f"share-{number}" for number in feeds.pay(2, LEFT)}
    assert gone == set(sets(feeds, LEFT, 2))
    folder = tmp_path / "policy"
    write({name: text for name, text in POLICY.items() if LEFT not in name}, folder)
    apply(feeds, folder)
    until(lambda: not gone & set(feeds.poll(LEFT, maxEvents=1000)["sets"]))
    late = {f"share-{number}" for number in feeds.pay(1, LEFT)}
    assert not (gone | late) & set(sets(feeds, LEFT, 3))
