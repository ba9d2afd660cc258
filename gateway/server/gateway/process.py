"""`ein gateway`: enrichment and outcomes over gRPC.

Exit codes: 0 after SIGTERM or SIGINT and a drain; 70 when it cannot start or the hot loop has failed;
78 when policy, keys, identities or settings are missing or wrong (sysexits.h: EX_SOFTWARE, EX_CONFIG).
"""

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import structlog

from gateway.backends.embedded.wake import WakeListener
from gateway.programs.model import PolicySnapshot
from gateway.programs.switches import POLL_MS
from gateway.programs.table import ReleaseTable
from gateway.records.errors import GatewayError
from gateway.runtime.tasks import Stop, ThreadTasks
from gateway.server import exit_codes
from gateway.server.bootstrap.gateway import GatewayParts, build_gateway
from gateway.server.bootstrap.pins import pin_check
from gateway.server.fronts.grpcio import GrpcioFront
from gateway.server.fronts.intake import Intake
from gateway.server.fronts.streams import Streams
from gateway.server.gateway.hot_loop_core import Run, on_its_core
from gateway.server.gateway.metrics import GatewayMetrics
from gateway.server.gateway.models import make_scoring
from gateway.server.gateway.outcome_service import OutcomeServicer
from gateway.server.gateway.own_keys import follow_own_keys
from gateway.server.gateway.services import SERVICES, Services, make_services
from gateway.server.gateway.spares import make_spares
from gateway.server.gateway.velocity_snapshots import Snapshots
from gateway.server.gateway.warming import Warming
from gateway.server.grpc_common import ServerThread
from gateway.server.logs import configure_logs
from gateway.server.metrics_port import serve_metrics
from gateway.server.operators import spending
from gateway.server.policy import policy_in_force
from gateway.server.policy_follower import (
    HEALTH_SERVICE,
    Following,
    PolicyBoard,
    PolicyFollower,
)
from gateway.server.process import fallback_socket, host_of, stop_on_signals
from gateway.server.recipient_watch import HEALTH_SERVICE as KEYS_HEALTH
from gateway.server.recipient_watch import RecipientWatch
from gateway.server.retention import GATEWAY_JOURNAL, noted
from gateway.server.settings import Settings, SettingsInvalid, open_tls
from gateway.server.state import StateDir
from gateway.server.verbs.keys import KeyDesk
from gateway.sharing.loop import HotLoop
from gateway.sharing.ports import METHOD_PATHS

ENRICHMENT_SERVICE = METHOD_PATHS[0].split("/")[1]

IDENTITIES_INTERVAL_S = 0.5
"""Twice a second is soon enough for what no kill waits for."""

RETENTION_INTERVAL_S = 600.0
"""Old journal segments, kept for days, and dead leases are looked for as often."""

WARM_ROUNDS = 100
"""Five seconds: with a snapshot of a million keys it takes two. Without one payments are told `warming`."""

LEASE_ROUNDS = 40
"""Two seconds: three rounds are enough where the policy store answers."""

JOIN_S = 10.0
"""Longest drain: DRAIN_MS of the hot loop and what is in its hands."""

_log = structlog.get_logger("gateway")


class _Lease:
    """Follows the switches and renews the lease. Does nothing else: what waits here stops all sharing."""

    def __init__(self, parts: GatewayParts, metrics: GatewayMetrics) -> None:
        self._switches = parts.switches
        self._metrics = metrics

    def run(self, stop: Stop) -> None:
        while not stop.wait(POLL_MS / 1000):
            self._switches.step()
            self._metrics.policy_stale.set(0 if self._switches.fresh() else 1)


def _follow_policy(
    parts: GatewayParts, state: StateDir, metrics: GatewayMetrics, host: ServerThread, closing: ExitStack
) -> Callable[[Stop], None]:
    """On a thread of its own: compiling a large policy takes seconds."""
    board = PolicyBoard(state, "gateway")
    closing.callback(board.clear)

    def on_change(following: Following) -> None:
        metrics.policy_version.set(following.policy_version)
        metrics.policy_refused.set(following.refused_version)
        host.set_health(HEALTH_SERVICE, serving=not following.code)
        board.show(following)

    def take(policy: PolicySnapshot, table: ReleaseTable) -> None:
        # The hot loop takes it once a batch: one batch is decided by one policy.
        parts.gateway.table, parts.policy = parts.consents.use(table), policy

    follower = PolicyFollower(
        parts.store,
        take=take,
        on_change=on_change,
        load=policy_in_force,
        version=parts.gateway.table.version,
        known=parts.documents,
    )
    return follower.follow


def _watch_keys(
    parts: GatewayParts, state: StateDir, metrics: GatewayMetrics, host: ServerThread
) -> Callable[[Stop], None]:
    def tell(lost: int, ending: int) -> None:
        metrics.keys_lost.set(lost)
        metrics.keys_ending.set(ending)
        host.set_health(KEYS_HEALTH, serving=not lost)

    watch = RecipientWatch(
        state,
        parts.clock,
        recipients=lambda: (
            one.recipient_id
            for one in parts.gateway.table.issuers.values()
            if one.recipient_id and (one.programs or one.after)
        ),
        check=pin_check(state, parts.clock),
        tell=tell,
    )
    # Once before the process is ready: whoever asks then is told.
    watch.step()
    return watch.follow


def _follow_providers(parts: GatewayParts, metrics: GatewayMetrics) -> Callable[[Stop], None]:
    parts.providers.tell = metrics.provider_files_refused.set
    return parts.providers.follow


def _follow_identities(parts: GatewayParts) -> Callable[[Stop], None]:
    def follow(stop: Stop) -> None:
        while not stop.wait(IDENTITIES_INTERVAL_S):
            with suppress(OSError, GatewayError):
                parts.authenticator.refresh()

    return follow


def run(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code."""
    stop = stop_on_signals()
    configure_logs(settings.log_level)
    state = settings.state
    state.make()
    metrics = GatewayMetrics()

    def on_fault(stage: str, fault: BaseException) -> None:
        code = fault.code if isinstance(fault, GatewayError) else "internal"
        _log.error("fault", stage=stage, code=code, fault=type(fault).__name__)

    try:
        placed = on_its_core(settings)
        scoring = make_scoring(settings, metrics.score, on_fault)
        parts = build_gateway(settings, f"gateway-{os.getpid()}", on_fault=on_fault, scoring=scoring)
    except GatewayError as refused:
        _log.error(refused.code, public=refused.public)
        return exit_codes.of(refused)
    with ExitStack() as closing:
        closing.callback(parts.close)
        return _serve(settings, parts, metrics, stop, on_fault, closing, placed)


def _serve(
    settings: Settings,
    parts: GatewayParts,
    metrics: GatewayMetrics,
    stop: threading.Event,
    on_fault: Callable[[str, BaseException], None],
    closing: ExitStack,
    placed: Callable[[Run], Run],
) -> int:
    state = settings.state
    failed: list[str] = []

    def on_failure(name: str, fault: BaseException) -> None:
        failed.append(name)
        on_fault(name, fault)
        stop.set()

    desk = KeyDesk.of(settings, parts.keys.files, parts.clock)
    closing.callback(desk.close)
    services = make_services(parts, state, metrics, settings.issuer_url, desk)
    for service in services:
        closing.callback(service.close)
    front, host = _front(settings, parts, services, metrics)
    closing.callback(host.close)
    closing.callback(front.close)
    snapshots = Snapshots(parts, state, metrics)
    loop = HotLoop(
        front,
        parts.gateway,
        parts.clock,
        parts.authenticator.principal,
        on_batch=metrics.batch,
        on_fault=on_fault,
        between=snapshots.between,
    )
    hot, beside = ThreadTasks(on_failure), ThreadTasks(on_failure)
    parts.switches.step()
    beside.start("stand-in", loop.stand_in)
    _start_beside(beside, parts, state, metrics, host, snapshots, closing)
    hot.start("hot-loop", placed(loop.run))
    bell = WakeListener(state.run, "feeds", "gateway")
    closing.callback(bell.close)
    host.loop.call_soon_threadsafe(_listen, host, bell, services.outcomes)
    metrics_address = serve_metrics(settings.gateway.metrics, metrics.registry, closing, open_tls(settings))
    address = f"{host_of(settings.gateway.listen)}:{front.port}"
    _await_lease(parts, stop)
    _await_warm(snapshots.warming, stop)
    host.set_serving(True)
    state.write_ready("gateway", {"grpc": address, "metrics": metrics_address})
    _log.info("ready", grpc=address, policy_version=parts.gateway.table.version)
    stop.wait()
    state.clear_ready("gateway")
    with suppress(Exception):
        host.set_serving(False)
        host.loop.call_soon_threadsafe(host.loop.remove_reader, bell.fileno())
    late = hot.stop(JOIN_S)
    late += beside.stop(JOIN_S)
    snapshots.last()  # after the writer beside has ended: two snapshots are never under way
    _log.info("stopped", failed=failed, late=late)
    return exit_codes.FAULT if failed or late else exit_codes.DONE


def _start_beside(
    beside: ThreadTasks,
    parts: GatewayParts,
    state: StateDir,
    metrics: GatewayMetrics,
    host: ServerThread,
    snapshots: Snapshots,
    closing: ExitStack,
) -> None:
    """What follows files and databases, each on a thread of its own, so that the hot loop waits for none."""
    beside.start("lease", _Lease(parts, metrics).run)
    beside.start("consents", parts.consents.follow)
    beside.start("policy", _follow_policy(parts, state, metrics, host, closing))
    beside.start("identities", _follow_identities(parts))
    beside.start("recipient-keys", _watch_keys(parts, state, metrics, host))
    beside.start("own-keys", follow_own_keys(parts.keys, state, metrics, host))
    beside.start("velocity", snapshots.warming.run)
    if parts.models is not None:
        beside.start("models", parts.models.follow)
    beside.start("snapshots", snapshots.run)
    beside.start("providers", _follow_providers(parts, metrics))
    beside.start("retention", _retention(parts, state))
    beside.start("spares", make_spares(parts.journal))


def _await_lease(parts: GatewayParts, stop: threading.Event) -> None:
    """Ready means able to share. Where the switches do not answer it serves all the same, and says stale."""
    for _ in range(LEASE_ROUNDS):
        if parts.switches.fresh() or stop.wait(POLL_MS / 1000):
            return


def _await_warm(warming: Warming, stop: threading.Event) -> None:
    """Ready means that velocity counts too, unless it takes long."""
    for _ in range(WARM_ROUNDS):
        if stop.is_set() or warming.wait(POLL_MS / 1000):
            return


def _front(
    settings: Settings, parts: GatewayParts, beside: Services, metrics: GatewayMetrics
) -> tuple[Any, ServerThread]:
    """The front that calls come in by, and the grpcio server that has everything else on the same port."""

    def on_fault(method: str) -> None:
        metrics.faults.inc()

    authenticate, services = parts.authenticator.principal, (ENRICHMENT_SERVICE, *SERVICES)
    spend = spending(parts.operator_stores.seen, parts.clock)
    chosen, tls = settings.gateway.front, open_tls(settings)
    if tls is not None:
        if chosen == "native":
            raise SettingsInvalid(
                "gateway.front: native speaks no TLS; set auto or grpcio, or leave tls out and end it before"
            )
        chosen = "grpcio"
    if chosen != "grpcio":
        try:
            from gateway.server.fronts.native import NativeFront
        except ImportError:
            if chosen == "native":
                raise SettingsInvalid(
                    "gateway.front: native needs the library pygrpc-native; install it, or set auto or grpcio"
                ) from None
            chosen = "grpcio"
    if chosen == "grpcio":
        front = GrpcioFront(
            settings.gateway.listen,
            authenticate=authenticate,
            tls=tls,
            add=beside.add,
            services=services,
            spend=spend,
            on_fault=on_fault,
        )
        metrics.streams.set_function(front.open_streams)
        return front, front.host
    path = fallback_socket(settings.state.run, "gateway")
    streams = Streams(Intake())

    def add(server: Any) -> None:
        streams.add(server)
        beside.add(server)

    host = ServerThread(
        f"unix:{path}", add, services=services, authenticate=authenticate, spend=spend, on_fault=on_fault
    )
    metrics.streams.set_function(lambda: len(streams))
    return NativeFront(settings.gateway.listen, fallback_path=path, streams=streams), host


def _listen(host: ServerThread, bell: WakeListener, servicer: OutcomeServicer) -> None:
    def rung() -> None:
        bell.drain()
        servicer.ring()

    host.loop.add_reader(bell.fileno(), rung)


def _retention(parts: GatewayParts, state: StateDir) -> Callable[[Stop], None]:
    retain = noted(state, GATEWAY_JOURNAL, parts.clock, parts.journal.retain)

    def run(stop: Stop) -> None:
        while not stop.wait(RETENTION_INTERVAL_S):
            try:
                retain()
            except GatewayError as fault:
                _log.error("retention_failed", code=fault.code)
            with suppress(OSError):
                parts.board.sweep(parts.clock)

    return run
