"""Several processes of one server on one machine: the supervisor that starts them, and what each is told.

One process writes, the others answer searches and look-ups and forward everything else to it. What they answer, and how
they forward, is in `service.rpc.forwarding`; what each is made of, in `service.composition`.
"""
