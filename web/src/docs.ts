// The page at /docs: the API's own description, with everything it needs served from here.
import swaggerUi from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";

swaggerUi({
  dom_id: "#docs",
  url: new URL("api/v1/openapi.json", document.baseURI).href,
  validatorUrl: null,
});
