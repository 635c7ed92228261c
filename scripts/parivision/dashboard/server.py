"""The dashboard's server: Voila over the notebooks in `dashboards/`, with our template, limits and locks."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import tempfile
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import plotly
import tornado.web
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.auth.authorizer import AllowAllAuthorizer
from jupyter_server.services.config.manager import ConfigManager
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from pydantic import SecretStr
from tornado.httpserver import HTTPServer
from voila.app import Voila
from voila.configuration import VoilaConfiguration

from parivision.dashboard import access, handlers
from parivision.dashboard.kernels import Kernels, default_limit, folder_for, kernel_environment
from parivision.dashboard.metrics import Metrics
from parivision.dashboard.nursery import Nursery, NurseryError, available
from parivision.dashboard.pages import FIRST, TITLES
from parivision.dashboard.report_handler import ROUTE as REPORTS
from parivision.errors import ParameterError, SnapshotError
from parivision.listening import is_loopback
from parivision.published import Snapshots
from parivision.settings import get_settings, workspace_root

_TEMPLATE = Path(str(files("parivision.dashboard") / "voila"))
_STATIC = Path(str(files("parivision.dashboard") / "static"))
_KERNEL_ID = r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_LARGEST_MESSAGE = 1 << 20  # bytes; of a browser's
_READY_SECONDS = 30  # a kernel that has not run its notebook by then never will


@dataclass(frozen=True)
class Options:
    """What the dashboard is started with.

    Attributes
    ----------
    address, port : str, int
        Where to listen.
    base_path : str
        What all addresses begin with, for a reverse proxy that passes it on; "/" for none.
    token, password : str
        What lets a reader in; empty for none.
    kernels : int
        Most pages open at once; 0 for what this machine carries.
    idle_minutes : float
        After so long without use a page's kernel is ended.
    abandoned_seconds : float
        After so long without a connection it is ended.
    pool : int
        Kernels that wait for visitors of the first page.
    hosts : tuple of str
        Names, besides localhost, that a reverse proxy on this machine serves the dashboard under.
    embedded_by : str
        Origins that may show the dashboard in a frame.
    open_browser : bool
        Whether to open it when ready.
    """

    address: str = "127.0.0.1"
    port: int = 8866
    base_path: str = "/"
    token: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    kernels: int = 0
    idle_minutes: float = 20.0
    abandoned_seconds: float = 60.0
    pool: int = 2
    hosts: tuple[str, ...] = ()
    embedded_by: str = ""
    open_browser: bool = False

    @classmethod
    def of_settings(cls, **given: Any) -> Options:
        """What is given, and the rest from the settings."""
        settings = get_settings()

        def plain(secret: SecretStr | None) -> str:
            return secret.get_secret_value() if secret else ""

        made = cls(
            token=plain(settings.dashboard_token),
            password=plain(settings.dashboard_password),
            kernels=settings.dashboard_kernels,
            idle_minutes=settings.dashboard_idle_minutes,
            abandoned_seconds=settings.dashboard_abandoned_seconds,
            pool=settings.dashboard_pool,
            hosts=tuple(name.strip() for name in settings.dashboard_hosts.split(",") if name.strip()),
            embedded_by=settings.dashboard_embedded_by,
        )
        return replace(made, **given)

    @property
    def base_url(self) -> str:
        """The base path, with a slash at both ends."""
        inner = self.base_path.strip("/")
        return f"/{inner}/" if inner else "/"

    @property
    def credentials(self) -> list[str]:
        """What lets a reader in."""
        return [word for word in (self.token, self.password) if word]

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = "127.0.0.1" if self.address in ("0.0.0.0", "") else self.address  # noqa: S104 - read, not bound
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}{self.base_url}"


def serve(options: Options, say: Callable[[str], object] = print) -> None:
    """Serve the newest snapshot until stopped by Ctrl-C or SIGTERM.

    Raises
    ------
    ParameterError
        The address needs a token or password, or the port is taken.
    SnapshotError
        There is nothing to show.
    """
    access.require_credentials(options.address, options.credentials)
    if not Snapshots(get_settings().data_dir).list():
        raise SnapshotError("the dashboard has nothing to show: run scripts/workspace build first")
    listening = _listen(options)
    app = Dashboard()
    app.options = options
    app.initialize([])
    try:
        app.run(listening, say)
    finally:
        listening.close()


def _listen(options: Options) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((options.address, options.port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise ParameterError(
            f"the dashboard can't listen on {options.address}:{options.port} ({error.strerror}): "
            "stop what does, or choose another --port"
        ) from None
    listening.setblocking(False)
    return listening


class Dashboard(Voila):  # type: ignore[misc]
    """Voila with a fixed configuration: no file, no variable and no address changes it."""

    options = Options()

    def load_config_file(self, *_: Any, **__: Any) -> None:
        """The user's Jupyter configuration is for his own Voila."""

    def setup_template_dirs(self) -> None:
        """Ours alone."""
        self.template_paths = [str(_TEMPLATE)]

    def initialize(self, argv: list[str] | None = None) -> None:
        """Configure."""
        self.log_level = logging.WARNING
        super().initialize(argv)
        self.ip, self.port, self.base_url = self.options.address, self.options.port, self.options.base_url
        self.root_dir = str(workspace_root() / "dashboards")
        self.assets = assets(self.base_url)
        self.config.VoilaConfiguration.resources = {"assets": self.assets.urls, "titles": TITLES}
        self.voila_configuration = VoilaConfiguration(
            parent=self,
            template="parivision",
            allow_template_override="NO",
            allow_theme_override="NO",
            strip_sources=True,
            show_tracebacks=False,
            preheat_kernel=True,
            file_allowlist=[],
            http_keep_alive_timeout=_READY_SECONDS,
        )

    def run(self, listening: socket.socket, say: Callable[[str], object]) -> None:
        """Serve until stopped; then end every kernel and remove every file."""
        # Until the server's own handler takes over: SIGTERM unwinds, as Ctrl-C does.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with tempfile.TemporaryDirectory(prefix="parivision-", ignore_cleanup_errors=True) as folder:
            self.connection_dir = folder
            nursery = self._nursery()
            try:
                asyncio.run(self._serve(listening, nursery, say))
            finally:
                if nursery is not None:
                    nursery.close()

    def _nursery(self) -> Nursery | None:
        if not available():
            return None
        nursery = Nursery(kernel_environment(), Path(self.connection_dir))
        try:
            nursery.start()
        except NurseryError as error:
            self.log.warning("kernels are started one by one, which takes longer and more memory: %s", error)
            return None
        return nursery

    async def _serve(self, listening: socket.socket, nursery: Nursery | None, say: Callable[[str], object]) -> None:
        stopped = asyncio.Event()
        for wanted in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(wanted, stopped.set)
        self.app = tornado.web.Application(**self._settings(nursery))
        self.app.add_handlers(".*$", self._handlers())
        # The scheme and host that a reverse proxy names are believed only where nobody else can reach us.
        server = HTTPServer(self.app, xheaders=is_loopback(self.options.address), max_body_size=_LARGEST_MESSAGE)
        server.add_socket(listening)
        say(f"The dashboard is at {self.options.url}")
        if self.options.open_browser:
            webbrowser.open(self.options.url)
        await stopped.wait()
        server.stop()
        await self.kernel_manager.close()
        await server.close_all_connections()

    def _settings(self, nursery: Nursery | None) -> dict[str, Any]:
        options = self.options
        self.server_url = self.base_url
        self.kernel_spec_manager = KernelSpecManager(parent=self, kernel_dirs=[])  # this interpreter's, not the user's
        self.config_manager = ConfigManager(parent=self, read_config_path=[])
        quiet = logging.Logger("notebooks", logging.ERROR)  # that they are not signed is known: they hold no output
        self.contents_manager = LargeFileManager(parent=self, log=quiet)
        self.identity_provider = access.Access(parent=self, credentials=options.credentials)
        self.kernel_manager = Kernels(
            parent=self,
            connection_dir=self.connection_dir,
            kernel_spec_manager=self.kernel_spec_manager,
            allowed_message_types=list(handlers.FROM_BROWSER),
            nursery=nursery,
            folder=folder_for(self.connection_dir),
            limit=options.kernels or default_limit(),
            idle_seconds=60 * options.idle_minutes,
            abandoned_seconds=options.abandoned_seconds,
            kernel_pools_config={"default": {"pool_size": 0}, f"{FIRST}.ipynb": {"pool_size": options.pool}},
        )
        templates = jinja2.Environment(loader=jinja2.FileSystemLoader(self.template_paths), autoescape=True)
        return {
            "base_url": self.base_url,
            "server_url": self.server_url,
            "kernel_manager": self.kernel_manager,
            "kernel_spec_manager": self.kernel_spec_manager,
            "contents_manager": self.contents_manager,
            "config_manager": self.config_manager,
            "voila_jinja2_env": templates,
            "jinja2_env": templates,
            "server_root_dir": "/",
            "identity_provider": self.identity_provider,
            "authorizer": AllowAllAuthorizer(parent=self, identity_provider=self.identity_provider),
            "kernel_websocket_connection_class": handlers.Connection,
            "cookie_secret": access.cookie_secret(get_settings().data_dir, options.credentials),
            "login_url": f"{self.base_url}login",
            "xsrf_cookies": True,
            "xsrf_cookie_kwargs": {"httponly": True, "samesite": "Strict", "path": self.base_url},
            # Another site's name that resolves to this machine is refused; a token protects other addresses.
            "allow_remote_access": not is_loopback(options.address),
            "local_hostnames": ["localhost", *options.hosts],
            "headers": access.headers(options.embedded_by),
            "assets": self.assets,
            "websocket_max_message_size": _LARGEST_MESSAGE,
            "websocket_compression_options": {"compression_level": 3, "mem_level": 5},
            "serve_traceback": False,
            "log_function": handlers.log_answer,
            "autoreload": False,
        }

    def _handlers(self) -> list[tuple[Any, ...]]:
        base = self.base_url.rstrip("/")
        pages = f"({'|'.join(TITLES)})"
        page = {
            "template_paths": self.template_paths,
            "config": self.config,
            "voila_configuration": self.voila_configuration,
        }
        return [
            (rf"{base}/?", handlers.First),
            (rf"{base}/{pages}", handlers.PageHandler, page),
            (rf"{base}/{pages}\.ipynb", handlers.First),
            (rf"{base}/voila/render/{pages}(?:\.ipynb)?", handlers.First),
            (rf"{base}/api/kernels/{_KERNEL_ID}", handlers.Seat),
            (rf"{base}/api/kernels/{_KERNEL_ID}/channels", handlers.Line),
            (rf"{base}/voila/api/shutdown/{_KERNEL_ID}", handlers.Seat),
            (rf"{base}/login", handlers.Login),
            (rf"{base}/health", handlers.Health),
            (rf"{base}/metrics", Metrics),
            (rf"{base}/static/(.*)", handlers.AssetHandler),
            (base + REPORTS, handlers.Report),
            (r".*", handlers.NotFound),
        ]


def assets(base_url: str) -> handlers.Assets:
    """The files that browsers load: all that a page needs, so that none comes from elsewhere."""
    own = [*(_TEMPLATE / "static").iterdir(), _STATIC / "app.css"]
    return handlers.Assets(
        base_url,
        {file.name: file.read_bytes() for file in own}
        | {
            # The widget's module, as the widget itself would hand it over.
            "widget.js": b"\n".join((_STATIC / name).read_bytes() for name in ("idiomorph.min.js", "app.js")),
            "plotly.min.js": (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_bytes(),
        },
    )
