"""Networks: tensors in, tensors out, no probability. One file each; the folder is the registry."""
