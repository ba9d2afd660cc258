"""Three tenants of one running installation, each a payment service and a bank, and one that has gone.

Requests are made from the descriptors of the contract: every field whose name says that it identifies
something is filled with an id of the kind that is asked for; what else a method needs stands here once.
"""

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from gateway.backends.embedded.enrolments import SqliteEnrolments
from gateway.records.access import (
    CONTRACTS,
    ENROL_ROUTE,
    POLL_ROUTE,
    PROOF_ROUTE,
    SUBMISSION_ROUTE,
    TOKEN_KEYS_ROUTE,
)
from gateway.runtime.clock import SystemClock
from gateway.server.policy import read_policy
from issuernetwork.v1 import common_pb2, enrichment_pb2_grpc, feed_pb2
from tests.kit.installation import SAMPLE_POLICY, Installation
from tests.kit.payments import HARBOR, MERIDIAN, NORTHGATE, SUMMIT, pan, payment

TIMEOUT_S: Final = 20.0
WATCH_S: Final = 0.7
"""A stream has no end: what it tells within this time is compared. It looks each 50 ms."""

KINDS: Final = ("own", "others", "deleted", "guessed")
BANKS: Final = {
    "shop-1": ("northgate-bank", NORTHGATE),
    "shop-2": ("harbor-federal", HARBOR),
    "shop-3": ("meridian-cards", MERIDIAN),
    "shop-gone": ("atlas-processing", SUMMIT),
}
GONE: Final = "shop-gone"
CARD: Final = 7
"""Of each tenant's payments: arms are drawn by card, and are to be the same."""

PROCESS_OF: Final = {"FeedService": "feeds", "MeasurementService": "measure"}
METHODS: Final[dict[str, MethodDescriptor]] = {
    f"/{service.full_name}/{method.name}": method
    for contract in CONTRACTS
    for service in contract.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


def policy() -> dict[str, str]:
    """The sample, with nobody held out, and with look-ups for each of the three banks."""
    found = {}
    for name, text in read_policy(SAMPLE_POLICY).items():
        text = text.replace("holdout_percent: 50", "holdout_percent: 0")
        text = text.replace("global_holdout_percent: 2", "global_holdout_percent: 0")
        if "meridian-cards-risk-score" in name:
            text = text.replace("transports: [message, ssf]", "transports: [message, lookup, ssf]")
        found[name] = text
    return found


@dataclass(frozen=True, kw_only=True)
class Names:
    """Ids of one tenant's things, or of nobody's."""

    sender_id: str
    recipient_id: str
    iin: str
    request_id: str
    batch_request_id: str
    """Of a second payment: whoever has used an id once has made it its own."""
    stream_request_id: str
    """Of a third one."""
    payment_intent_id: str
    share_id: str
    number: int
    submission_id: int = 0
    cursor: str = "r-1.l-1"
    """A place in the stream of everybody; it names nobody, and from each place one hears one's own alone."""

    @property
    def stream_id(self) -> str:
        return f"stream-{self.recipient_id}"

    def references(self) -> common_pb2.MatchReferences:
        made = payment(self.number)
        return common_pb2.MatchReferences(
            acquiring_institution_id=made.acquirer.acquiring_institution_id,
            retrieval_reference_number=made.acquirer.retrieval_reference_number,
            stan=made.acquirer.stan, transmission_date_time=made.acquirer.transmission_date_time,
            amount_minor=made.amount_minor, currency="USD", iin=self.iin, last4=pan(self.iin, CARD)[-4:],
            card_acceptor_id=made.acquirer.card_acceptor_id,
        )  # fmt: skip


GUESSED: Final = Names(
    sender_id="shop-9", recipient_id="nobody-bank", iin=SUMMIT, request_id="guess-r", number=999_999,
    submission_id=777_777,
    batch_request_id="guess-b", stream_request_id="guess-s",
    payment_intent_id="guess-i", share_id="a" * 26,
)  # fmt: skip


@dataclass
class Tenants:
    """What the tests ask. `names` are by payment service."""

    installation: Installation
    names: dict[str, Names] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    _next: int = 5_000

    def unused(self) -> int:
        """A number that nothing was named by."""
        self._next += 1
        return self._next

    def pay_all(self) -> None:
        """One payment for each, shared with its bank."""
        for place, (sender_id, (recipient_id, iin)) in enumerate(BANKS.items(), start=1):
            number = 100 * place
            asked = payment(number, iin=iin, card=CARD, prefix=sender_id)
            with grpc.insecure_channel(self.installation.address("gateway", "grpc")) as channel:
                stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)  # type: ignore[no-untyped-call]
                second = payment(number + 1, iin=iin, card=CARD, prefix=sender_id)
                third = payment(number + 2, iin=iin, card=CARD, prefix=sender_id)
                answer, _, _ = (
                    stub.EnrichAuthorization(
                        one, metadata=self.installation.metadata(sender_id), timeout=TIMEOUT_S
                    )
                    for one in (asked, second, third)
                )
            shared = [one for one in answer.decisions if one.status == common_pb2.SHARE_STATUS_SHARED]
            assert shared, f"{sender_id}: nothing was shared: {answer}"
            self.names[sender_id] = Names(
                sender_id=sender_id, recipient_id=recipient_id, iin=iin, request_id=asked.request_id,
                batch_request_id=second.request_id, stream_request_id=third.request_id,
                payment_intent_id=asked.payment_intent_id, share_id=shared[0].share_id, number=number,
                submission_id=self._submitted(recipient_id),
            )  # fmt: skip

    def _submitted(self, recipient_id: str) -> int:
        """Number of a submission of keys."""
        store = SqliteEnrolments(str(self.installation.state.policy_db), SystemClock())
        try:
            made = store.submit(
                recipient_id,
                invite_id=0,
                by=recipient_id,
                document="{}",
                thumbprints=("t",),
                nonce_sha256="0",
            )
        finally:
            store.close()
        return made.submission_id

    def of_kind(self, sender_id: str, kind: str) -> Names:
        """Whose ids a call carries: the tenant's own, another's, those of who has gone, or a guess."""
        if kind == "others":
            senders = [one for one in BANKS if one != GONE]
            return self.names[senders[(senders.index(sender_id) + 1) % len(senders)]]
        return {"own": self.names[sender_id], "deleted": self.names[GONE], "guessed": GUESSED}[kind]

    def call(self, path: str, principal_id: str, request: Message) -> Any:
        """What comes back: ("OK", messages), or (code, text, trailing metadata)."""
        method = METHODS[path]
        process = PROCESS_OF.get(method.containing_service.name, "gateway")
        answer_type = message_factory.GetMessageClass(method.output_type)
        metadata = self.installation.metadata(principal_id)
        with grpc.insecure_channel(self.installation.address(process, "grpc")) as channel:
            try:
                if method.client_streaming:
                    both = channel.stream_stream(
                        path, request_serializer=bytes, response_deserializer=answer_type.FromString
                    )
                    sent = iter([request.SerializeToString()])
                    return "OK", list(both(sent, metadata=metadata, timeout=TIMEOUT_S))
                if method.server_streaming:
                    run = channel.unary_stream(
                        path, request_serializer=bytes, response_deserializer=answer_type.FromString
                    )
                    return "OK", _heard(run(request.SerializeToString(), metadata=metadata, timeout=WATCH_S))
                one = channel.unary_unary(
                    path, request_serializer=bytes, response_deserializer=answer_type.FromString
                )
                return "OK", [one(request.SerializeToString(), metadata=metadata, timeout=TIMEOUT_S)]
            except grpc.RpcError as refused:
                trailing = sorted((key, value) for key, value in refused.trailing_metadata() or ())
                return refused.code(), refused.details(), trailing

    def http(self, principal_id: str, route: str, names: Names) -> tuple[int, dict[str, str], bytes]:
        """Status, headers but for the time, and body: what a route says of what `names` identifies."""
        method, path, body = _ROUTES[route](names)
        token = self.installation.tokens[principal_id]
        address = self.installation.address("feeds", "http").removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, json.dumps(body), {"Authorization": f"Bearer {token}"})
            reply = connection.getresponse()
            body = reply.read()
            headers = {name: value for name, value in reply.getheaders() if name != "Date"}
            return reply.status, headers, body
        finally:
            connection.close()


_ROUTES: Final[Mapping[str, Callable[[Names], tuple[str, str, object]]]] = {
    POLL_ROUTE: lambda names: (
        "POST", POLL_ROUTE.format(stream_id=names.stream_id), {"returnImmediately": True}
    ),
    TOKEN_KEYS_ROUTE: lambda names: (
        "GET", TOKEN_KEYS_ROUTE.format(recipient_id=names.recipient_id), None
    ),
    # Names nothing: what is submitted is one's own.
    ENROL_ROUTE: lambda names: ("POST", ENROL_ROUTE, {}),
    SUBMISSION_ROUTE: lambda names: (
        "GET", SUBMISSION_ROUTE.format(submission_id=names.submission_id), None
    ),
    PROOF_ROUTE: lambda names: (
        "POST", PROOF_ROUTE.format(submission_id=names.submission_id), {"proofs": []}
    ),
}  # fmt: skip


def _heard(stream: Any) -> list[Any]:
    """All that a stream tells until its time is over. Raises RpcError where it ends in another way."""
    heard = []
    try:
        for message in stream:
            heard += [message]
    except grpc.RpcError as end:
        if end.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
    return heard


def generated(path: str, names: Names) -> Message:
    """A request with an id in every field that identifies something."""
    return _filled(message_factory.GetMessageClass(METHODS[path].input_type)(), names)


def _filled(message: Any, names: Names) -> Message:
    texts: dict[str, str] = {
        "program": "risk-score", "issuer_id": names.recipient_id, "party_id": names.sender_id,
        "merchant_id": "m-0001", "reason": "matrix", "sender_id": names.sender_id, "cursor": names.cursor,
        "card_token": names.share_id, "share_id": names.share_id, "request_id": names.request_id,
        "payment_intent_id": names.payment_intent_id, "recipient_id": names.recipient_id,
    }  # fmt: skip
    for one in message.DESCRIPTOR.fields:
        if one.is_repeated if hasattr(one, "is_repeated") else one.label == FieldDescriptor.LABEL_REPEATED:
            continue
        if one.type == FieldDescriptor.TYPE_MESSAGE:
            _filled(getattr(message, one.name), names)
            getattr(message, one.name).SetInParent()
        elif one.type == FieldDescriptor.TYPE_STRING and one.name in texts:
            setattr(message, one.name, texts[one.name])
        elif one.type in (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_INT32) and one.name.endswith(
            "_id"
        ):
            setattr(message, one.name, names.number)
    return message  # type: ignore[no-any-return]


def _enrich(tenants: Tenants, own: Names, names: Names, request_id: str) -> Message:
    # Own card and merchant, under an id that may be another's: the payment is new with each call.
    number = tenants.unused()
    made = payment(number, iin=own.iin, card=CARD, prefix=own.sender_id)
    made.request_id = f"{own.sender_id}-{number}" if names is own else request_id
    return made


def _outcome(tenants: Tenants, own: Names, names: Names) -> dict[str, Any]:
    return {
        "outcome_id": f"{names.sender_id}-o-{own.sender_id}", "payment_intent_id": names.payment_intent_id,
        "attempt_no": 1, "kind": 1, "transmitted_share_ids": [names.share_id],
        "occurred_at_ms": SystemClock().wall_ms() - 1_000, "approved": True,
    }  # fmt: skip


def _receipt(tenants: Tenants, own: Names, names: Names) -> dict[str, Any]:
    return {
        "receipt_id": f"{own.recipient_id}-{tenants.unused()}", "share_id": names.share_id,
        "use": feed_pb2.RECEIPT_USE_USED,
    }  # fmt: skip


def _label(tenants: Tenants, own: Names, names: Names) -> dict[str, Any]:
    return {
        "label_id": f"{own.sender_id}-{tenants.unused()}", "share_id": names.share_id,
        "payment_intent_id": names.payment_intent_id, "match": names.references(), "attempt_no": 1,
        "kind": feed_pb2.LABEL_KIND_FRAUD, "source": feed_pb2.LABEL_SOURCE_ISSUER,
        "verb": feed_pb2.LABEL_VERB_REPORTED, "effective_at_ms": SystemClock().wall_ms() - 1_000,
    }  # fmt: skip


MADE: Final[Mapping[str, Callable[[Tenants, Names, Names], Any]]] = {
    "EnrichAuthorization": lambda tenants, own, names: _enrich(tenants, own, names, names.request_id),
    "BatchEnrichAuthorizations": lambda tenants, own, names: {
        "requests": [_enrich(tenants, own, names, names.batch_request_id)]
    },
    "StreamEnrichAuthorizations": lambda tenants, own, names: {
        "items": [{"request": _enrich(tenants, own, names, names.stream_request_id)}]
    },
    "ReportOutcomes": lambda tenants, own, names: {"outcomes": [_outcome(tenants, own, names)]},
    "WatchOutcomes": lambda tenants, own, names: {"after_cursor": names.cursor},
    "Lookup": lambda tenants, own, names: {"match": names.references()},
    "ReportReceipts": lambda tenants, own, names: {"receipts": [_receipt(tenants, own, names)]},
    "ReportLabels": lambda tenants, own, names: {"labels": [_label(tenants, own, names)]},
}
"""Of the methods that tenants may call. Every other request is generated."""


def request_of(tenants: Tenants, path: str, own: Names, names: Names) -> Message:
    """The request that carries `names`, made by the tenant `own`."""
    method = METHODS[path]
    make = MADE.get(method.name)
    if make is None:
        return generated(path, names)
    made = make(tenants, own, names)
    if isinstance(made, Message):
        return made
    return message_factory.GetMessageClass(method.input_type)(**made)
