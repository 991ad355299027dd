"""From the URL of a source to a stream of items: download or local file, spool, and the sandboxed parser."""
