"""The server: one socket, this machine's own pages only, and a clean end."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from chiasm.config import ConfigError
from chiasm.web.folder import ServedFolder

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL_NAMES = frozenset(["localhost", "127.0.0.1", "::1"])
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
"""Content-Security-Policy: the browser fetches nothing from anywhere else."""
GOODBYE_S = 2
M_ARENA_MAX, ARENAS = -8, 2
"""glibc gives every thread that allocates memory an arena of its own, none of which ever shrinks: a server of forty
threads would grow by a few megabytes a minute for a long time."""


def serve(path: Path, *, host: str = "127.0.0.1", port: int = 7860) -> None:
    """Serve the page until it is interrupted.

    Args:
        path: a run, or a folder of runs, which need not exist yet.
        host: address to listen at.
        port: 0 for any free one.

    Raises:
        ConfigError: for a path, host or port that cannot be used.
    """
    served = ServedFolder.of(path)
    with _listen(host, port) as listening, _alone(served):
        _stay_inside(served)
        _share_arenas()
        import uvicorn

        from chiasm.web.job import Job

        address, port = listening.getsockname()[:2]
        local = ipaddress.ip_address(address).is_loopback
        served.empty_temporary()
        served.temporary.mkdir(parents=True)
        job = Job(served.own)
        app = make_app(served, job, local=local, host=host)
        shown = f"[{address}]" if ":" in address else address
        print(f"chiasm is at http://{shown}:{port} (Ctrl-C ends it)", flush=True)
        if not local:
            print("everybody who reaches this address can use the page: it has no password", flush=True)
        settings = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GOODBYE_S)
        uvicorn.Server(settings).run(sockets=[listening])


@contextmanager
def _alone(served: ServedFolder) -> Iterator[None]:
    """Keep other processes from serving a folder: they would empty each other's uploads.

    Raises:
        ConfigError: if another process serves it.
    """
    served.own.mkdir(parents=True, exist_ok=True)
    lock = FileLock(served.own / "serve.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(f"serve: {served.root} is served by another process; stop it, or serve another.") from None
    try:
        yield
    finally:
        lock.release()


def _share_arenas() -> None:
    """Let all threads allocate from a few arenas, where the C library has such."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def make_app(served: ServedFolder, job: Any, *, local: bool, host: str) -> ASGIApp:
    """The page as an application, which ends its job when it ends."""
    import gradio as gr
    from fastapi import FastAPI

    from chiasm.web.page import build_page, looks
    from chiasm.web.uploads import MAX_FILE_MB

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        if job.progress().running:
            print("saving", flush=True)
        job.end()
        served.empty_temporary()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        app,
        build_page(served, job, local=local),
        path="/",
        max_file_size=MAX_FILE_MB * 1_000_000,
        show_error=True,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        **looks(),
    )
    return Guard(app, served, LOCAL_NAMES | {host} if local else None)


class Guard:
    """Refuses what other sites make a browser send here, and tells the browser to fetch nothing from elsewhere.

    Args:
        app: the page.
        served: its folder.
        names: the only names under which the page may be asked for; None for any.
    """

    def __init__(self, app: ASGIApp, served: ServedFolder, names: frozenset[str] | None) -> None:
        self.app, self.served, self.names = app, served, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        from starlette.responses import PlainTextResponse

        reason = self._refused(scope)
        if reason:
            await PlainTextResponse(reason, 403)(scope, receive, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, send_with_policy)

    def _refused(self, scope: Scope) -> str:
        from chiasm.web.uploads import MAX_WAITING_MB

        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if self.names is not None and urlsplit(f"//{host}").hostname not in self.names:
            return "This page is for this machine only; open it by the address that chiasm serve printed.\n"
        if origin is not None and urlsplit(origin).netloc != host:
            return "Another site may not use this page.\n"
        if scope["path"].endswith("/upload") and _num_bytes(self.served.temporary) > MAX_WAITING_MB * 1_000_000:
            return "Too many uploads are waiting; restart chiasm serve.\n"
        return ""


def _num_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("**/*") if path.is_file())


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"--host {host} --port {port}: cannot be listened at ({error}); give another --port, or 0 for any free one."
        ) from error


def _stay_inside(served: ServedFolder) -> None:
    """Keep libraries from writing elsewhere and from asking the network; before any of them is imported."""
    os.environ |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(served.temporary),
        "HF_HUB_OFFLINE": "1",
        "MPLCONFIGDIR": str(served.cache / "matplotlib"),
    }
