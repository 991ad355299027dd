"""What people said about records: sums of liked and disliked hits, and verdicts on pairs."""
