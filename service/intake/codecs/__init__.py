"""Decoders: OpenCV for JPEG, still WebP and 16-bit PNG, Pillow for everything else."""
