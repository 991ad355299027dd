"""What is promised of pictures, secrets and erasure, proved on running servers."""
