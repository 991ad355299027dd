"""Displays the result of `afterimage sync preview`."""

from __future__ import annotations

from afterimage.client import FeedColumn, FeedPreview
from service.cli.output import print_fields, print_table

_DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}


def show_preview(seen: FeedPreview) -> None:
    """Columns, items, values left out of items, and unusable items."""
    about = {"format": seen.format, "encoding": seen.encoding}
    if seen.delimiter:
        about["delimiter"] = _DELIMITERS.get(seen.delimiter, seen.delimiter)
    print_fields(about)
    for note in seen.notes:
        print(f"Note: {note}")
    if seen.columns:
        columns = [(c.name, _meaning(c), "\n".join(c.samples), c.item_count) for c in seen.columns]
        print_table(["column", "interpreted as", "samples", "items"], columns)
    items = [(i.line, i.item_id, i.product_id, "\n".join(i.pictures), i.attributes) for i in seen.items]
    print_table(["line", "id", "product", "pictures", "attributes"], items, empty="no items")
    left_out = [(i.line, i.item_id, note) for i in seen.items for note in i.notes]
    if left_out:
        print_table(["line", "id", "skipped"], left_out)
    if seen.problems:
        print_table(["line", "id", "unusable"], [(p.line, p.item_id, p.message) for p in seen.problems])


def _meaning(column: FeedColumn) -> str:
    if column.role == "left out":
        return f"skipped: {column.reason}"
    if column.role != "attribute":
        return column.role
    kind = f" ({column.type})" if column.type not in ("", "as it is") else ""
    meaning = f"attribute {column.attribute}{kind}"
    if column.type == "price":
        meaning += f", {column.attribute}_currency"
    return f"{meaning}; {column.left_out_count} skipped" if column.left_out_count else meaning
