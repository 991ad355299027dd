"""Commands on collections and their records, and the tables and files that they read and write."""
