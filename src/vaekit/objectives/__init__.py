"""Objectives: functionals of the log-ratio. One file each; the folder is the registry."""
