"""Tables of records that commands read and write: CSV, JSON and Parquet."""
