"""The derived half: everything in memory or in snapshots that can be rebuilt from the records.

`arrays` holds growing arrays, `ann` graphs and signatures, `fields` attributes by value, `filters` the filter language,
`segment` rows and their views, `query` planning and execution, `snapshots` their files. No SQL belongs here.
"""
