"""The unchanged client of OpenAI gets embeddings of pictures from a real server."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

from service.tenancy.apikeys import Scope
from tests.support.data.pictures import encode, noise
from tests.support.servers.server import Server

if TYPE_CHECKING:  # importing it takes two seconds, which every process that collects the tests would spend
    import openai


def uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


@pytest.fixture
def vendor(server: Server, tenant_name: str) -> Iterator[openai.OpenAI]:
    import openai

    with openai.OpenAI(base_url=f"http://{server.http}/v1", api_key=server.key(tenant_name), max_retries=0) as made:
        yield made


def test_vectors_are_those_of_encode(server: Server, vendor: openai.OpenAI) -> None:
    import openai

    pictures = [encode(noise(seed), "PNG") for seed in (1, 2, 3)]
    (model,) = [m.id for m in vendor.models.list()]
    answer = vendor.embeddings.create(model=model, input=[uri(p) for p in pictures])
    numbers = vendor.embeddings.create(model=model, input=uri(pictures[1]), encoding_format="float")
    with server.client(vendor.api_key) as client:
        expected = [np.frombuffer(p.vector, "<f4") for p in client.encode(pictures)]
    assert [d.index for d in answer.data] == [0, 1, 2]
    for data, vector in zip(answer.data, expected, strict=True):
        np.testing.assert_allclose(
            data.embedding, vector, atol=1e-5
        )  # the last bit depends on what is encoded together
    np.testing.assert_allclose(numbers.data[0].embedding, expected[1], atol=1e-5)
    assert answer.model == model
    assert vendor.models.retrieve(model).id == model
    for missing in ("gpt-4", "a/b", "a:b", "é ?", "%2F"):
        with pytest.raises(openai.NotFoundError) as caught:
            vendor.models.retrieve(missing)
        assert caught.value.code == "MODEL_NOT_FOUND"


def test_a_hundred_at_once_and_one_of_a_single_pixel(vendor: openai.OpenAI) -> None:
    dot = uri(encode(noise(1, 1, 1), "PNG"))
    assert len(vendor.embeddings.create(model="", input=[dot] * 100).data) == 100


def test_bad_pictures_texts_and_keys_have_their_stated_errors(server: Server, vendor: openai.OpenAI) -> None:
    import openai

    good, cut = encode(noise(1), "PNG"), encode(noise(2), "PNG")[:200]
    with pytest.raises(openai.BadRequestError) as caught:
        vendor.embeddings.create(model="", input=[uri(good), uri(cut)])
    assert (caught.value.param, caught.value.code) == ("input[1]", "IMAGE_DAMAGED")
    assert caught.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError, match="has no text tower") as text:
        vendor.embeddings.create(model="", input=[uri(good), "a red shoe"])
    assert (text.value.param, text.value.code) == ("input[1]", "QUERY_UNSUPPORTED")
    assert "red shoe" not in text.value.message
    with pytest.raises(openai.NotFoundError) as unknown:
        vendor.embeddings.create(model="text-embedding-3-small", input=uri(good))
    assert (unknown.value.code, unknown.value.param) == ("MODEL_NOT_FOUND", "model")
    partial = vendor.embeddings.create(model="", input=[uri(cut), uri(good)], extra_body={"afterimage_partial": True})
    assert [d.embedding is None for d in partial.data] == [True, False]
    with pytest.raises(openai.AuthenticationError):
        vendor.with_options(api_key="none").models.list()


@pytest.mark.parametrize("missing", [Scope.SEARCH, Scope.EXPORT])
def test_both_scopes_are_needed(server: Server, tenant_name: str, missing: Scope) -> None:
    import openai

    key = server.key(tenant_name, [scope for scope in Scope if scope is not missing])
    with openai.OpenAI(base_url=f"http://{server.http}/v1", api_key=key, max_retries=0) as client:
        with pytest.raises(openai.PermissionDeniedError) as caught:
            client.embeddings.create(model="", input=uri(encode(noise(1), "PNG")))
        assert caught.value.code == "SCOPE_MISSING"
