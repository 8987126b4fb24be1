"""The JSON API: routes from which Flask's routing and the OpenAPI document are both made, and the documents it answers."""
