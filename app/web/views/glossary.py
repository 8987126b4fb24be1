"""The glossary: the words of reachq, each explained in one sentence or two."""

from __future__ import annotations

from werkzeug.wrappers import Response

from app.glossary import WORDS
from app.web.shell import Page, render


class GlossaryPage:
    """`/docs/glossary`."""

    def page(self) -> Response:
        """The table."""
        return render("glossary.html", words=WORDS)

    def pages(self) -> list[Page]:
        """What this offers."""
        return [Page("GET", "/docs/glossary", "glossary", self.page)]
