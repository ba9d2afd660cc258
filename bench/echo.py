"""The reference: a bare grpc.aio server of the same messages, which reads a request and sends a ready answer.

Nothing is done with either: what remains is what grpc.aio and the library for messages cost by themselves.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc

from issuernetwork.v1 import enrichment_pb2, feed_pb2

PATH = "/bench.Echo/Echo"
MESSAGES: dict[str, tuple[Any, Any]] = {
    "enrich": (enrichment_pb2.EnrichAuthorizationRequest, enrichment_pb2.EnrichAuthorizationResponse),
    "lookup": (feed_pb2.LookupRequest, feed_pb2.LookupResponse),
}


async def serve(kind: str, sample: bytes) -> None:
    request, response = MESSAGES[kind]
    answer = response.FromString(sample)

    async def echo(request: object, context: object) -> Any:
        return answer

    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(
        echo, request_deserializer=request.FromString, response_serializer=response.SerializeToString
    )
    server.add_registered_method_handlers("bench.Echo", {"Echo": handler})
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Echo": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], bytes.fromhex(sys.argv[2])))
