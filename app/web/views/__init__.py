"""The views: one module for each page, named after it; a view reads the ledger and fills a template."""
