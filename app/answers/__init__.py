"""A result as people read it: paths, sentences, matrix, differences between two. Pure: results in, data out."""
