"""What a search does beyond looking up the nearest rows: groups, other orders, hints."""
