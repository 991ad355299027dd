"""Changes of single items between two feeds."""
