"""The pages: what people see in a browser. Views fetch, `present` shapes, templates show."""
