"""The promises about pictures, secrets and erasure, verified on running servers."""
