"""Joins operators' os-ken apps to a controller; nothing of os-ken is imported where the configuration has none."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from controller.config.controller_file import ControllerConfig
from controller.observability.metrics import Metrics
from controller.service.host.failures import left_over
from controller.service.host.native import OsKenUnusable, choose_native_hub
from controller.service.writer import Writer


def load_os_ken_apps(modules: Sequence[str]) -> None:
    """See that the apps can be imported, and import them; those that run already go on.

    Raises:
        OsKenUnusable: One cannot.
    """
    choose_native_hub()
    try:
        from controller.service.host import manager
    except ModuleNotFoundError as missing:
        raise OsKenUnusable(
            f"{missing.name} is not installed, and os_ken.apps needs it: pip install 'qinet-controller[controller]'"
        ) from None
    manager.check(modules)


async def host_os_ken_apps(
    config: ControllerConfig, writer: Writer, metrics: Metrics, stack: AsyncExitStack
) -> dict[str, str]:
    """Run the os-ken apps of a configuration until the stack unwinds; return the address bound for OpenFlow, if any.

    Raises:
        OsKenUnusable: An app cannot be made.
        Precondition: ADDRESS_IN_USE.
    """
    for over in left_over(writer.desk.published.snapshot):
        writer.deliver(over, None)
    if config.os_ken is None:
        return {}
    load_os_ken_apps(config.os_ken.apps)
    from controller.service.host.host import Host, HostSettings
    from southbound.openflow.listener import OpenFlowListener

    host = Host(
        config.os_ken.apps,
        name=config.name,
        desk=writer.desk,
        deliver=writer.deliver,
        metrics=metrics,
        listener=OpenFlowListener,
        settings=HostSettings(openflow=config.os_ken.listen, queue_size=config.os_ken.queue_size),
    )
    stack.push_async_callback(host.stop)
    bound = await host.start()
    return {} if bound is None else {"openflow": f"{bound[0]}:{bound[1]}"}
