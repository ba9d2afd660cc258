"""The reference: a bare grpc.aio server that takes bytes and answers with bytes of a given size."""

from __future__ import annotations

import asyncio
import sys

import grpc

PATH = "/bench.Echo/Echo"


async def serve(answer: bytes) -> None:
    async def echo(payload: bytes, context: object) -> bytes:
        return answer

    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    server.add_registered_method_handlers("bench.Echo", {"Echo": handler})
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Echo": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(bytes(int(sys.argv[1]))))
