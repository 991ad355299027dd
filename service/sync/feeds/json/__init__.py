"""Feeds in JSON: documents of any size and JSON lines, Shopify's `products.json` among them."""
