"""A provider of a third party: installed as a package, named in the settings, asked within its budget."""

import http.server
import json
import re
import sys
import threading
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from gateway.programs.documents import load_policy
from gateway.programs.table import ReleaseTable, compile_table
from gateway.server.providers.build import Providers, build_providers
from gateway.server.providers.entry_points import ProviderInvalid
from gateway.server.providers.settings import ProvidersSettings
from tests.kit.payments import HARBOR
from tests.unit.docs.pages import ROOT
from tests.unit.sharing.kit import Kit, requests, sample_files
from tests.unit.sharing.opened import released

EXAMPLE = ROOT / "examples" / "address_reputation"
NAME = "address_reputation"
WAIT_S = 10.0
PATIENT_US = 10_000_000  # where an answer is to come, however busy the machine


class Service:
    """What the example asks. It answers, waits until told, or is gone."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.go_on.set()
        self.asked: list[list[str]] = []
        self.answered = threading.Semaphore(0)
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                addresses = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.asked.append(addresses)
                service.go_on.wait(WAIT_S)
                body = json.dumps(["tor"] * len(addresses)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                service.answered.release()

            def log_message(self, *arguments: Any) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    yield found
    found.close()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example as pip would leave it: its module, and beside it what its pyproject.toml says of it."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (site / "address_reputation.py").write_text((EXAMPLE / "address_reputation.py").read_text())
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "address_reputation", raising=False)
    return site


@lru_cache(maxsize=1)
def table() -> ReleaseTable:
    """The sample, in which Harbor gets what the example says."""
    files = {**sample_files()}
    for name in ("programs/enhanced-data.yaml", "enrolments/harbor-federal-enhanced-data.yaml"):
        files[name] = re.sub(r"( +)- ip\n", r"\1- ip\n\1- ip_anonymised\n", files[name])
    return compile_table(load_policy(files, version=7))


def settings(**other: Any) -> ProvidersSettings:
    named = {"name": NAME, "budget_ms": 5, "may_see": ["ip"], **other}
    return ProvidersSettings.model_validate({"others": [named]})


@pytest.fixture
def providers(installed: Path, service: Service, tmp_path: Path) -> Iterator[Providers]:
    options = {"host": "127.0.0.1", "port": service.server.server_address[1]}
    found = build_providers(
        settings(options=options), folder=tmp_path, copies=tmp_path, memory=tmp_path / "memory"
    )
    yield found
    found.close()


def patient(providers: Providers) -> Kit:
    """A gateway that waits for every answer."""
    providers.budgeted[-1].budget_us = PATIENT_US
    return Kit(table=table(), providers=providers.budgeted)


def omitted(answer: Any) -> dict[str, str]:
    return {one.provider: one.reason for one in answer.omissions if one.provider == NAME}


def shared_fields(kit: Kit) -> list[dict[str, Any]]:
    return [body["fields"] for _, decision, body in released(kit) if decision.program == "enhanced-data"]


def test_its_signal_is_shared_under_a_program_that_has_the_field(
    providers: Providers, service: Service
) -> None:
    kit = patient(providers)
    answers = kit.answers(*requests(20, iin=HARBOR))
    assert not kit.faults
    assert {frozenset(omitted(answer)) for answer in answers} == {frozenset()}
    found = shared_fields(kit)
    assert found
    assert {fields["ip_anonymised"] for fields in found} == {"tor"}
    assert len(service.asked) == 1, "one trip a batch"


def test_when_it_hangs_the_payments_are_answered_without_it_and_say_so(
    providers: Providers, service: Service
) -> None:
    service.go_on.clear()
    kit = Kit(table=table(), providers=providers.budgeted)
    # The kit's clock stands still, as a budget does not: what is waited is real.
    (first,) = kit.answers(*requests(1, iin=HARBOR))
    (second,) = kit.answers(*requests(1, iin=HARBOR, prefix="q"))
    assert [omitted(answer) for answer in (first, second)] == [{NAME: "over_budget"}] * 2
    assert len(service.asked) <= 1, "the second batch was not handed over: the first is still in hand"
    answers = kit.answers(*requests(20, iin=HARBOR, prefix="r"))
    assert [answer.completeness for answer in answers] == [first.completeness] * 20
    assert all("ip_anonymised" not in fields for fields in shared_fields(kit))
    assert shared_fields(kit), "everything else is shared as ever"


def test_what_it_says_too_late_is_in_no_later_payment(providers: Providers, service: Service) -> None:
    service.go_on.clear()
    kit = Kit(table=table(), providers=providers.budgeted)
    kit.answers(*requests(3, iin=HARBOR))
    service.go_on.set()
    assert service.answered.acquire(timeout=WAIT_S)
    kit = patient(providers)
    for attempt in range(1_000):  # until the thread has put the late answer away
        (answer,) = kit.answers(*requests(1, iin=HARBOR, prefix=f"late-{attempt}"))
        kit.clock.advance_ms(1_000)
        kit.renew()
        if not omitted(answer):
            break
    assert not omitted(answer), "it is asked again"
    assert [len(asked) for asked in service.asked] == [3, 1], "what was late was for three"
    assert not kit.faults, "an answer for three payments was not taken for one"


def test_when_its_service_is_gone_its_fields_alone_are_absent(providers: Providers, service: Service) -> None:
    service.close()
    kit = patient(providers)
    answers = kit.answers(*requests(20, iin=HARBOR))
    assert {omitted(answer)[NAME] for answer in answers} == {"unavailable"}
    assert shared_fields(kit)
    assert [stage for stage, _ in kit.faults] == [f"provider {NAME}"]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"others": [{"name": "nobody"}]}, "no installed package has an entry point nobody"),
        ({"others": [{"name": NAME, "options": {}, "may_see": ["ip"]}]}, "could not be made (KeyError)"),
        ({"others": [{"name": NAME, "options": {"host": "h", "port": 1}}]}, "it wants ip, which is personal"),
        (
            {"others": [{"name": NAME, "options": {"host": "h", "port": 1}, "may_see": ["ip"]}] * 2},
            "is named twice",
        ),
        (
            {
                "network": {"lists": {"tor": "tor.txt"}},
                "others": [{"name": NAME, "options": {"host": "h", "port": 1}, "may_see": ["ip"]}],
            },
            "ip_anonymised is filled by network in this installation",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_start(
    document: dict[str, Any], why: str, installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "tor.txt").write_text("192.0.2.0/24\n")
    with pytest.raises(ProviderInvalid, match=re.escape(why)) as refused:
        build_providers(
            ProvidersSettings.model_validate(document),
            folder=tmp_path,
            copies=tmp_path,
            memory=tmp_path / "memory",
        )
    assert refused.value.code == "settings_invalid"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ('wants = ("ip", "pan")', "it wants what is no fact key"),
        ('gives = ("email",)', "it gives what is no field for a provider"),
        ("gives = ()", "gives must name each field once"),
        ('name = "other"', "it calls itself by another name"),
        ("version = None", "version must be short text"),
        ("fetch = None", "version must be short text and fetch a function"),
    ],
)
def test_a_provider_that_does_not_keep_to_the_port_is_refused(
    change: str, why: str, installed: Path, tmp_path: Path
) -> None:
    module = installed / "address_reputation.py"
    module.write_text(f"{module.read_text()}\n\nAddressReputation.{change}\n")
    with pytest.raises(ProviderInvalid, match=re.escape(why)):
        build_providers(
            settings(options={"host": "h", "port": 1}),
            folder=tmp_path,
            copies=tmp_path,
            memory=tmp_path / "memory",
        )
