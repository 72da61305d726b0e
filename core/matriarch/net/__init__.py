"""Connections that we open: their bytes, and HTTP/1.1 on them. Nothing is repeated, followed or unpacked unasked."""
