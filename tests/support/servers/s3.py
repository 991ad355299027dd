"""A real S3 API on loopback."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

ACCESS = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "eu-central-1"}


@dataclass(frozen=True)
class S3:
    """A service with one bucket."""

    endpoint: str
    name: str
    client: Any

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a server that uses it."""
        return {
            "AFTERIMAGE_OBJECT_STORE": f"s3://{self.name}/afterimage",
            "AFTERIMAGE_OBJECT_STORE_ENDPOINT": self.endpoint,
            "AFTERIMAGE_OBJECT_STORE_REGION": "eu-central-1", "AFTERIMAGE_OBJECT_STORE_ACCESS_KEY": "a",
            "AFTERIMAGE_OBJECT_STORE_SECRET_KEY": "b",
        }  # fmt: skip

    def names(self) -> list[str]:
        """Names of all objects in the bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def objects(self) -> dict[str, bytes]:
        """All objects in the bucket."""
        return {n: self.client.get_object(Bucket=self.name, Key=n)["Body"].read() for n in self.names()}


@contextlib.contextmanager
def s3() -> Iterator[S3]:
    """Runs a service."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        client = boto3.client("s3", endpoint_url=endpoint, **ACCESS)
        name = f"pictures-{secrets.token_hex(4)}"
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield S3(endpoint, name, client)
    finally:
        server.stop()
