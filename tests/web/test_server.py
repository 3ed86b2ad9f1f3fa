"""``etui web`` over its websocket: what it draws, whom it refuses, and how its processes end."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import psutil
import pytest
from aiohttp import WSServerHandshakeError

from tests.documents import encode_documents
from tests.machines import Machine, until
from tests.tui.benches import make_documents
from tests.web.serving import Served, served, start_tiny_run, tab

NAME = 'it\'s "a" $(touch here); database.db'


@pytest.fixture(scope="module")
def server(warm_machine: Machine) -> Iterator[Served]:
    """Serve a database whose name a shell would take apart."""
    database, exported = warm_machine.folder / NAME, warm_machine.folder / "runs.json"
    exported.write_bytes(encode_documents(make_documents(6)))
    warm_machine.etui("--db", database, "import", exported)
    with served(warm_machine, before=("--db", database)) as running:
        yield running


async def _status(server: Served, path: str, **headers: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(urljoin(server.address, path), headers=headers) as answer,
    ):
        return answer.status


async def _refusal(server: Served, **headers: str) -> int:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(WSServerHandshakeError) as refused:
            await session.ws_connect(f"{server.address}ws", headers=headers)
    return refused.value.status


@pytest.mark.slow
@pytest.mark.asyncio
async def test_two_runs_are_compared_with_keys(server: Served) -> None:
    async with tab(server) as opened:
        await opened.shows("Runs 6", "mobilenet_v2")
        await opened.press("space")
        await opened.shows("1 marked")
        await opened.press("down", "space")
        await opened.shows("2 marked")
        await opened.press("c")
        await opened.shows("baseline", "faster")


@pytest.mark.slow
@pytest.mark.shared_programs
@pytest.mark.asyncio
async def test_a_run_is_started_with_keys_and_shown_live(machine: Machine) -> None:
    with served(machine) as running:
        async with tab(running) as opened:
            await start_tiny_run(opened)
            await opened.shows("block 1 of")
            await opened.shows("fp32/xnnpack: done", " idle ")
            drawn = opened.screen
        async with tab(running) as opened:
            await opened.shows("Runs 2", "tiny-convolutional")
    assert [run["status"] for run in machine.summaries()] == ["done", "done"]
    # The signals to a terminal (bell, title, notification) mean nothing to a browser; shapes of the pointer do.
    assert drawn.bells == 0 and all(command.startswith("\x1b]22;") for command in drawn.osc)


@pytest.mark.asyncio
async def test_the_screen_has_the_size_of_the_tab(server: Served) -> None:
    async with tab(server, 90, 30) as opened:
        await opened.shows("quit")
        lines = opened.screen.text.split("\n")
        assert (len(lines), max(map(len, lines))) == (30, 90)
        await opened.socket.send_json(["resize", {"width": 120, "height": 40}])
        await opened.until(lambda: len(opened.screen.text.split("\n")) == 40, "the screen keeps its size")
    # The server is shared: the next test counts its apps.
    until(lambda: not server.apps())


@pytest.mark.slow
@pytest.mark.asyncio
async def test_the_screen_is_unicode_whatever_the_terminal_of_the_server_is(machine: Machine) -> None:
    with served(machine, LC_ALL="C", TERM="dumb") as running:
        async with tab(running) as opened:
            await opened.shows("╭─ New run")


@pytest.mark.asyncio
@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null", None])
async def test_a_page_of_another_origin_gets_no_app(server: Served, origin: str | None) -> None:
    assert await _refusal(server, **({} if origin is None else {"Origin": origin})) == 403
    assert server.apps() == []


@pytest.mark.asyncio
async def test_a_foreign_name_that_resolves_to_this_machine_is_refused(server: Served) -> None:
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert await _refusal(server, **rebound) == 403
    assert await _status(server, "", **rebound) == 403
    assert await _status(server, "", Host="localhost:9000") == 200


@pytest.mark.asyncio
async def test_nothing_is_served_without_the_key(server: Served) -> None:
    for path in ("/", "/ws", "/static/js/textual.js", "/page/page.js", "/wrong/", "/wrong/ws"):
        assert await _status(server, path) == 403


@pytest.mark.asyncio
async def test_everything_that_the_page_loads_is_its_own(server: Served) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(server.address) as answer:
            page = await answer.text()
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        async with session.get(urljoin(server.address, "page/page.css")) as answer:
            style = await answer.text()
    loaded = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page)
    loaded += [f"page/{address}" for address in re.findall(r'url\("([^"]+)"\)', style)]
    assert len(loaded) >= 6
    for address in loaded:
        assert ":" not in address and await _status(server, address) == 200, address


@pytest.mark.slow
@pytest.mark.asyncio
async def test_the_app_ends_with_its_tab(server: Served) -> None:
    async with tab(server), tab(server):
        assert len(server.apps()) == 2
    until(lambda: not server.apps())
    assert server.process.poll() is None


@pytest.mark.asyncio
async def test_the_tab_is_closed_when_the_app_ends(server: Served) -> None:
    async with tab(server) as opened:
        await opened.press("q")
        await opened.closed()
    until(lambda: not server.apps())


@pytest.mark.asyncio
@pytest.mark.parametrize("message", ["{", "[]", "7", '["stdin"]', '["resize", 3]'])
async def test_a_message_that_no_page_sends_closes_its_tab_only(server: Served, message: str) -> None:
    async with tab(server) as opened:
        await opened.socket.send_str(message)
        assert await opened.closed() == 1003
    until(lambda: not server.apps())
    assert server.process.poll() is None


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_stopped_server_ends_its_apps(machine: Machine, how: signal.Signals) -> None:
    with served(machine) as running:
        async with tab(running) as opened:
            [app] = running.apps()
            running.process.send_signal(how)
            assert await opened.closed() == 1001
        status, stderr = running.stop()
    assert (status, "Traceback" in stderr) == (0, False)
    assert not app.is_running()


@pytest.mark.slow
@pytest.mark.asyncio
async def test_apps_of_a_killed_server_end(machine: Machine) -> None:
    with served(machine) as running:
        async with tab(running):
            [app] = running.apps()
            running.stop(signal.SIGKILL)
        psutil.wait_procs([app], timeout=60)
    assert not app.is_running() or app.status() == psutil.STATUS_ZOMBIE


def test_an_address_that_other_machines_reach_comes_with_a_warning(machine: Machine) -> None:
    with served(machine, "--host", "0.0.0.0") as running:
        assert running.origin.startswith(f"http://{socket.gethostname()}:")
        _, stderr = running.stop()
    [warning] = [line for line in stderr.splitlines() if "warning" in line]
    assert "ssh -L" in warning and "TLS" in warning
    with served(machine) as running:
        _, stderr = running.stop()
    assert "warning" not in stderr


def test_an_occupied_port_is_one_line(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = machine.etui("web", "--port", port, status=2)
    assert port in done.stderr and "--port" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a" * 70, ""])
def test_a_host_that_is_not_of_this_machine_is_one_line(machine: Machine, host: str) -> None:
    done = machine.etui("web", "--host", host, "--port", "0", status=2)
    assert "--host" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("missing", ["textual_serve", "aiohttp"])
def test_the_package_to_install_is_named(machine: Machine, tmp_path: Path, missing: str) -> None:
    package = tmp_path / "hidden" / missing
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"raise ModuleNotFoundError('No module', name={missing!r})\n")
    path = [str(package.parent), machine.environment.get("PYTHONPATH", "")]
    done = machine.etui("web", status=2, PYTHONPATH=":".join(filter(None, path)))
    assert "pip install textual-serve" in done.stderr and len(done.stderr.splitlines()) == 1
