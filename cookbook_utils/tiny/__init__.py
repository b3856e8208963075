"""The embedded model: the world it knows, its tokenizer, its training and its evaluation.

Everything here is about the small checkpoint in `assets/tiny`; the notebooks reach it through
`cookbook_utils.load_model("tiny")` and never import this package.
"""
