"""What the cells of a feed mean: names of fields, prices, links, attributes."""
