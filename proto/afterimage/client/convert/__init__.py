"""Conversion between the client's values and protobuf messages."""

from afterimage.client.convert.attributes import (
    attribute_value,
    fill_parameters,
    to_attribute_value,
    to_value,
)
from afterimage.client.convert.collections import (
    from_policy,
    learning,
    to_calibration,
    to_collection,
    to_policy,
)
from afterimage.client.convert.queries import (
    Query,
    duplicates_request,
    facet_over,
    object_search,
    picture_input,
    query_terms,
)
from afterimage.client.convert.records import (
    record_input,
    record_patch,
    to_failure,
    to_record,
    to_result,
    to_sample,
)
from afterimage.client.convert.search_results import (
    to_comparison,
    to_duplicate_group,
    to_encoded,
    to_encoded_text,
    to_picture_objects,
    to_ranked,
    to_search_result,
)
from afterimage.client.convert.server import to_server_info

__all__ = [
    "Query",
    "attribute_value",
    "duplicates_request",
    "facet_over",
    "fill_parameters",
    "from_policy",
    "learning",
    "object_search",
    "picture_input",
    "query_terms",
    "record_input",
    "record_patch",
    "to_attribute_value",
    "to_calibration",
    "to_collection",
    "to_comparison",
    "to_duplicate_group",
    "to_encoded",
    "to_encoded_text",
    "to_failure",
    "to_picture_objects",
    "to_policy",
    "to_ranked",
    "to_record",
    "to_result",
    "to_sample",
    "to_search_result",
    "to_server_info",
    "to_value",
]
