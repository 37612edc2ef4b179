"""Chain: who vouches for a twin.

One class per contract, the connection beneath them, and what is built on the record: recorder, follower,
auditor. Values of `twins` go in and come out; nothing here knows how a model was trained.
"""
