"""Arrays that grow at the end while readers use them. A new element type or layout of vectors goes here."""
