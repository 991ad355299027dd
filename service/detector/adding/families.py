"""How families of detectors want their pictures, and what their numbers mean: what no graph says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from service.encoder.manifest import Triple

Kind = Literal["yolo", "detr", "ssd"]
_IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class DetectorFamily:
    """How the detectors of one family want their pictures, and by what a model of it is recognised.

    - `kind`: of its outputs. `size`: side of the input in pixels, where the graph leaves it open.
    - `normalisation`: mean and deviation of each channel, for pixels of 0 to 1; None: they stay as they are.
    - `score_function`: of `detr`. `first_class`, `box_format`: of `ssd`.
    - `graph_marks`, `file_marks`: texts; the names in a graph, or the name of the file, contain one of them.
    """

    kind: Kind
    size: int
    resize: Literal["stretch", "pad"] = "stretch"
    normalisation: tuple[Triple, Triple] | None = None
    score_function: Literal["softmax", "sigmoid"] = "softmax"
    first_class: int = 0
    box_format: Literal["", "xyxy", "yxyx"] = ""
    graph_marks: tuple[str, ...] = ()
    file_marks: tuple[str, ...] = ()


# In this order; of each kind the last one is meant where nothing tells.
FAMILIES: Mapping[str, DetectorFamily] = {
    "yolo": DetectorFamily("yolo", 640, "pad"),
    "rt-detr": DetectorFamily(
        "detr", 640, score_function="sigmoid", graph_marks=("rtdetr", "rt_detr", "d_fine", "dfine"),
        file_marks=("rtdetr", "rt-detr", "rt_detr", "d-fine", "dfine", "d_fine"),
    ),
    "deformable-detr": DetectorFamily(
        "detr", 800, normalisation=_IMAGENET, score_function="sigmoid",
        graph_marks=("sampling_offsets", "ca_qcontent_proj"),
        file_marks=("deformable", "conditional", "rfdetr", "rf-detr"),
    ),
    "detr": DetectorFamily("detr", 800, normalisation=_IMAGENET),
    "tensorflow": DetectorFamily(
        "ssd", 320, first_class=1, box_format="yxyx", graph_marks=("detection_boxes",), file_marks=("tf2",)
    ),
    "torchvision": DetectorFamily(
        "ssd", 320, first_class=1, graph_marks=("/roi_heads", "/rpn", "/head/classification_head"),
        file_marks=("torchvision", "fasterrcnn", "ssdlite", "ssd300", "retinanet", "fcos"),
    ),
    "ssd": DetectorFamily("ssd", 320),
}  # fmt: skip


@dataclass(frozen=True)
class Recognised:
    """name: of the family. by: what it was recognised by, for people; empty: by nothing, it is the usual one."""

    name: str
    by: str

    @property
    def family(self) -> DetectorFamily:
        """How its models want their pictures."""
        return FAMILIES[self.name]


def recognise(kind: Kind, graph_names: str, file_name: str) -> Recognised:
    """The family of a model whose outputs are of this kind. `graph_names`: of weights, nodes and outputs, in lower
    case."""
    families = {name: family for name, family in FAMILIES.items() if family.kind == kind}
    for name, family in families.items():
        if mark := next((m for m in family.file_marks if m in file_name.lower()), ""):
            return Recognised(name, f"the name of the file ({mark})")
    for name, family in families.items():
        if mark := next((m for m in family.graph_marks if m in graph_names), ""):
            return Recognised(name, f"names in the graph ({mark})")
    return Recognised(list(families)[-1], "")
