"""The imperative shell: load, decide, append, act. Twins sync_api and async_api over the blocking parts beside them."""
