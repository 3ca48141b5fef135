"""A cluster that is there already: users' code travels to it, and what does not answer is said quickly."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from pipeline.cluster import NodeWatch, cluster
from pipeline.errors import SiteError
from pipeline.site_file import RaySite, Site
from tests.machine import Ended, gristmill, made_of, write_sources

TOKEN = "0123456789abcdef" * 4
USER = Path(__file__).parent / "user"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_head(port: int, folder: str) -> "subprocess.Popen[bytes]":
    """A head node that knows nothing of the project: another working directory, no path to it."""
    options = ["--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2"]
    options += ["--include-dashboard=false", "--object-store-memory=100000000", f"--temp-dir={folder}"]
    line = [sys.executable, "-m", "ray.scripts.scripts", "start", *options]
    quiet = subprocess.DEVNULL
    environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    process = subprocess.Popen(line, cwd=folder, env=environment, stdout=quiet, stderr=quiet)
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "ray start ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "ray start does not listen"
            time.sleep(0.1)
            continue
        if any(child.name() == "raylet" for child in psutil.Process(process.pid).children()):
            return process


def stop(process: "subprocess.Popen[bytes]") -> None:
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    psutil.wait_procs(family, timeout=10)
    for left in family:
        if left.is_running():
            left.kill()
    process.wait(20)


def site_file(folder: Path, address: str, connect_timeout_s: int = 5) -> Path:
    path = folder / "site.toml"
    path.write_text(
        f'[store]\npath = "{folder / "store"}"\n[ray]\naddress = "{address}"\nconnect_timeout_s = {connect_timeout_s}\n'
    )
    return path


def run_user_recipe(folder: Path, *options: object) -> Ended:
    if not (folder / "user").exists():
        shutil.copytree(USER, folder / "user")
    write_sources(folder / "source")
    source = f"{folder / 'source'}?shard_bytes=20000"
    recipe = f"{folder / 'user/slow_recipe.py'}:slow"
    return gristmill("run", recipe, "--source", source, "--json", *options, RAY_AUTH_TOKEN=TOKEN)


@pytest.mark.ray
def test_users_stages_run_on_a_running_cluster_until_it_ends(tmp_path: Path) -> None:
    local = run_user_recipe(tmp_path, "--actors", "--store", tmp_path / "local", "--local")
    assert local.code == 0, local.err
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # sockets need a short path
        port = free_port()
        process = start_head(port, folder)
        try:
            ended = run_user_recipe(tmp_path, "--actors", "--site", site_file(tmp_path, f"127.0.0.1:{port}"))
            watch = NodeWatch(at(port), check_every_s=0.0)
            watch.check()
        finally:
            stop(process)
    assert ended.code == 0, ended.err
    assert ended.json["steps"]["slow-map"]["made"] == local.json["steps"]["slow-map"]["made"] > 3
    assert made_of(tmp_path / "store") == made_of(tmp_path / "local")
    with pytest.raises(SiteError, match="does not answer"):
        watch.check()


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_an_address_that_does_not_answer(address: str, tmp_path: Path) -> None:
    address = address.format(free_port())
    start = time.monotonic()
    ended = run_user_recipe(tmp_path, "--site", site_file(tmp_path, address))
    assert ended.code == 5
    assert f"Ray at {address} does not answer" in ended.err
    assert "start it, or correct ray.address in the site file" in ended.err
    assert "Traceback" not in ended.err
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("address", ["nohost.invalid:6379", "127.0.0.1:http", "127.0.0.1:"])
def test_an_address_that_cannot_be_one(address: str) -> None:
    with pytest.raises(SiteError, match=r"does not answer .*correct ray\.address"), cluster(site_at(address)):
        pass


def test_another_server_listens_at_the_address() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(SiteError, match="something else listens there"), cluster(at(server.server_port)):
            pass
        server.shutdown()


def test_a_server_that_never_says_anything() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(SiteError, match=r"timed out.*correct ray\.address"), cluster(at(listener.getsockname()[1])):
            pass


def site_at(address: str) -> Site:
    return Site(ray=RaySite(address=address, connect_timeout_s=1))


def at(port: int) -> Site:
    return site_at(f"127.0.0.1:{port}")
