"""What surrounds every call, whatever the transport: who may make it, what it may hold, how long it may take, what is
recorded of it, and how its errors are reported.

`methods` has a row for each method of the API. A transport (gRPC, HTTP, in process) adapts its calls to `CallContext`
and hands them to the interceptor; it decides nothing by itself. What a call does belongs in `service.handlers`.
"""
