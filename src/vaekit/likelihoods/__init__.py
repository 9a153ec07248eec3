"""Likelihoods p(x | z, c). One file each; the folder is the registry.

A new one derives from `vaekit.likelihoods.base.Decoded`, which decodes, and fills what was not observed.
"""
