"""Environments that agents act in, text in and text out."""
