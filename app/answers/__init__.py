"""Results prepared for display: paths, sentences, matrix, comparison of two. Pure: results in, data out."""
