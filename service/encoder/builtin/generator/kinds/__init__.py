"""The kinds of goods, each a function that draws its parts."""
