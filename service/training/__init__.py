"""A tenant's own model: labelled pictures that it uploads, a projection fitted to them on top of an encoder, and the
encoder that comes of it, which is nobody else's."""
