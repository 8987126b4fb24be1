"""A result document as a page tells it: ways, sentences, matrix, differences between two. Pure: documents in, data out."""
