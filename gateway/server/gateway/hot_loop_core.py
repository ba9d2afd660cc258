"""The core that the settings give to the hot loop."""

from collections.abc import Callable

from gateway.runtime.cores import NoSuchCore, keep_off
from gateway.runtime.tasks import Stop
from gateway.server.settings import Settings, SettingsInvalid

Run = Callable[[Stop], None]


def on_its_core(settings: Settings) -> Callable[[Run], Run]:
    """Call it before any other thread is begun: those keep off the core. What it gives makes of a task one
    that runs there. Raises SettingsInvalid."""
    core = settings.gateway.hot_loop_core
    if core is None:
        return lambda run: run
    try:
        take = keep_off(core)
    except NoSuchCore:
        raise SettingsInvalid(
            "gateway.hot_loop_core: not a core that this process may run on beside another; "
            "choose one of those that `taskset -cp <pid>` lists, or leave it out"
        ) from None

    def placed(run: Run) -> Run:
        def there(stop: Stop) -> None:
            take()
            run(stop)

        return there

    return placed
