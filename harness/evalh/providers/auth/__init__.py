"""How a request says who asks: a key, a token that runs out, a signature."""
