declare module "swagger-ui-dist/swagger-ui-es-bundle.js" {
  const swaggerUi: (options: { dom_id: string; url: string; validatorUrl: null }) => void;
  export default swaggerUi;
}
