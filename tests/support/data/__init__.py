"""Collections, directories, filters, feeds and pictures for tests."""
