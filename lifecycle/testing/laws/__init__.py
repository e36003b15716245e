"""The laws behind the invariants, a file for each kind of subject; lifecycle/testing/invariants.py is their list.

A law is a plain function: it takes its subject and yields, for each time it had something to judge, True, or a
sentence that says what is wrong. A law that yields nothing had nothing to judge: it was not exercised.
"""
