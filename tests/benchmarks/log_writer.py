"""Write log lines into a database like a runner that works on a session, until terminated."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

from etui.events import Event, utc_now
from etui.host.user import user_name
from etui.store import RunnerIdentity, Store
from tests.documents import MODEL, make_spec


def main(database: Path, stage: str, lines_a_second: int) -> None:
    """Write one transaction per line, evenly distributed, in this stage of the work."""
    with Store.open(database) as store:
        session = store.add_session(make_spec(), model=MODEL, box=socket.gethostname())
        owner = RunnerIdentity(pid=os.getpid(), host=socket.gethostname(), user=user_name(), started_at=utc_now())
        assert store.claim_next(owner) is not None
        run_id = session.runs[0][0]
        store.set_status(run_id, "measuring" if stage == "measure" else "preparing")
        store.add_event(session.id, Event(kind="stage", message="a made-up stage", at=utc_now(), stage=stage))
        database.with_name("ready").touch()
        began, written = time.monotonic(), 0
        while True:
            written += 1
            line = f"line {written}: text of a compiler about one of very many operators"
            store.add_event(session.id, Event(kind="log", message=line, at=utc_now(), stage=stage, run_id=run_id))
            time.sleep(max(0.0, began + written / lines_a_second - time.monotonic()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
