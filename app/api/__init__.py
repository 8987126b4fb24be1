"""The JSON API: the routes and the response documents.

Flask's routing and the OpenAPI document are both made from the routes.
"""
