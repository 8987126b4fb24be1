"""Prepares results for display: paths, sentences, matrix, and the comparison of two. Pure: results in, data out."""
