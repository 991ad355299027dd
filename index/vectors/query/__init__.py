"""From a query to slots in order: plan, execution, rerank, order, groups, duplicates, and the check of recall.

A new search strategy gets a plan in `plan` and its execution in `execute`. Reading records is not done here.
"""
