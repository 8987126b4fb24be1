"""The views: one module for each page, named after it. A view reads the ledger and fills a template."""
