"""The pages of snapshots: the list with a form to push one, and one snapshot."""

from __future__ import annotations

from collections.abc import Callable

from flask import g, request
from werkzeug.wrappers import Response

from app.api.snapshots import push_archive
from app.http.problems import ApiProblem, FieldError
from app.snapshots.push import archive_name, changes_between
from app.web.shell import Page, back_to, render
from ledger.errors import ReachqError
from ledger.store import AppLedger
from netlab.facts.changes.document import NOUNS

SHOWN = 100


class SnapshotPages:
    """The pages `/snapshots` and `/snapshots/<facts>`."""

    def __init__(self, ledger: AppLedger) -> None:
        self._ledger = ledger

    def page(self) -> Response:
        """Show the newest snapshots."""
        return self._page()

    def _page(self, status: int = 200, *, error: str = "", errors: list[FieldError] | None = None) -> Response:
        return render(
            "snapshots.html",
            status,
            snapshots=self._ledger.snapshots(limit=SHOWN),
            error=error,
            errors=errors or [],
            note=request.form.get("note", "")[:200],
            me_may_push=g.identity.may("user"),
        )

    def push(self) -> Response:
        """Store the uploaded archive, and show the snapshot."""
        file = request.files.get("archive")
        if file is None or not file.filename:
            return self._page(422, error="archive: choose a tar archive of the routers’ facts")
        name = archive_name(file.filename.rpartition("/")[2])
        try:
            facts = push_archive(self._ledger, file.read(), name=name[:60], note=request.form.get("note", ""))
        except ApiProblem as bad:
            return self._page(bad.status, error=str(bad), errors=bad.errors)
        except ReachqError as bad:
            return self._page(422, error=str(bad))
        return back_to(f"/snapshots/{facts}")

    def one(self, facts: str) -> Response:
        """Show one snapshot."""
        return self._one(facts)

    def _one(self, facts: str, status: int = 200, *, error: str = "") -> Response:
        found = self._ledger.snapshot(facts)
        if found.facts != facts:
            return back_to(f"/snapshots/{found.facts}")
        return render(
            "snapshot.html",
            status,
            snapshot=found,
            current=self._ledger.current_snapshot(),
            error=error,
            me_may_use=g.identity.may("admin"),
        )

    def diff(self, facts: str) -> Response:
        """Show what changed from a snapshot to another one, by default to the current one."""
        before = self._ledger.snapshot(facts)
        after = self._ledger.snapshot(request.args.get("to", "current")[:12])
        found = changes_between(self._ledger, before.facts, after.facts)
        return render("snapshot_diff.html", before=before, after=after, found=found, nouns=NOUNS)

    def use(self, facts: str) -> Response:
        """Make a snapshot current."""
        return self._changed(facts, lambda: self._ledger.use_snapshot(facts, by=g.identity.name), "snapshot-used")

    def pin(self, facts: str) -> Response:
        """Pin a snapshot."""
        why = request.form.get("why", "")
        return self._changed(
            facts, lambda: self._ledger.pin_snapshot(facts, by=g.identity.name, why=why), "snapshot-pinned"
        )

    def unpin(self, facts: str) -> Response:
        """Remove the pin of a snapshot."""
        return self._changed(facts, lambda: self._ledger.unpin_snapshot(facts, by=g.identity.name), "snapshot-unpinned")

    def remove(self, facts: str) -> Response:
        """Remove a snapshot."""
        try:
            self._ledger.remove_snapshot(facts, by=g.identity.name)
        except ReachqError as bad:
            return self._one(facts, 422, error=str(bad))
        return back_to("/snapshots", "snapshot-removed")

    def _changed(self, facts: str, change: Callable[[], object], message: str) -> Response:
        try:
            change()
        except ReachqError as bad:
            return self._one(facts, 422, error=str(bad))
        return back_to(f"/snapshots/{facts}", message)

    def back(self, facts: str) -> Response:
        """Redirect to the snapshot from an address that only accepts forms."""
        return back_to(f"/snapshots/{self._ledger.snapshot(facts).facts}")

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        acts = [("use", self.use), ("pin", self.pin), ("unpin", self.unpin), ("remove", self.remove)]
        return [
            Page("GET", "/snapshots", "snapshots", self.page),
            Page("POST", "/snapshots", "snapshots_push", self.push, "user"),
            Page("GET", "/snapshots/<facts>", "snapshot", self.one),
            Page("GET", "/snapshots/<facts>/diff", "snapshot_diff", self.diff),
            *(
                Page("GET", f"/snapshots/<facts>/{name}", f"snapshot_{name}_page", self.back, "admin")
                for name, _ in acts
            ),
            *(Page("POST", f"/snapshots/<facts>/{name}", f"snapshot_{name}", view, "admin") for name, view in acts),
        ]
