"""From an executed notebook to a page that opens from disk with no network, and the index page that lists them."""
