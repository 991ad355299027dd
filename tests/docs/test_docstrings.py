"""The measure of the docstrings' prose."""

from pathlib import Path

import pytest

from docs import docstrings, prose

SOURCE = '''
"""The module."""

class Shown:
    """A class.

    - `value`: a list item without a stop
    - `other`: an item that is a sentence.
    """

    def run(self) -> None:
        """A method. It has two sentences."""

        def inner() -> None:
            """Not public."""

    def _hidden(self) -> None:
        """Not public."""

class _Hidden:
    """Not public."""

    def run(self) -> None:
        """Not public."""

async def work() -> None:
    """A coroutine."""

def silent() -> None:
    pass
'''


def test_docstrings_of_public_names_are_found_with_their_names() -> None:
    found = dict(docstrings.docstrings(SOURCE))
    assert list(found) == ["", "Shown", "Shown.run", "work"]
    assert found["Shown.run"] == "A method. It has two sentences."
    assert [s.words for s in prose.sentences(found["Shown"])] == [2, 7]


@pytest.mark.parametrize(
    ("path", "room"),
    [
        ("index/__init__.py", "index"),
        ("service/app.py", "service"),
        ("service/intake/colour.py", "service/intake"),
        ("service/intake/codecs/png.py", "service/intake"),
    ],
)
def test_a_room_is_a_folder_directly_below_a_root(path: str, room: str) -> None:
    assert docstrings.room_of(docstrings.ROOT / path) == room


def test_long_sentences_fail_unless_their_room_is_allowed_and_long_averages_always_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docstrings, "ROOT", tmp_path)
    module = tmp_path / "service" / "room" / "module.py"
    module.parent.mkdir(parents=True)

    def measured(docstring: str) -> int:
        module.write_text(f'"""{docstring}"""\n')
        return docstrings.main()

    short, longest = "Short sentence. " * 4, "Word " + "word " * (prose.LONGEST - 2) + "end."
    assert measured(short + longest) == 0
    assert measured(short + "More " + longest) == 1
    assert f"service/room/module.py: a sentence of {prose.LONGEST + 1} words" in capsys.readouterr().err
    monkeypatch.setattr(docstrings, "ALLOWED", frozenset({"service/room"}))
    assert measured(short + "More " + longest) == 0
    assert measured(("Word " + "word " * (prose.AVERAGE - 1) + "end. ") * 3) == 1
    assert "service/room: 21.0 words a sentence on average" in capsys.readouterr().err


def test_the_docstrings_of_the_project_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert docstrings.main() == 0, capsys.readouterr().err
    assert docstrings.measured().keys() >= docstrings.ALLOWED
