"""The glossary page: the terms of reachq, each explained in one or two sentences."""

from __future__ import annotations

from werkzeug.wrappers import Response

from app.glossary import WORDS
from app.web.shell import Page, render


class GlossaryPage:
    """The page `/docs/glossary`."""

    def page(self) -> Response:
        """Show the table of terms."""
        return render("glossary.html", words=WORDS)

    def pages(self) -> list[Page]:
        """Return the addresses of these pages."""
        return [Page("GET", "/docs/glossary", "glossary", self.page)]
