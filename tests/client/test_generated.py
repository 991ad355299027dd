"""The client's synchronous half is made of its asynchronous one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import afterimage.client

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sync_client", ROOT / "proto" / "sync_client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_synchronous_client_is_what_the_generator_makes(generator: ModuleType) -> None:
    assert generator.sync_source(generator.SOURCE.read_text()) == generator.TARGET.read_text()


def test_both_clients_have_the_same_methods_with_the_same_signatures_and_texts() -> None:
    one, other = vars(afterimage.client.Client), vars(afterimage.client.AsyncClient)
    public = {n for n in other if not n.startswith("_")}
    assert public == {n for n in one if not n.startswith("_")}
    assert len(public) > 60
    for name in public:
        assert one[name].__doc__ == other[name].__doc__, name
        parameters = [list(m[name].__code__.co_varnames[: m[name].__code__.co_argcount]) for m in (one, other)]
        assert parameters[0] == parameters[1], name


def test_the_generator_takes_out_what_is_asynchronous_and_leaves_texts_alone(generator: ModuleType) -> None:
    texts = "\n".join(generator._TEXTS)
    source = (
        f"{texts}\n"
        "class AsyncClient:\n"
        "    async def pages(self, n: int) -> AsyncIterator[int]:\n"
        '        """To await: async words in a text stay."""\n'
        "        async with self.open() as page, await self.lock():\n"
        "            async for row in page:\n"
        "                yield await row\n"
    )
    made = generator.sync_source(source)
    assert "class Client:\n    def pages(self, n: int) -> Iterator[int]:\n" in made
    assert '"""To await: async words in a text stay."""' in made
    assert "with self.open() as page, self.lock():\n            yield from page\n" in made


@pytest.mark.parametrize("left", ["asyncio.sleep(1)", "grpc.aio.insecure_channel", "async_thing()"])
def test_the_generator_refuses_what_has_no_synchronous_name(generator: ModuleType, left: str) -> None:
    with pytest.raises(ValueError, match="no synchronous name"):
        generator.sync_source("\n".join(generator._TEXTS) + f"\n{left}\n")
    with pytest.raises(ValueError, match="has no"):
        generator.sync_source(left)
