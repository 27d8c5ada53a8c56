"""The platform over HTTP: views translate, and `workflows.client` decides."""
