"""The filter language, in the style of AIP-160 (docs/filters.md): grammar, syntax tree, evaluation, hints.

New syntax goes to the grammar here; comparison operators are in the table of `index.vectors.fields.operators`.
"""
