"""A queue that belongs to another user can be listed, but its work is not executed with the rights of the reader."""

from __future__ import annotations

import os
import socket

import pytest

from etui.catalog.find import describe, find_model
from etui.host.user import user_name
from etui.results import LIVE_STATUSES
from etui.spec import SessionSpec, Variant
from etui.store import RunnerIdentity, Store
from tests.imported_runs import planted
from tests.machines import Machine

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can open the files of another user")


def test_queue_of_another_user_is_not_executed(machine: Machine) -> None:
    code, marker = planted(machine.folder)
    spec = SessionSpec(model=f"{code}:make", variants=(Variant("fp32", "xnnpack"),))
    gone = RunnerIdentity(pid=2**22 + 1, host=socket.gethostname(), user=user_name(), started_at="2026-11-20T10:00:00Z")
    with Store.open(machine.database) as store:
        for _ in range(2):
            store.add_session(spec, model=describe(find_model(spec.model)), box="")
        # One that a runner of this user seems to have abandoned, so that the queued session would get another runner.
        assert store.claim_next(gone) is not None
    os.chown(machine.database, NOBODY, NOBODY)
    listed = machine.etui("runs")
    assert "planted" in listed.stdout
    for command in (["run", f"{code}:make"], ["run", f"{code}:make", "--detach"]):
        assert "nobody" in machine.etui(*command, status=3).stderr
    assert not machine.processes() and not marker.exists()
    with Store.open(machine.database) as store:
        assert store.count() == 2
        assert {store.summary(run_id).status for run_id in store.run_ids()} <= {*LIVE_STATUSES, "interrupted"}
