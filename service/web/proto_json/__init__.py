"""Proto3 JSON, both ways: a fast codec that is compiled once for each message type and read and written with orjson.

It equals `google.protobuf.json_format` on every message (a property test compares), reads both spellings of a field's
name and refuses unknown fields. Errors name the field and never quote a value. What HTTP does with it belongs in
`service.web.api`.
"""
