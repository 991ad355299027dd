"""What others store in the same transaction as the records: marks of a catalogue sync, references to kept pictures.

A new kind of companion data gets a module here and tables in `index.records.schema`.
"""
