"""What is attacked and with what: drawn pictures, photographs if there are any, and their vectors by one encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.encoders import packs
from bench.encoders.builtin import tracked
from bench.encoders.packs import Encode
from bench.inversion.membership import Suspects, altered
from bench.inversion.pictures import Drawn, drawn
from bench.inversion.representations import Floats
from index.vectors.ann.signatures import SignatureEncoder
from service.encoder.alterations import Picture


@dataclass(frozen=True)
class Sizes:
    """Counts of pictures.

    - `training`: drawn by the attacker. `known`: those of them, the first, that are on the map, too.
    - `collection`: under attack. `reconstructed`: those of them, the first, that are decoded.
    - `suspects`: pictures in the collection, the first, and as many that are not, for membership.
    - `photographs`: at most, of each pack of ../shared; 0: none.
    """

    training: int = 4_000
    known: int = 1_000
    collection: int = 300
    reconstructed: int = 120
    suspects: int = 60
    photographs: int = 30


@dataclass(frozen=True)
class Scene:
    """All pictures.

    - `views`: another picture of each suspect that is in the collection.
    - `members`, `others`: the suspects by alteration, in the collection and not.
    """

    sizes: Sizes
    training: Drawn
    collection: Drawn
    views: list[Picture]
    members: Mapping[str, list[Picture]]
    others: Mapping[str, list[Picture]]
    photographs: list[Picture]


@dataclass(frozen=True)
class EncodedScene:
    """The vectors of all pictures by one encoder, and the signatures that its collection has."""

    encode: Encode
    training: Floats
    collection: Floats
    photographs: Floats
    suspects: Suspects
    signatures: SignatureEncoder


def drawn_scene(sizes: Sizes) -> Scene:
    """Draws all pictures, and reads photographs where there are any."""
    collection, suspects = drawn("collection", range(sizes.collection)), range(sizes.suspects)
    return Scene(
        sizes,
        drawn("training", range(sizes.training)),
        collection,
        drawn("collection", suspects, view=1).pictures,
        altered(collection.pictures[: sizes.suspects]),
        altered(drawn("others", suspects).pictures),
        photographs_of(sizes.photographs),
    )


def photographs_of(limit: int) -> list[Picture]:
    """Photographs of ../shared, an even subset of each pack; none where they are absent."""
    if not limit or not (packs.SHARED / "data").exists():
        return []
    return [*packs.clothing(limit).pictures[:limit], *packs.grocery(limit).pictures[-limit:]]


def encoded_scene(name: str, encode: Encode, scene: Scene) -> EncodedScene:
    """Encodes all pictures of a scene. Shows bars with the name of the encoder."""

    def vectors(title: str, pictures: list[Picture]) -> Floats:
        return tracked(f"{name}: {title}", encode)(pictures) if pictures else np.empty((0, 1), np.float32)

    suspects = Suspects(
        {edit: vectors(f"members, {edit}", pictures) for edit, pictures in scene.members.items()},
        {edit: vectors(f"others, {edit}", pictures) for edit, pictures in scene.others.items()},
        vectors("other views", scene.views),
    )
    collection = vectors("collection", scene.collection.pictures)
    return EncodedScene(
        encode,
        vectors("training", scene.training.pictures),
        collection,
        vectors("photographs", scene.photographs),
        suspects,
        SignatureEncoder.of_sample(collection),
    )
