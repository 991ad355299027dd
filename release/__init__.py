"""What a release is made of and checked by (docs/releasing.md). No part of a distribution."""
