"""Limits on calls in flight: shares of calls, streams and bytes; calls without a key or a message; large responses.

A new limit on calls in flight goes here, quotas and rates of tenants to `service.tenancy`.
"""
