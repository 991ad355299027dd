"""What a result says of a picture that was used all the same, and collections that take pictures that are truncated."""

from pathlib import Path

import pytest

from afterimage.client import Client, InvalidArgument, NewRecord, PictureNote
from tests.support.data.pictures import encode, noise
from tests.support.made_pictures.pngs import with_damaged_profile
from tests.support.servers.server import Server
from tests.support.servers.shell import Shell

DAMAGED_PROFILE = with_damaged_profile(noise(1))
WHOLE = encode(noise(1), "JPEG", quality=95)
CUT = WHOLE[: len(WHOLE) * 2 // 3]


def reasons(notes: tuple[PictureNote, ...]) -> list[str]:
    assert all(note.message for note in notes)
    return [note.reason for note in notes]


def test_a_profile_that_is_ignored_is_said_wherever_the_picture_is_encoded(client: Client) -> None:
    client.create_collection("c")
    damaged, plain = client.insert("c", [NewRecord("1", image=DAMAGED_PROFILE), NewRecord("2", image=WHOLE)])
    assert (damaged.outcome, reasons(damaged.notes)) == ("created", ["PROFILE_IGNORED"])
    assert (plain.outcome, plain.notes) == ("created", ())
    found = client.search("c", DAMAGED_PROFILE)
    assert reasons(found.notes) == ["PROFILE_IGNORED"]
    assert found.hits[0].distance < 0.001
    assert client.search("c", WHOLE).notes == ()
    encoded = client.encode([DAMAGED_PROFILE, WHOLE])
    assert [reasons(e.notes) for e in encoded] == [["PROFILE_IGNORED"], []]


def test_a_picture_that_is_cut_short_is_refused_unless_the_collection_takes_it(client: Client) -> None:
    assert client.create_collection("strict").partial is False
    assert client.create_collection("lenient", partial=True).partial is True
    (refused,) = client.insert("strict", [NewRecord("1", image=CUT)])
    assert refused.error is not None
    assert refused.error.reason == "IMAGE_DAMAGED"
    taken, whole = client.insert("lenient", [NewRecord("1", image=CUT), NewRecord("2", image=WHOLE)])
    assert (taken.outcome, reasons(taken.notes)) == ("created", ["PICTURE_INCOMPLETE"])
    assert whole.notes == ()
    with pytest.raises(InvalidArgument, match="truncated"):
        client.search("strict", CUT)
    found = client.search("lenient", CUT)
    assert (found.hits[0].record_id, reasons(found.notes)) == ("1", ["PICTURE_INCOMPLETE"])


def test_whether_a_collection_takes_them_can_be_changed_and_is_kept(client: Client) -> None:
    client.create_collection("c")
    assert client.update_collection("c", partial=True).partial is True
    assert client.update_collection("c", description="more").partial is True
    assert client.insert("c", [NewRecord("1", image=CUT)])[0].outcome == "created"
    assert client.update_collection("c", partial=False).partial is False
    assert client.insert("c", [NewRecord("2", image=CUT)])[0].outcome == "failed"


def test_the_commands_set_it_and_tell_of_notes(
    server: Server, tenant_name: str, client: Client, tmp_path: Path
) -> None:
    shell = Shell(server, tenant_name, tmp_path / "state")
    (tmp_path / "1.jpg").write_bytes(CUT)
    shell.run("collections", "create", "c")
    shell.run("insert", "c", str(tmp_path / "1.jpg"), code=3)
    shell.run("collections", "update", "c", "--partial")
    assert "PICTURE_INCOMPLETE" in shell.run("insert", "c", str(tmp_path / "1.jpg"))
    assert client.get_collection("c").partial is True
