"""Orders of hits other than that of likeness: boosts, diversity, the order of an attribute.

They rearrange what `index.vectors.query` finds, and ask it for as much as the arrangement needs to be exact. A new
arrangement gets a module here and its place in `pages`. How rows are found is not decided here.
"""
