"""Feeds that are tables: CSV and TSV, Shopify's product CSV among them."""
