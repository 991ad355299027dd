"""The measure of the documents' prose."""

from pathlib import Path

import pytest

from docs import prose


def lengths(markdown: str) -> list[int]:
    return [sentence.words for sentence in prose.sentences(markdown)]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("One two three. Four five.", [3, 2]),
        ("One line\nand its second. Then `code` again.", [5, 3]),
        ("See [the long link](docs/a-page.md) now.", [5]),
        ("A recall of 0.95 is measured. 40 rows are enough!", [6, 4]),
        ("Use a program, e.g. Redis, here.", [6]),
        ("It ends with a colon:", [5]),
        ("- First item has words.\n- Second item.\n", [4, 2]),
        ("1. First step is here.\n   It goes on.\n2. Second step.\n", [4, 3, 2]),
        ("**Bold ends here.** Then more words.", [3, 3]),
    ],
)
def test_sentences_are_split_and_counted(markdown: str, expected: list[int]) -> None:
    assert lengths(markdown) == expected


@pytest.mark.parametrize(
    "markdown",
    [
        "# A heading that ends with a stop.",
        "| a cell | of a table. |\n|---|---|\n",
        "```sh\nrun this. And that.\n```\n",
        "![A picture of it.](images/a.svg)",
        "- `one`, `two`\n- a value\n",
        "<!-- A comment. -->",
    ],
)
def test_what_is_not_prose_does_not_count(markdown: str) -> None:
    assert lengths(markdown) == []


def test_code_between_paragraphs_ends_a_sentence() -> None:
    assert lengths("Run this:\n```sh\nmake.\n```\nIt takes a minute.") == [2, 4]


def test_long_sentences_and_long_averages_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    page = tmp_path / "README.md"
    page.write_text("Short sentence. " * 4 + "Word " + "word " * (prose.LONGEST - 2) + "end.")
    assert prose.main() == 0
    page.write_text("Short sentence. " * 4 + "Word " + "word " * (prose.LONGEST - 1) + "end.")
    assert prose.main() == 1
    assert f"README.md: a sentence of {prose.LONGEST + 1} words" in capsys.readouterr().err
    page.write_text(("Word " + "word " * (prose.AVERAGE - 1) + "end. ") * 3)
    assert prose.main() == 1
    assert "README.md: 21.0 words a sentence on average" in capsys.readouterr().err
