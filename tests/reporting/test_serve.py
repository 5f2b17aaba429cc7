"""A site handed out on this machine only."""

from __future__ import annotations

import os
from contextlib import contextmanager
from http.client import HTTPConnection
from threading import Thread

import pytest

from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.serve import serve


@pytest.fixture
def folder(tmp_path):
    """A site of one page."""
    (tmp_path / "index.html").write_text("the index", encoding="utf-8")
    (tmp_path / ".finished").mkdir()
    (tmp_path / ".finished" / "x.json").write_text("{}", encoding="utf-8")
    return tmp_path


@contextmanager
def served(folder):
    server = serve(folder, 0)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def get(server, path, host=None):
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host} if host else {})
        response = connection.getresponse()
        return response.status, response.read().decode(), dict(response.getheaders())
    finally:
        connection.close()


def test_a_site_is_handed_out_and_kept_by_no_browser(folder):
    with served(folder) as server:
        assert server.server_address[0] == "127.0.0.1"
        status, text, headers = get(server, "/")
        assert (status, text) == (200, "the index")
        assert headers["Cache-Control"] == "no-store"
        assert get(server, "/index.html", f"localhost:{server.server_port}")[0] == 200


def test_other_names_hidden_files_and_other_folders_are_refused(folder):
    with served(folder) as server:
        assert get(server, "/", "example.org")[0] == 403
        assert get(server, "/.finished/x.json")[0] == 403
        assert get(server, "/%2efinished/x.json")[0] == 403
        assert get(server, "/../../etc/passwd")[0] in (403, 404)


def test_links_out_of_the_site_are_not_followed(folder, tmp_path_factory):
    secret = tmp_path_factory.mktemp("secret")
    (secret / "x.txt").write_text("secret")
    (folder / "link.txt").symlink_to(secret / "x.txt")
    (folder / "links").symlink_to(secret)
    (folder / "inside.html").symlink_to(folder / "index.html")
    with served(folder) as server:
        assert get(server, "/link.txt")[0] == get(server, "/links/x.txt")[0] == 403
        assert get(server, "/links/")[0] == 403
        assert get(server, "/inside.html")[:2] == (200, "the index")


@pytest.mark.parametrize("path", ["/%00", "/index.html%00.txt", "/%0a", "/" + "a" * 5000, "/%ff"])
def test_odd_paths_are_refused_and_the_server_lives(folder, path, capfd):
    with served(folder) as server:
        assert get(server, path)[0] in (403, 404)
        assert get(server, "/")[0] == 200
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_what_has_no_end_is_not_served(folder):
    os.mkfifo(folder / "pipe.html")
    with served(folder) as server:
        assert get(server, "/pipe.html")[0] == 403


@pytest.mark.parametrize("port", [-1, 65_536, 10**9])
def test_odd_ports_are_one_message(folder, port):
    with pytest.raises(ReportingError, match=f"port {port} cannot be used"):
        serve(folder, port)


def test_what_cannot_be_served_is_said(folder, tmp_path_factory):
    with pytest.raises(ReportingError, match="holds no site"):
        serve(tmp_path_factory.mktemp("empty"))
    with served(folder) as server, pytest.raises(ReportingError, match="cannot be used"):
        serve(folder, server.server_port)
