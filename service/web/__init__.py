"""HTTP: metrics and health for machines."""
