"""The filter language, in the style of AIP-160 (docs/filters.md): grammar, syntax tree, evaluation, hints.

A new operator goes to the grammar and the table of operators here.
"""
