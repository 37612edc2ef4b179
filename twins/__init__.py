"""Twins: values and bytes.

What a digital twin is made of — models, manifests, contributions, content identifiers, artifact stores — as
plain values. Nothing here knows how a model was trained (``fl``) or who vouches for it (``chain``).
"""
