"""Between protobuf messages and the values of the service, both ways."""
