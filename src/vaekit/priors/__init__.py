"""Priors p(z_l | z_<l, c). One file each; the folder is the registry."""
