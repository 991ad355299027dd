"""The decoders: OpenCV for JPEG, still WebP and PNG of 16 bits, Pillow for everything else."""
