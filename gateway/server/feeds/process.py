"""`ein feeds`: delivers what was shared, and takes receipts and labels.

Exit codes: 0 after SIGTERM or SIGINT and a drain; 70 when a journal or the store cannot be used; 78 when
the keys are missing or wrong (sysexits.h: EX_SOFTWARE, EX_CONFIG).
"""

import asyncio
import gc
import signal
import sys
import threading
from contextlib import ExitStack, suppress
from functools import partial
from types import FrameType
from typing import Any

import structlog
from aiohttp import web

from gateway.programs.documents import Known
from gateway.programs.model import PolicySnapshot
from gateway.programs.table import ReleaseTable, compile_table
from gateway.records.errors import GatewayError
from gateway.runtime.entropy import SystemEntropy
from gateway.runtime.tasks import ThreadTasks
from gateway.server import exit_codes
from gateway.server.bootstrap.callers import authenticator_of
from gateway.server.bootstrap.feeds import FeedsParts, build_feeds
from gateway.server.certificates import Peers
from gateway.server.feeds.engine import FeedsEngine
from gateway.server.feeds.enrol_http import EnrolRoutes
from gateway.server.feeds.erasures import Eraser
from gateway.server.feeds.housekeeping import certificates, chores, keep_house
from gateway.server.feeds.lookup import LookupDesk, LookupFront, fallback_socket, has_native_front
from gateway.server.feeds.metrics import FeedsMetrics
from gateway.server.feeds.oauth_http import OAuthRoutes
from gateway.server.feeds.own_keys import KeyKeeper, Retirement, tell
from gateway.server.feeds.receipt_tokens import ReceiptTokens
from gateway.server.feeds.service import SERVICE, FeedServicer
from gateway.server.feeds.ssf_http import SsfApp
from gateway.server.feeds.token_keys_http import TokenKeyRoutes
from gateway.server.grpc_common import ServerThread
from gateway.server.identity import Authenticator, Principal
from gateway.server.logs import configure_logs
from gateway.server.metrics_port import serve_metrics
from gateway.server.oauth.token_endpoint import TokenEndpoint
from gateway.server.own_keys import HEALTH_SERVICE as OWN_KEYS_HEALTH
from gateway.server.own_keys import KeyWatch
from gateway.server.policy import NoPolicy, usable_policy
from gateway.server.policy_follower import HEALTH_SERVICE, Following, PolicyBoard, PolicyFollower
from gateway.server.process import host_of
from gateway.server.settings import Settings, open_tls
from gateway.server.tls import Tls
from issuernetwork.v1 import feed_pb2_grpc

SWITCH_INTERVAL_S = 0.0005
"""How long a thread of Python may keep the others waiting."""

STEP_TIMEOUT_S = 10.0
"""Starting or ending the HTTP side: bound by one batch in flight."""

DRAIN_S = 2.0
"""What is being answered gets this long; receivers poll again."""

FIRST_VIEW_S = 2.0
"""The first poll of the switches takes milliseconds; after this long the process says it cannot work."""

_log = structlog.get_logger("feeds")


def _policy_follower(
    parts: FeedsParts, engine: FeedsEngine, board: PolicyBoard, server: ServerThread
) -> PolicyFollower:
    """Feeds start without a policy too: what was shared under an earlier one is delivered."""

    def take(policy: PolicySnapshot, table: ReleaseTable) -> None:
        parts.signers.use(policy.recipients)
        engine.table = parts.consents.use(table)
        engine.revocations.use(table)
        engine.revocations.policy_changed()

    def on_change(following: Following) -> None:
        engine.metrics.policy_version.set(following.policy_version)
        engine.metrics.policy_refused.set(following.refused_version)
        server.set_health(HEALTH_SERVICE, serving=not following.code)
        board.show(following)

    version, documents = 0, Known()
    with suppress(NoPolicy):
        policy = usable_policy(parts.policy, documents)
        version = policy.version
        take(policy, compile_table(policy))
    return PolicyFollower(parts.policy, take=take, on_change=on_change, version=version, known=documents)


class _Http:
    """The SSF application on the loop of the gRPC server: what leaves, leaves from one loop."""

    def __init__(
        self, engine: FeedsEngine, app: web.Application, address: str, tls: Tls | None = None
    ) -> None:
        self._engine = engine
        self._host, _, port = address.rpartition(":")
        self._asked_port = int(port)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        self._tls = None if tls is None else tls.http_context()
        self._watch: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        self._engine.attach(asyncio.get_running_loop())
        self._watch = asyncio.get_running_loop().create_task(self._engine.watch_switches())
        await self._runner.setup()
        context = None if self._tls is None else self._tls.context
        site = web.TCPSite(
            self._runner, self._host, self._asked_port, shutdown_timeout=DRAIN_S, ssl_context=context
        )
        await site.start()
        self.port = self._runner.addresses[0][1]

    def refresh(self) -> None:
        """Takes new certificates for new connections. Raises TlsInvalid."""
        if self._tls is not None:
            self._tls.refresh()

    @property
    def scheme(self) -> str:
        return "http" if self._tls is None else "https"

    async def stop(self) -> None:
        self._engine.closing = True
        self._engine.release_waiting()
        await self._runner.cleanup()
        # Not before: what is still being read has to hear of a kill.
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch


def run(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    configure_logs(settings.log_level)
    # Fan-out is busy Python: at the default of 5 ms each answer of the loop would wait that long for it.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    settings.state.make()
    try:
        parts = build_feeds(settings)
    except GatewayError as refused:
        _log.error(refused.code, public=refused.public)
        return exit_codes.of(refused)
    try:
        return _serve(settings, parts, stop)
    finally:
        parts.close()


def _serve(settings: Settings, parts: FeedsParts, stop: threading.Event) -> int:
    state, metrics = settings.state, FeedsMetrics()
    authenticator = authenticator_of(state, settings.issuer_url, parts.clock, parts.keys)
    engine = FeedsEngine(parts, metrics)
    failed: list[str] = []

    def on_failure(name: str, fault: BaseException) -> None:
        failed.append(name)
        _log.error("thread_failed", thread=name, fault=type(fault).__name__)
        stop.set()

    tls = open_tls(settings)
    # Whoever does without the library in the gateway does without it here; and it speaks no TLS.
    native = settings.gateway.front != "grpcio" and tls is None and has_native_front()
    fallback = fallback_socket(state.run) if native else ""
    server = _grpc_server(settings, engine, authenticator, fallback, tls)
    http = _Http(engine, _application(settings, engine, authenticator), settings.feeds.listen_http, tls)
    board = PolicyBoard(state, "feeds")
    policy = _policy_follower(parts, engine, board, server)
    closing = ExitStack()
    metrics_address = serve_metrics(settings.feeds.metrics, metrics.registry, closing, tls)
    tasks = ThreadTasks(on_failure)
    port = server.port
    keeper = _keeper(settings, parts, metrics, server)
    try:
        engine.revocations.follow()
        server.call(http.start(), STEP_TIMEOUT_S)
        _await_first_view(engine, stop)
        policy.step()
        engine.recount_lookups()
        tasks.start("feeds-fan-out", engine.fan_out)
        tasks.start("feeds-policy", policy.follow)
        tasks.start("feeds-consents", parts.consents.follow)
        tasks.start("feeds-ledger", partial(parts.ledger.run, metrics))
        eraser = Eraser(parts.erasures, engine.commit_beside, engine.fanned_out)
        house = [*chores(engine, state, eraser, authenticator.refresh), certificates(http.refresh)]
        tasks.start("feeds-keys", keeper.run)
        tasks.start("feeds-housekeeping", partial(keep_house, house, metrics.faults.inc))
        if fallback:
            front = LookupFront(settings.feeds.listen_grpc, fallback_path=fallback)
            port = front.port
            tasks.start("feeds-lookups", _lookup_desk(front, engine, authenticator).run)
        # What start-up made stays for good: no later collection has to go through it.
        gc.collect()
        gc.freeze()
        server.set_serving(True)
        _write_ready(settings, grpc=port, http=http, metrics=metrics_address)
        _log.info("ready")
        stop.wait()
        server.set_serving(False)
    finally:
        state.clear_ready("feeds")
        tasks.stop(STEP_TIMEOUT_S)
        board.clear()
        server.call(http.stop(), STEP_TIMEOUT_S)
        server.close(DRAIN_S)
        engine.close()
        closing.close()
    _log.info("stopped")
    return exit_codes.FAULT if failed else 0


def _keeper(settings: Settings, parts: FeedsParts, metrics: FeedsMetrics, server: ServerThread) -> KeyKeeper:
    def health(serving: bool) -> None:
        server.set_health(OWN_KEYS_HEALTH, serving=serving)

    keys, clock = parts.keys, parts.clock
    watch = KeyWatch(keys, settings.state, "feeds", tell(metrics, keys, clock, health))
    retirement = Retirement(
        keys, parts.key_desk, lambda kids, at_ms: parts.store.note_key_uses(kids, at_ms=at_ms), clock
    )
    keeper = KeyKeeper(watch, retirement, metrics)
    keeper.begin()
    return keeper


def _grpc_server(
    settings: Settings, engine: FeedsEngine, authenticator: Authenticator, fallback: str, tls: Tls | None
) -> ServerThread:
    """Behind the native front on the socket `fallback`, or on the port itself."""

    def add(grpc_server: Any) -> None:
        parts = engine.parts
        tokens = ReceiptTokens(
            parts.enrolments, audience=settings.issuer_url, seen=parts.seen, clock=parts.clock
        )
        servicer = FeedServicer(engine, tokens)
        feed_pb2_grpc.add_FeedServiceServicer_to_server(servicer, grpc_server)  # type: ignore[no-untyped-call]

    return ServerThread(
        f"unix:{fallback}" if fallback else settings.feeds.listen_grpc,
        add,
        services=(SERVICE,),
        authenticate=authenticator.principal,
        tls=tls,
        name="feeds-loop",
        on_fault=lambda method: engine.metrics.faults.inc(),
    )


def _application(settings: Settings, engine: FeedsEngine, authenticator: Authenticator) -> web.Application:
    parts, peers = engine.parts, Peers()
    tokens = TokenEndpoint(
        issuer=settings.issuer_url,
        clients=authenticator.clients,
        signer=parts.keys.default,
        clock=parts.clock,
        entropy=SystemEntropy(),
        seen=parts.seen,
    )

    def who(request: web.Request) -> Principal | None:
        return authenticator.principal(request.headers.get("Authorization"), peers.of_request(request))

    def voucher(request: web.Request) -> str:
        certificate = None if "Authorization" in request.headers else peers.of_request(request)
        client = None if certificate is None else authenticator.clients.of_certificate(certificate)
        return "" if client is None else client.added_by

    app = SsfApp(
        engine, who, issuer_url=settings.issuer_url, jwks=parts.keys.jwks,
        jwks_max_age_s=settings.keys.jwks_max_age_s,
    ).application()  # fmt: skip
    OAuthRoutes(tokens, peers).add_to(app)
    EnrolRoutes(parts.enrolment, who, voucher).add_to(app)
    TokenKeyRoutes(parts.token_keys, who).add_to(app)
    return app


def _lookup_desk(front: LookupFront, engine: FeedsEngine, authenticator: Authenticator) -> LookupDesk:
    parts = engine.parts
    # Ready means able to answer.
    parts.lookup_switches.step()
    return LookupDesk(
        front,
        engine,
        authenticator,
        reader=parts.lookup_reader,
        gateway_journal=parts.lookup_journal,
        switches=parts.lookup_switches,
    )


def _write_ready(settings: Settings, *, grpc: int, http: _Http, metrics: str) -> None:
    """Ports as they are: those asked for may be 0."""
    feeds = settings.feeds
    settings.state.write_ready(
        "feeds",
        {
            "grpc": f"{host_of(feeds.listen_grpc)}:{grpc}",
            "http": f"{http.scheme}://{host_of(feeds.listen_http)}:{http.port}",
            "metrics": metrics,
        },
    )


def _await_first_view(engine: FeedsEngine, stop: threading.Event) -> None:
    """Fan-out asks the switches from its first batch on."""
    left_s = FIRST_VIEW_S
    while engine.parts.switches.watcher.view is None and left_s > 0 and not stop.wait(0.01):
        left_s -= 0.01
