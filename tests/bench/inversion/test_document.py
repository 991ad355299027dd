import json

import pytest

from bench.inversion import document

RESULT = json.loads(document.RESULT.read_text())
ENCODERS = list(RESULT["encoders"].values())


def test_the_tables_stand_in_their_place_and_the_rest_of_the_page_stays() -> None:
    page = f"before\n{document.BEGIN}\nstale\n{document.END}\nafter\n"
    made = document.render(page)
    assert made.startswith(f"before\n{document.BEGIN}\n")
    assert made.endswith(f"\n{document.END}\nafter\n")
    assert "stale" not in made
    assert document.render(made) == made
    with pytest.raises(ValueError, match="no place for tables"):
        document.render("a page")


@pytest.mark.parametrize("found", ENCODERS)
def test_what_the_page_says_of_pictures_is_what_was_measured(found: dict) -> None:  # type: ignore[type-arg]
    rows = found["reconstruction"]["drawn"]
    assert rows["vector"]["psnr"] > rows["mean picture"]["psnr"]
    assert abs(rows["int8 vector"]["psnr"] - rows["vector"]["psnr"]) < 0.2
    assert rows["vector"]["pixels R@10"] > 4 * rows["mean picture"]["pixels R@10"]


@pytest.mark.parametrize("found", ENCODERS)
def test_what_the_page_says_of_attributes_and_membership_is_what_was_measured(found: dict) -> None:  # type: ignore[type-arg]
    for by_attribute in found["attributes"].values():
        assert document.told(by_attribute["family"]) > RESULT["guessed"]["family"]
    for by_edit in found["membership"].values():
        assert by_edit["unaltered"]["auc"] > 0.99
