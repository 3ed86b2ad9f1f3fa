"""Facts about other processes: command lines, variables and owners, including those that are not available."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from etui.host.processes import command_line, environment_variable, owner_name, process_ids, shares_network
from etui.host.user import user_name


def test_facts_about_a_process_of_this_user() -> None:
    arguments = [sys.executable, "-c", "import sys; print('ready', flush=True); sys.stdin.read()", "one two"]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"ETUI_TEST_X": "a=b"}
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        assert process.pid in process_ids() and command_line(process.pid) == arguments
        assert environment_variable(process.pid, "ETUI_TEST_X") == "a=b"
        assert environment_variable(process.pid, "ETUI_TEST") == ""
        assert owner_name(process.pid) == user_name() and shares_network(process.pid)
        process.communicate()


def test_facts_about_an_ended_process_and_without_proc(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    for pid, root in ((ended.pid, Path("/")), (os.getpid(), tmp_path)):
        assert command_line(pid, root) == [] and owner_name(pid, root) is None
        assert environment_variable(pid, "PATH", root) is None and shares_network(pid, root) is None
    assert process_ids(tmp_path) == []
