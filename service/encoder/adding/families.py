"""How families of models want their pictures: what their makers' own preprocessing does, as fields of a manifest.

No graph says this about itself. The family is recognised by names of weights and nodes, or by the name of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from service.encoder.manifest import Triple

_IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP: tuple[Triple, Triple] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_HALF: tuple[Triple, Triple] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # to -1 to 1
_POOLED = ("image_embeds", "pooler_output")


@dataclass(frozen=True)
class Family:
    """How the models of one family want their pictures, and by what a model of it is recognised.

    - `normalisation`: mean and deviation of each channel, for pixels of 0 to 1.
    - `size`: side of the input in pixels, where the graph leaves it open.
    - `outputs`: names to look for, the best first.
    - `graph_marks`: sets of texts; the names in a graph of this family contain all of one set.
    - `file_marks`: texts of which the file's name contains one.
    """

    normalisation: tuple[Triple, Triple]
    resize: Literal["stretch", "crop"]
    crop_fraction: float = 1.0
    size: int = 224
    outputs: tuple[str, ...] = _POOLED
    graph_marks: tuple[tuple[str, ...], ...] = ()
    file_marks: tuple[str, ...] = ()


# In this order: a later family may contain the marks of an earlier one.
FAMILIES: Mapping[str, Family] = {
    "marqo-ecommerce": Family(_HALF, "stretch", file_marks=("marqo",)),
    "siglip2": Family(_HALF, "stretch", file_marks=("siglip2", "siglip-2")),
    "siglip": Family(
        _HALF, "stretch", graph_marks=(("head.probe",), ("trunk", "attn_pool")), file_marks=("siglip",)
    ),
    "dinov3": Family(
        _IMAGENET, "stretch", outputs=("pooler_output", "last_hidden_state"),
        graph_marks=(("register_tokens", "rope"),), file_marks=("dinov3",),
    ),
    "dinov2": Family(
        _IMAGENET, "crop", 0.875, outputs=("pooler_output", "last_hidden_state"),
        graph_marks=(("layer_scale", "cls_token", "patch_embeddings"), ("blocks", "ls1.gamma", "patch_embed")),
        file_marks=("dino",),
    ),
    "clip": Family(
        _CLIP, "crop", outputs=("image_embeds", "image_features", "pooler_output"),
        graph_marks=(("pre_layrnorm",), ("visual_projection",), ("visual.ln_pre", "visual.conv1")),
        file_marks=("clip",),
    ),
    "imagenet": Family(
        _IMAGENET, "crop", 0.875,
        graph_marks=(("features.0.0.",), ("layer1.0.conv1",), ("stages.0.", "stem")),
        file_marks=("resnet", "efficientnet", "convnext", "regnet", "timm"),
    ),
    "mobilenet": Family(
        _HALF, "stretch", graph_marks=(("mobilenetv2.",), ("conv_stem.first_conv",)), file_marks=("mobilenet",)
    ),
}  # fmt: skip
FALLBACK = "imagenet"


@dataclass(frozen=True)
class Recognised:
    """name: of the family. by: what it was recognised by, for people; empty: by nothing, it is the fallback."""

    name: str
    by: str

    @property
    def family(self) -> Family:
        """How its models want their pictures."""
        return FAMILIES[self.name]


def recognise(graph_names: str, file_name: str) -> Recognised:
    """The family of a model. `graph_names`: all names of weights, nodes and outputs, in lower case.

    Where an export folds weights, the names of layers are left in those of nodes, as in `/features/features.0/Conv`.
    """
    graph_names = graph_names.replace("/", ".")
    for name, family in FAMILIES.items():
        if any(mark in file_name.lower() for mark in family.file_marks if name not in ("imagenet", "mobilenet")):
            return Recognised(name, "the name of the file")
    for name, family in FAMILIES.items():
        found = next((marks for marks in family.graph_marks if all(m in graph_names for m in marks)), None)
        if found is not None:
            return Recognised(name, f"names in the graph ({', '.join(found)})")
    for name, family in FAMILIES.items():
        if any(mark in file_name.lower() for mark in family.file_marks):
            return Recognised(name, "the name of the file")
    return Recognised(FALLBACK, "")
