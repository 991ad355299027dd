"""Every change has its entry in the audit log, whatever ends the call."""
