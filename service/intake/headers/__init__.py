"""What the header of each format says, read in plain Python before any codec sees the picture."""
