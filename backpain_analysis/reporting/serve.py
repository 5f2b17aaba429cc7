"""A local look at a built site."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from backpain_analysis.reporting.errors import ReportingError

HOST = "127.0.0.1"
NAMES = {HOST, "localhost"}


def serve(folder: Path, port: int = 8000) -> ThreadingHTTPServer:
    """Make a server of a site that only this machine can reach; it answers once it is started.

    Parameters
    ----------
    folder : Path
        A built site.
    port : int
        0 takes any free port; `server_port` of the result tells which.

    Returns
    -------
    ThreadingHTTPServer
        Call its `serve_forever`, and `server_close` at the end.

    Raises
    ------
    ReportingError
        If the folder holds no site or the port is taken.
    """
    if not (folder / "index.html").is_file():
        raise ReportingError(f"{folder} holds no site; build one with `backpain report run`")
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Handler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ReportingError(f"port {port} cannot be used: {reason}") from error


class _Handler(SimpleHTTPRequestHandler):
    """Hands out the site's files, quietly, to browsers that asked for this machine by name."""

    def parse_request(self) -> bool:
        """Refuse names that another site may have pointed here, and files that are not its own."""
        if not super().parse_request():
            return False
        host = self.headers.get("Host", HOST).rpartition(":")
        if (host[0] or host[2]) not in NAMES or not self._is_of_site():
            self.send_error(403)
            return False
        return True

    def _is_of_site(self) -> bool:
        """Whether a file is none that is hidden, is led to out of the folder, or has no end."""
        asked = unquote(self.path)
        if "/." in asked or not asked.isprintable():
            return False
        try:
            place = Path(self.translate_path(self.path)).resolve()
            is_plain = place.is_file() or place.is_dir() or not place.exists()
            return is_plain and place.is_relative_to(Path(self.directory).resolve())
        except (OSError, ValueError, RuntimeError):
            return False

    def end_headers(self) -> None:
        """Let browsers keep nothing and guess nothing."""
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""
