"""What happens to a picture: checked, probed, decoded, forgotten. Nothing here writes to a disk."""
