"""Commands on saved searches and on objects in pictures, and options that several commands on searches have."""
