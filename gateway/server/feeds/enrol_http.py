"""Enrolment over HTTP: keys and addresses in, a challenge out, its proof in, and how far it has come."""

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from gateway.programs.approvals import ApprovalRefused
from gateway.programs.enrolling import EnrolmentRefused
from gateway.records.access import ENROL_ROUTE, HTTP_ACCESS, PROOF_ROUTE, SUBMISSION_ROUTE, UNKNOWN_CALLER
from gateway.server.beside import Beside
from gateway.server.enrolment.desk import Asking, EnrolmentDesk
from gateway.server.identity import Principal

BODY_BYTES_MAX = 64 * 1024
"""Five RSA keys of 8192 bits, or five proofs by them, have 10 KiB."""

THREADS = 1
"""Issuers enrol now and then."""

INSIDE_MAX = 16
"""Some 10 ms each."""

_NO_STORE = {"Cache-Control": "no-store"}


class EnrolRoutes:
    """Puts the endpoints beside the other routes. `who` finds the principal of a request."""

    def __init__(
        self,
        desk: EnrolmentDesk,
        who: Callable[[web.Request], Principal | None],
        voucher: Callable[[web.Request], str],
    ) -> None:
        """`voucher`: who registered the certificate that a request came with, where nothing else says it."""
        self._desk = desk
        self._who = who
        self._voucher = voucher
        self._beside = Beside("enrolments", threads=THREADS, inside_max=INSIDE_MAX)

    def add_to(self, app: web.Application) -> None:
        app.router.add_post(ENROL_ROUTE, self._submit)
        app.router.add_post(PROOF_ROUTE, self._prove)
        app.router.add_get(SUBMISSION_ROUTE, self._status)
        app.on_cleanup.append(self._close)

    async def _close(self, app: web.Application) -> None:
        self._beside.close()

    async def _submit(self, request: web.Request) -> web.Response:
        given = await _body(request)
        return await self._answer(request, ENROL_ROUTE, lambda asking: self._desk.submit(asking, given), 201)

    async def _prove(self, request: web.Request) -> web.Response:
        given, number = await _body(request), _number(request)
        proofs = given.get("proofs") if isinstance(given, dict) else None
        return await self._answer(
            request, PROOF_ROUTE, lambda asking: self._desk.prove(asking, number, proofs), 200
        )

    async def _status(self, request: web.Request) -> web.Response:
        number = _number(request)
        return await self._answer(
            request, SUBMISSION_ROUTE, lambda asking: self._desk.status(asking, number), 200
        )

    async def _answer(
        self, request: web.Request, route: str, work: Callable[[Asking], dict[str, Any] | None], status: int
    ) -> web.Response:
        principal = self._who(request)
        if principal is not None and principal.role not in HTTP_ACCESS[route]:
            return _fault(404, "not_found", "no such submission of yours")
        voucher = self._voucher(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""

        def run() -> tuple[bool, dict[str, Any] | None]:
            asking = self._desk.asking(principal, token, voucher)
            return asking is not None, None if asking is None else work(asking)

        try:
            known, answer = await self._beside.run(run)
        except (EnrolmentRefused, ApprovalRefused) as refused:
            return _fault(400, refused.code, refused.public)
        if not known:
            return _fault(401, "authentication_failed", UNKNOWN_CALLER)
        if answer is None:
            return _fault(404, "not_found", "no such submission of yours")
        return web.json_response(answer, status=status, headers=_NO_STORE)


async def _body(request: web.Request) -> object:
    """The JSON of a request; None, which no act takes, where there is none or too much."""
    raw = await request.read()
    try:
        return json.loads(raw) if len(raw) <= BODY_BYTES_MAX else None
    except (ValueError, RecursionError):
        return None


def _number(request: web.Request) -> int:
    """0, which no submission has, for what is no number."""
    text = request.match_info["submission_id"]
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0


def _fault(status: int, code: str, description: str) -> web.Response:
    headers = {**_NO_STORE, **({"WWW-Authenticate": "Bearer"} if status == 401 else {})}
    return web.json_response({"err": code, "description": description}, status=status, headers=headers)
