"""Makes the folder of `reachq up --network` the current snapshot: `python -m app.launch.first_facts`. Then it ends."""

from __future__ import annotations

import sys
import time

from app.snapshots.push import problems_of, push_path, wait_for_check
from ledger.errors import ReachqError, StoreUnavailable
from ledger.settings import load_settings
from ledger.snapshots.records import SnapshotState
from ledger.store import AppLedger
from netlab.errors import NetlabError
from netlab.facts.sample import network_folder

BY = "up"
"""The user that events and lists name."""
RETRY_S = 0.05
_BAD_FACTS = 2


def main() -> int:
    """Push the folder. Return the exit code: 2 for facts that cannot be used."""
    settings = load_settings()
    try:
        with AppLedger.connect(settings) as ledger:
            current = _current(ledger)
            pushed = push_path(ledger, network_folder(settings.network), by=BY)
            if pushed.facts == current:
                return 0
            snapshot = wait_for_check(ledger, pushed.facts)
            if snapshot.state is SnapshotState.REFUSED:
                raise problems_of(snapshot)
            ledger.use_snapshot(pushed.facts, by=BY)
            return 0
    except NetlabError as bad:
        print(f"the facts cannot be used:\n{bad}", file=sys.stderr)
        return _BAD_FACTS
    except ReachqError as error:
        print(error, file=sys.stderr)
        return 1


def _current(ledger: AppLedger) -> str:
    """Return the current snapshot, when Redis answers."""
    while True:
        try:
            ledger.vet(lambda warning: None)
            return ledger.current_snapshot()
        except StoreUnavailable:
            time.sleep(RETRY_S)


if __name__ == "__main__":
    sys.exit(main())
