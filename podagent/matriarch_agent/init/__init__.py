"""init: process 1 of the database container. It owns Postgres and the leash, and outlives every agent.

Only the standard library, and as little of it as will do: this process must stay small and must never fail. Nothing
outside this package imports it but `client`, which is the agent's end of its socket.
"""
