"""`ein measure`: follows the journals into the lake, and answers what the sharing did.

Exit codes: 0 after SIGTERM or SIGINT and a drain; 70 when a journal or a record cannot be read.
"""

import threading
import time
from contextlib import ExitStack, suppress

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.backends.embedded.guardrails import RESULTS
from gateway.measurement.flatten import RecordUnreadable
from gateway.measurement.tail import Round
from gateway.records.errors import GatewayError
from gateway.records.journal import JournalCorrupt
from gateway.runtime.clock import SystemClock
from gateway.server import exit_codes
from gateway.server.bootstrap.measure import LakeBusy, MeasureParts, build_measure
from gateway.server.grpc_common import ServerThread
from gateway.server.identity import Authenticator
from gateway.server.logs import configure_logs
from gateway.server.measure.service import MeasurementServicer
from gateway.server.metrics_port import serve_metrics
from gateway.server.operators import Operators
from gateway.server.process import host_of, stop_on_signals
from gateway.server.retention import LAKE, noted
from gateway.server.settings import Settings, open_tls
from gateway.server.state import StateDir
from issuernetwork.v1 import measurement_pb2, measurement_pb2_grpc

ROUND_INTERVAL_S = 0.5
"""Rounds are apart on purpose: each writes a file a table, and nobody needs uplift sooner. So no wake-up."""

HOUSEKEEPING_INTERVAL_S = 5.0
"""Merging and expiry; cheap when there is nothing to do."""

DRAIN_MAX_S = 10.0
"""Longest catching up at the end: what is left stays in the journals, and the next start takes it."""

_log = structlog.get_logger("measure")
_SERVICE = measurement_pb2.DESCRIPTOR.services_by_name["MeasurementService"].full_name


class _Metrics:
    """Metrics of measurement; every label is bounded."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.records = Counter("ein_lake_records", "Journal records in the lake.", registry=self.registry)
        self.rounds_failed = Counter(
            "ein_lake_rounds_failed", "Rounds that were put off by an I/O error.", registry=self.registry
        )
        self.calls = Counter(
            "ein_measurement_calls", "Measurement calls served.", ["method"], registry=self.registry
        )
        self.faults = Counter("ein_measurement_faults", "Measurement calls failed.", registry=self.registry)
        self.guardrails = Counter(
            "ein_guardrail_pauses", "Pauses that guardrails asked for.", ["result"], registry=self.registry
        )
        for result in RESULTS:
            self.guardrails.labels(result)
        self.behind = Gauge(
            "ein_lake_records_behind", "Records not in the lake yet.", ["topic"], registry=self.registry
        )


class _Loop:
    """Rounds of tailing with housekeeping in between."""

    def __init__(
        self,
        parts: MeasureParts,
        metrics: _Metrics,
        authenticator: Authenticator,
        state: StateDir,
        stop: threading.Event,
    ) -> None:
        self._parts = parts
        self._expire = noted(state, LAKE, SystemClock(), parts.writer.expire)
        self._authenticator = authenticator
        self._metrics = metrics
        self._stop = stop
        self._housekeeping_due_s = 0.0

    def run(self) -> None:
        """Until stopped. Raises JournalCorrupt and RecordUnreadable: neither mends itself."""
        while not self._stop.is_set():
            with suppress(OSError, GatewayError):
                # Identities that cannot be read stay as they were last good.
                self._authenticator.refresh()
            self._erase()
            full = self._round().full
            self._housekeep()
            if not full:
                self._stop.wait(ROUND_INTERVAL_S)

    def drain(self) -> None:
        """Takes what is there at the end."""
        deadline_s = time.monotonic() + DRAIN_MAX_S
        while self._round().records and time.monotonic() < deadline_s:
            pass

    def _erase(self) -> None:
        try:
            self._parts.erasures.step()
        except (OSError, GatewayError) as fault:
            # Nothing of it is passed over: the next round takes it again.
            self._metrics.rounds_failed.inc()
            _log.error("erasure_put_off", fault=type(fault).__name__)

    def _round(self) -> Round:
        try:
            done = self._parts.tail.step()
        except OSError as fault:
            # A full disk mends itself: nothing of the round is in the lake, the next one takes it again.
            self._metrics.rounds_failed.inc()
            _log.error("round_failed", fault=type(fault).__name__, errno=fault.errno)
            return Round(records=0, full=False)
        self._metrics.records.inc(done.records)
        return done

    def _housekeep(self) -> None:
        now_s = time.monotonic()
        if now_s < self._housekeeping_due_s:
            return
        self._housekeeping_due_s = now_s + HOUSEKEEPING_INTERVAL_S
        try:
            self._parts.writer.compact()
            self._expire()
        except OSError as fault:
            _log.error("housekeeping_failed", fault=type(fault).__name__, errno=fault.errno)
        for source, count in self._parts.behind().items():
            self._metrics.behind.labels(source.topic).set(count)


def run(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code."""
    configure_logs(settings.log_level)
    stop = stop_on_signals()
    state = settings.state
    state.make()
    metrics = _Metrics()

    def on_guardrail(result: str) -> None:
        metrics.guardrails.labels(result).inc()
        _log.warning("guardrail", result=result)

    try:
        parts = build_measure(state, on_guardrail)
    except LakeBusy as busy:
        _log.error(busy.code, public=busy.public)
        return exit_codes.FAULT
    try:
        return _serve(settings, parts, metrics, stop)
    finally:
        parts.close()


def _serve(settings: Settings, parts: MeasureParts, metrics: _Metrics, stop: threading.Event) -> int:
    state = settings.state
    authenticator = Authenticator(state, Operators(state, settings.issuer_url, SystemClock()))
    servicer = MeasurementServicer(
        lake=parts.reading.lake,
        on_call=lambda method: metrics.calls.labels(method).inc(),
    )
    with ExitStack() as closing:
        closing.callback(servicer.close)
        server = ServerThread(
            settings.measure.listen_grpc,
            lambda grpc_server: measurement_pb2_grpc.add_MeasurementServiceServicer_to_server(  # type: ignore[no-untyped-call]
                servicer, grpc_server
            ),
            services=(_SERVICE,),
            authenticate=authenticator.principal,
            tls=open_tls(settings),
            name="measure-grpc",
            on_fault=lambda method: metrics.faults.inc(),
        )
        closing.callback(server.close)
        metrics_address = serve_metrics(
            settings.measure.metrics, metrics.registry, closing, open_tls(settings)
        )
        loop = _Loop(parts, metrics, authenticator, state, stop)
        closing.callback(state.clear_ready, "measure")
        server.set_serving(True)
        grpc_address = f"{host_of(settings.measure.listen_grpc)}:{server.port}"
        state.write_ready("measure", {"grpc": grpc_address, "metrics": metrics_address})
        _log.info("ready", orphans_removed=parts.writer.orphans_removed)
        try:
            loop.run()
            server.set_serving(False)
            loop.drain()
        except (JournalCorrupt, RecordUnreadable) as fault:
            _log.error(fault.code, public=fault.public)
            return exit_codes.FAULT
    _log.info("stopped")
    return exit_codes.DONE
