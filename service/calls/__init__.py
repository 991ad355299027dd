"""Everything around a call, whatever the transport: authentication, limits, deadline, audit, errors.

`methods` has a row for each method of the API. A transport (gRPC, HTTP, in process) adapts its calls to `CallContext`
and passes them to the interceptor. It decides nothing by itself. What a call does belongs in `service.handlers`.
"""
