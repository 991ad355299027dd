"""The built-in detector of objects of any class: what it is made of, and how it is built. Learned from drawn scenes."""
