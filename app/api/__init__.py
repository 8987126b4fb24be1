"""The JSON API: routes, from which both Flask's routing and the OpenAPI document are made, and the response documents."""
