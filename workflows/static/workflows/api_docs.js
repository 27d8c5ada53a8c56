// Shows the OpenAPI description. In a file of its own, because pages may hold no inline script.
"use strict";

const page = document.getElementById("swagger-ui");

SwaggerUIBundle({
  url: page.dataset.schema,
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  // Nothing is sent to a validator elsewhere.
  validatorUrl: null,
  requestInterceptor: (request) => {
    // Whoever has signed in tries calls out by their session, which asks for this.
    if (new URL(request.url, location.href).origin === location.origin) {
      request.headers["X-CSRFToken"] = page.dataset.csrfToken;
    }
    return request;
  },
});
