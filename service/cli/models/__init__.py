"""Commands on encoders and on models of one's own."""
