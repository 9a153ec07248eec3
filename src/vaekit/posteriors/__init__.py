"""Posteriors q(z_l | z_<l, x, c). One file each; the folder is the registry."""
