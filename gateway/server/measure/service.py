"""`MeasurementService`: uplift over gRPC, for operators and auditors."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gateway.measurement.ports import Lake
from gateway.measurement.ratios import CardSums
from gateway.measurement.report import Estimate, Report, build_report
from gateway.measurement.uplift import Uplift
from gateway.records.errors import GatewayError
from issuernetwork.v1 import measurement_pb2, measurement_pb2_grpc

MAX_QUERIES_WAITING = 16
"""Calls that may wait for the one query at a time that the lake serves; each takes under a second."""


class TooManyQueries(GatewayError):
    """More calls wait for the lake than it can serve soon."""

    code = "store_unavailable"


class MeasurementServicer(measurement_pb2_grpc.MeasurementServiceServicer):
    """Answers from the newest snapshot of the lake. One query at a time: DuckDB uses all threads it may."""

    def __init__(
        self,
        *,
        lake: Lake,
        on_call: Callable[[str], None] = lambda method: None,
    ) -> None:
        self._lake = lake
        self._on_call = on_call
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lake")
        self._waiting = 0

    async def GetUplift(self, request: Any, context: Any) -> Any:  # noqa: N802, the name that gRPC gives it
        if self._waiting >= MAX_QUERIES_WAITING:
            raise TooManyQueries("too many queries are waiting: try again in some seconds")
        self._on_call("GetUplift")
        self._waiting += 1
        try:
            report = await asyncio.get_running_loop().run_in_executor(
                self._executor, build_report, self._lake
            )
        finally:
            self._waiting -= 1
        return uplift_response(report, program=request.program, issuer_id=request.issuer_id)

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


def uplift_response(report: Report, *, program: str, issuer_id: str) -> measurement_pb2.GetUpliftResponse:
    """Both metrics of every estimate asked for; empty filters ask for all."""
    response = measurement_pb2.GetUpliftResponse()
    for estimate in report.estimates:
        if program in ("", estimate.program) and issuer_id in ("", estimate.issuer_id):
            first, final = measurement_pb2.UPLIFT_METRIC_FIRST_ATTEMPT, measurement_pb2.UPLIFT_METRIC_FINAL
            response.estimates.append(_message(estimate, estimate.first, first))
            response.estimates.append(_message(estimate, estimate.final, final))
    return response


def _message(
    estimate: Estimate, uplift: Uplift, metric: measurement_pb2.UpliftMetric
) -> measurement_pb2.UpliftEstimate:
    message = measurement_pb2.UpliftEstimate(
        program=estimate.program,
        issuer_id=estimate.issuer_id,
        ramp_ppm=estimate.ramp_ppm,
        metric=metric,
        treatment=_counts(uplift.treatment),
        holdout=_counts(uplift.holdout),
        no_interval_reason=uplift.no_interval_reason,
    )
    # The contract leaves all three unset where there are too few cards: none is read without the others.
    if uplift.absolute is not None:
        message.uplift = uplift.absolute.value
        message.lower = uplift.absolute.lower
        message.upper = uplift.absolute.upper
    return message


def _counts(sums: CardSums) -> measurement_pb2.ArmCounts:
    return measurement_pb2.ArmCounts(cards=sums.cards, payments=sums.n, approved=sums.y)
