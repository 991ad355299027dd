"""Commands of the documents, as tests run them."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def commands(page: str, heading: str = "", language: str = "bash") -> list[str]:
    """The code blocks of a language on a page of docs/, or below one of its headings, in order."""
    text = (DOCS / page).read_text()
    if heading:
        found = re.search(rf"^#+ {re.escape(heading)}$\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
        assert found is not None, f"{page} has no heading {heading}"
        text = found[1]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
