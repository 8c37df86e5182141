"""The HTTP port: /metrics for Prometheus, /healthz for whoever watches the process."""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

CACHE_S: Final = 1.0
"""A page younger than this is given again: several scrapers cost no more than one."""


class MetricsServer:
    """Serves the registry. Pages are rendered off the event loop, one at a time."""

    def __init__(self, registry: CollectorRegistry, healthy: Callable[[], bool]) -> None:
        self._registry = registry
        self._healthy = healthy
        self._page = b""
        self._rendered_at = -CACHE_S
        self._rendering = asyncio.Lock()
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Listen, and return the port; `tls` None means plain HTTP, which the configuration allows on loopback only."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._health)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=tls)
        await site.start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        async with self._rendering:
            if time.monotonic() - self._rendered_at > CACHE_S:
                self._page = await asyncio.to_thread(generate_latest, self._registry)
                self._rendered_at = time.monotonic()
        return web.Response(body=self._page, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n") if self._healthy() else web.Response(status=503, text="not deciding\n")
