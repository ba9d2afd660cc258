"""The programs of the SDK's README and of examples/, against a real installation."""

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.server.account import build_account
from gateway.server.install import ISSUER_URL
from issuernetwork.client import PATIENT, PaymentClient
from issuernetwork.receiver import Receiver, Share
from issuernetwork.v1 import common_pb2, enrichment_pb2, feed_pb2, feed_pb2_grpc
from tests.kit.installation import Installation
from tests.unit.docs.generate import claims_of
from tests.unit.docs.pages import REFERENCE, ROOT, block, example, first_names, section

RECIPIENT = "northgate-bank"
IIN = "90100101"
ACQUIRER = "400001"
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("x")) as running:
        for recipient_id, key in running.recipient_keys.items():
            (running.folder / f"{recipient_id}.jwk").write_text(json.dumps(key))
        yield running


def run(arguments: list[str], installation: Installation, *, recipient_id: str = RECIPIENT) -> str:
    environment = {
        **os.environ,
        "EIN_GATEWAY": installation.address("gateway", "grpc"),
        "EIN_TOKEN": installation.tokens["payments"],
        "EIN_FEEDS": installation.address("feeds", "http"),
        "EIN_RECIPIENT": recipient_id,
        "EIN_ISSUER_TOKEN": installation.tokens[recipient_id],
        "EIN_KEY": f"{recipient_id}.jwk",
        "EIN_ISS": ISSUER_URL,
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=installation.folder, env=environment, capture_output=True, text=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def receive(installation: Installation) -> str:
    return run(
        [
            str(ROOT / "examples" / "issuer_receiver.py"),
            "--feeds", installation.address("feeds", "http"),
            "--feeds-grpc", installation.address("feeds", "grpc"),
            "--iss", ISSUER_URL, "--key", f"{RECIPIENT}.jwk",
        ],
        installation,
    )  # fmt: skip


def test_the_examples_share_receive_and_keep_lists_that_add_up(
    installation: Installation, tmp_path: Path
) -> None:
    receive(installation)  # what other tests of this module have shared
    payments = str(ROOT / "examples" / "payment_service.py")
    sender_list = tmp_path / "sender.ndjson"
    gateway = installation.address("gateway", "grpc")
    said = run([payments, "--gateway", gateway, "--payments", "30", "--list", str(sender_list)], installation)
    found = re.search(r"(\d+) risk-score shared", said)
    assert found
    assert "30 outcomes recorded" in said
    shared, received = int(found[1]), 0
    for _ in range(20):  # until all are fanned out
        counts = re.match(
            r"(\d+) shares, 0 withdrawn, 0 refused\n(\d+) receipts recorded", receive(installation)
        )
        assert counts
        assert counts[1] == counts[2]
        received += int(counts[1])
        if received >= shared:
            break
    assert received == shared
    assert receive(installation).startswith("0 shares, 0 withdrawn"), "acknowledged shares come no more"
    log = installation.folder / f"receiver-{RECIPIENT}.ndjson"
    account = build_account(installation.state, sender_lists=[sender_list], receiver_logs=[log])
    # The other tests of this module send payments too, that are in no list.
    assert set(account.broken) <= {
        "evaluated, never sent by the sender",
        "acknowledged, not in the receiver's log",
    }
    lines = [json.loads(line) for line in sender_list.read_text().splitlines()]
    told = {one["share_id"] for line in lines for one in line["decisions"] if one["status"] == "shared"}
    assert told == {json.loads(line)["share_id"] for line in log.read_text().splitlines()} & told
    assert len(told) == shared


def test_the_example_of_many_payments_takes_each_way(installation: Installation) -> None:
    many = str(ROOT / "examples" / "many_payments.py")
    gateway = installation.address("gateway", "grpc")
    said = run([many, "--gateway", gateway, "--payments", "100", "--at-once", "20"], installation)
    lines = dict(line.split(": ", 1) for line in said.splitlines())
    assert all(line.startswith("100 of 100 answered") for line in lines.values()), said
    assert "100 alone, 0 in 0 batches, 0 over 0 streams" in lines["alone"]
    assert re.search(r"0 alone, 100 in \d+ batches, 0 over", lines["batch"]) or "alone" in lines["batch"]
    assert "0 alone, 0 in 0 batches, 100 over 2 streams" in lines["stream"]
    ways = re.search(r"(\d+) alone, (\d+) in", lines["auto"])
    assert ways
    assert int(ways[1]) + int(ways[2]) == 100
    assert int(ways[2]) > 0


def test_the_issuers_example_takes_a_share_that_no_reference_matches(installation: Installation) -> None:
    """A payment service need not send references: its shares come by the stream without a match key."""
    receive(installation)  # what other tests of this module have shared
    asyncio.run(shared_number(installation, iin=IIN, acquirer=None))
    for _ in range(20):  # until it is fanned out
        said = receive(installation)
        if not said.startswith("0 shares"):
            break
    assert said.startswith(
        "1 shares, 0 withdrawn, 0 refused\n1 receipts recorded\nfirst: risk-score unmatched {"
    )


def test_the_programs_of_the_sdk_run_as_printed(installation: Installation) -> None:
    readme = (ROOT / "issuernetwork" / "README.md").read_text()
    # 50 ms are short on a busy machine: then it says why, and the payment goes on.
    assert run(["-c", block(readme, "payment")], installation).strip() in ("answered", "deadline_exceeded")
    # A stream of its own: whoever reads one with another's place in it waits for what was taken.
    reference = asyncio.run(shared_reference(installation, iin="90200202"))
    look_up(installation, reference, "harbor-federal")
    printed = run(["-c", block(readme, "issuer")], installation, recipient_id="harbor-federal")
    assert f"1 enhanced-data ['rrn:{reference}:{ACQUIRER}']" in printed


def request(number: int, iin: str, acquirer: str | None) -> enrichment_pb2.EnrichAuthorizationRequest:
    """`acquirer` None: without references that the issuer could match by."""
    asked = enrichment_pb2.EnrichAuthorizationRequest(
        request_id=f"{iin}-{acquirer}-{number}", payment_intent_id=f"{iin}-{acquirer}-{number}",
        merchant_id="m-0002", platform_id="plat-1", amount_minor=100, currency="USD",
        initiated_at_ms=1_790_000_000_000, cardholder_region="US",
        card=enrichment_pb2.Card(card_ref=f"card-{number}", iin=iin, last4="4242"),
    )  # fmt: skip
    if acquirer is not None:
        asked.acquirer.acquiring_institution_id = acquirer
        asked.acquirer.retrieval_reference_number = f"{number:012d}"
    return asked


async def shared_number(installation: Installation, *, iin: str, acquirer: str | None) -> int:
    """The number of a payment that was shared: some card among thirty is not held out."""
    target = installation.address("gateway", "grpc")
    async with PaymentClient(target, installation.tokens["payments"], preset=PATIENT) as client:
        for number in range(30):
            result = await client.enrich(request(number, iin, acquirer))
            assert result.answered
            if result.shared_ids():
                return number
    raise AssertionError("nothing of thirty payments was shared")


async def shared_reference(installation: Installation, *, iin: str = IIN) -> str:
    """DE37 of a payment that was shared."""
    return f"{await shared_number(installation, iin=iin, acquirer=ACQUIRER):012d}"


def look_up(installation: Installation, reference: str, recipient_id: str = RECIPIENT) -> str:
    """The signed set that a look-up finds, waiting until it is fanned out."""
    match = common_pb2.MatchReferences(
        acquiring_institution_id=ACQUIRER,
        retrieval_reference_number=reference,
        attempted_at_ms=1_790_000_000_000,
    )
    with grpc.insecure_channel(installation.address("feeds", "grpc")) as channel:
        stub: Any = feed_pb2_grpc.FeedServiceStub(channel)  # type: ignore[no-untyped-call]
        for _ in range(500):  # until it is fanned out
            found = stub.Lookup(
                feed_pb2.LookupRequest(match=match), metadata=installation.metadata(recipient_id), timeout=5
            )
            if found.shares:
                assert found.match == feed_pb2.MATCH_RESULT_UNIQUE
                return str(found.shares[0].signed_set)
    raise AssertionError("the share is not found by look-up")


def shape(value: Any) -> Any:
    """Members and types of a document; what may be released differs from share to share."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items() if name != "fields"}
    return [shape(inner) for inner in value[:1]] if isinstance(value, list) else type(value)


def test_a_real_share_has_the_form_that_the_feed_page_shows(installation: Installation) -> None:
    token = look_up(installation, asyncio.run(shared_reference(installation)))
    claims = claims_of(token.encode())
    assert shape(claims) == shape(example("share"))
    feeds = installation.address("feeds", "http")
    with urllib.request.urlopen(f"{feeds}/.well-known/jwks.json") as reply:
        jwks = json.load(reply)
    names: dict[str, Any] = {}
    exec(compile(block((REFERENCE / "feed.md").read_text(), "open-share"), "feed.md", "exec"), names)
    private = installation.recipient_keys[RECIPIENT]
    body = names["open_share"](token, jwks, private, iss=ISSUER_URL, recipient_id=RECIPIENT)
    assert shape(body) == shape(example("sealed-body"))
    opened = Receiver(
        recipient_id=RECIPIENT, private_keys=[private], jwks=lambda: jwks, iss=ISSUER_URL
    ).open(token)  # fmt: skip
    assert isinstance(opened, Share)
    assert opened.fields == body["fields"]


def test_the_poll_page_is_what_the_endpoint_says(installation: Installation) -> None:
    url = f"{installation.address('feeds', 'http')}/ssf/streams/stream-{RECIPIENT}/poll"
    question = {**example("poll-request"), "returnImmediately": True, "maxEvents": 0}
    poll = urllib.request.Request(url, json.dumps(question).encode())
    poll.add_header("Authorization", f"Bearer {installation.tokens[RECIPIENT]}")
    with urllib.request.urlopen(poll) as reply:
        assert set(json.load(reply)) == set(example("poll-reply"))


@pytest.mark.parametrize("process", ["gateway", "feeds", "measure"])
def test_every_metric_that_a_process_exposes_is_documented(installation: Installation, process: str) -> None:
    page = section((REFERENCE / "metrics.md").read_text(), f"`ein {process}`")
    documented = {name.partition("{")[0] for name in first_names(page)}
    with urllib.request.urlopen(f"http://{installation.address(process, 'metrics')}/metrics") as reply:
        types = re.findall(r"^# TYPE (\S+) (\S+)$", reply.read().decode(), re.M)
    exposed = {name for name, _ in types if not name.endswith("_created")}
    assert exposed == documented
