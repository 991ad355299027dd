"""Pictures written byte by byte, so that their content is known without any decoder."""
