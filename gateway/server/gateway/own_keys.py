"""`ein gateway` follows our own keys, on a thread of its own."""

from collections.abc import Callable

from gateway.runtime.tasks import Stop
from gateway.server.gateway.metrics import GatewayMetrics
from gateway.server.grpc_common import ServerThread
from gateway.server.own_keys import HEALTH_SERVICE, KeysTold, KeyWatch, LiveKeys
from gateway.server.state import StateDir


def follow_own_keys(
    keys: LiveKeys, state: StateDir, metrics: GatewayMetrics, host: ServerThread
) -> Callable[[Stop], None]:
    """What the thread runs. One look is made now: whoever asks when the process is ready is told."""

    def tell(told: KeysTold) -> None:
        metrics.own_keys_stale.set(1 if told.code else 0)
        host.set_health(HEALTH_SERVICE, serving=not told.code)

    watch = KeyWatch(keys, state, "gateway", tell)
    watch.step()
    return watch.follow
