"""`POST /v1/embeddings` and `GET /v1/models` in the shape of OpenAI, for pictures and texts: a face of Encode and
GetServerInfo.

`inputs` reads requests, `outputs` writes responses and errors, `calls` joins both with a call over HTTP. Nothing is
stored. Other shapes of other vendors get rooms of their own.
"""
