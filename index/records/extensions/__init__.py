"""What others keep in the same transactions as the records, each an `Extension` of `hook`: sources, pictures,
saved searches.

`registered` lists them and is the only module that imports them. A new kind gets its modules here, its reads and writes
in `index.contract.companions`, and a place in `registered.EXTENSIONS`. The rest of the index iterates over them.
"""
