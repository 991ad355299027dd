"""Every change has its entry in the audit log, however the call ends."""
