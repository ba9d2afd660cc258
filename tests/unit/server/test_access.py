"""The rule of each method: it is there, it is what the contract says in words, and nothing else counts."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from gateway.records import access
from gateway.records.access import ACCESS, CONTRACTS, ROLES, check_access, denial, table_of
from gateway.server.certificates import PeerCertificate
from gateway.server.gate import INTERNAL_TEXT, caller, calling
from gateway.server.grpc_common import ServerThread
from gateway.server.identity import Principal
from gateway.sharing.ports import METHOD_PATHS, STREAM_ENRICH
from issuernetwork.v1 import access_pb2
from tests.kit.installation import ROOT

FOLDER = ROOT / "proto" / "issuernetwork" / "v1"
LISTED = "/issuernetwork.v1.ProgramService/ListPrograms"
UNRULED = "/issuernetwork.v1.ProgramService/ForgotItsRule"
SERVED = (LISTED, UNRULED)
STREAMED = METHOD_PATHS[STREAM_ENRICH]
ONE_ANSWER = "/issuernetwork.v1.ProgramService/ManyInOneOut"


def said_in_words() -> dict[str, set[str]]:
    """What the comment of each method says, by the method's path."""
    found = {}
    for path in sorted(FOLDER.glob("*.proto")):
        for service, body in re.findall(r"^service (\w+) \{\n(.*?)^\}", path.read_text(), re.M | re.S):
            for comment, method in re.findall(r"((?:  //[^\n]*\n)+)  rpc (\w+)\(", body):
                roles = re.search(r"Roles?: ([a-z, ]+)\.\n$", comment)
                found[f"/issuernetwork.v1.{service}/{method}"] = set(roles[1].split(", ")) if roles else set()
    return found


def test_the_table_has_every_method_of_every_service_of_the_contract() -> None:
    with_services = {path.stem for path in FOLDER.glob("*.proto") if "\nservice " in path.read_text()}
    assert {Path(contract.DESCRIPTOR.name).stem for contract in CONTRACTS} == with_services
    rpcs = sum(len(re.findall(r"^  rpc ", path.read_text(), re.M)) for path in FOLDER.glob("*.proto"))
    assert len(ACCESS) == rpcs >= 27


@pytest.mark.parametrize("path", sorted(ACCESS))
def test_every_method_says_who_may_call_it(path: str) -> None:
    assert ACCESS[path], f"{path} has no rule: add `option (access)` to it"
    assert said_in_words()[path] == ACCESS[path], "the comment and the option of a method say the same"


def test_each_role_of_the_contract_is_one_of_ours_and_none_is_unspecified() -> None:
    words = {name.removeprefix("ROLE_").lower() for name, _ in access_pb2.Role.items()}
    assert words - {"unspecified"} == set(ROLES)
    for contract in CONTRACTS:
        for service in contract.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                roles = method.GetOptions().Extensions[access_pb2.access].roles
                assert access_pb2.ROLE_UNSPECIFIED not in roles


def test_what_is_neither_a_role_nor_known_is_nobody() -> None:
    def method(name: str, *roles: int) -> Any:
        option = access_pb2.Access(roles=roles)
        options = SimpleNamespace(Extensions={access_pb2.access: option})
        return SimpleNamespace(name=name, GetOptions=lambda: options)

    service = SimpleNamespace(
        full_name="x.S", methods=[method("None"), method("Odd", 0, 77), method("One", 1)]
    )
    contract = SimpleNamespace(DESCRIPTOR=SimpleNamespace(services_by_name={"S": service}))
    with pytest.raises(ValueError, match="77"):
        table_of([contract])
    service.methods[1] = method("Odd", 0)
    assert table_of([contract]) == {"/x.S/None": frozenset(), "/x.S/Odd": frozenset(), "/x.S/One": {"caller"}}


@pytest.mark.parametrize("role", ["", "root", "CALLER", *ROLES])
def test_a_method_without_a_rule_is_open_to_nobody(role: str) -> None:
    with pytest.raises(access.PermissionDenied):
        check_access(UNRULED, role)


def test_no_caller_at_all_is_told_nothing_of_the_rule() -> None:
    with pytest.raises(access.Unauthenticated) as told:
        check_access(LISTED, None)
    assert "operator" not in told.value.public


def authenticate(header: str | bytes | None, certificate: PeerCertificate | None = None) -> Principal | None:
    if header == "Bearer broken":
        raise RuntimeError("pan 4111111111111111")
    role = str(header).removeprefix("Bearer ")
    return Principal(f"the {role}", role) if role in ROLES else None  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server with one method of the contract, and one that the contract knows nothing of."""

    async def who(payload: bytes, context: Any) -> bytes:
        return caller().principal_id.encode()

    def add(server: Any) -> None:
        for path in SERVED:
            _, service, name = path.split("/")
            handler = grpc.unary_unary_rpc_method_handler(who)
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))

        async def who_streams(messages: Any, context: Any) -> None:
            async for message in messages:
                if message == b"fault":
                    raise RuntimeError("pan 4111111111111111")
                await context.write(caller().principal_id.encode())

        for path, handler in (
            (STREAMED, grpc.stream_stream_rpc_method_handler(who_streams)),
            (ONE_ANSWER, grpc.stream_unary_rpc_method_handler(who)),
        ):
            _, service, name = path.split("/")
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))

    server = ServerThread("127.0.0.1:0", add, services=(), authenticate=authenticate)
    yield f"127.0.0.1:{server.port}"
    server.close()


def answer(address: str, path: str, role: str) -> Any:
    """What the method says, or the code and the text of its refusal."""
    metadata = [("authorization", f"Bearer {role}")] if role else []
    with grpc.insecure_channel(address) as channel:
        try:
            return channel.unary_unary(path)(b"", metadata=metadata, timeout=10)
        except grpc.RpcError as fault:
            return fault.code(), fault.details()


@pytest.mark.parametrize("role", ROLES)
def test_the_gate_lets_through_whom_the_rule_names_and_says_to_the_handler_who_it_was(
    address: str, role: str
) -> None:
    if role in ACCESS[LISTED]:
        assert answer(address, LISTED, role) == f"the {role}".encode()
    else:
        assert answer(address, LISTED, role) == (grpc.StatusCode.PERMISSION_DENIED, denial(LISTED))
    assert answer(address, UNRULED, role) == (grpc.StatusCode.PERMISSION_DENIED, denial(UNRULED))


def streamed(address: str, role: str, *messages: bytes) -> Any:
    """What the stream says, or the code and the text of its refusal."""
    metadata = [("authorization", f"Bearer {role}")] if role else []
    with grpc.insecure_channel(address) as channel:
        try:
            return list(channel.stream_stream(STREAMED)(iter(messages), metadata=metadata, timeout=10))
        except grpc.RpcError as fault:
            return fault.code(), fault.details()


@pytest.mark.parametrize("role", ["", "stranger", *ROLES])
def test_a_stream_passes_the_same_gate(address: str, role: str) -> None:
    if role in ACCESS[STREAMED]:
        assert streamed(address, role, b"1", b"2") == [f"the {role}".encode()] * 2
    elif role in ROLES:
        assert streamed(address, role, b"1") == (grpc.StatusCode.PERMISSION_DENIED, denial(STREAMED))
    else:
        assert streamed(address, role, b"1") == (grpc.StatusCode.UNAUTHENTICATED, access.UNKNOWN_CALLER)


def test_a_fault_in_a_stream_says_nothing_of_itself(address: str) -> None:
    assert streamed(address, "caller", b"fault") == (grpc.StatusCode.INTERNAL, INTERNAL_TEXT)


def test_a_stream_that_is_answered_once_is_no_method_of_ours(address: str) -> None:
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.stream_unary(ONE_ANSWER)(iter([b""]), timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", SERVED)
@pytest.mark.parametrize("role", ["", "stranger"])
def test_a_stranger_is_refused_alike_whatever_the_method(address: str, path: str, role: str) -> None:
    assert answer(address, path, role) == (grpc.StatusCode.UNAUTHENTICATED, access.UNKNOWN_CALLER)


def test_a_fault_while_a_caller_is_looked_up_says_nothing_of_itself(address: str) -> None:
    assert answer(address, LISTED, "broken") == (grpc.StatusCode.INTERNAL, INTERNAL_TEXT)


def test_health_is_told_to_everybody(address: str) -> None:
    assert answer(address, "/grpc.health.v1.Health/Check", "") == b"\x08\x02"


def test_outside_a_call_nobody_calls() -> None:
    with pytest.raises(LookupError):
        caller()
    with calling(Principal("shop", "caller")):
        assert caller().principal_id == "shop"
    with pytest.raises(LookupError):
        caller()


def test_what_a_front_serves_by_itself_is_in_the_table() -> None:
    assert set(METHOD_PATHS) < set(ACCESS)
