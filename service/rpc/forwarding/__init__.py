"""Several processes of one server: a query process answers some calls itself, and forwards all others to the writer.

`local_calls` has the table of calls that a query process may answer; what is not in it is forwarded, so that a new call
is right from the start. `writer_channel` forwards, `query_methods` decides for each call, `internal_server` is where
the writer hears of them, over a Unix socket. `followers` knows what each query process has yet to do. `sender` says
what goes with a call, which no client can write.
"""
