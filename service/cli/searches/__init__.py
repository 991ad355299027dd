"""Commands on saved searches, and options that several commands on searches have."""
