import js from "@eslint/js";
import ts from "typescript-eslint";

export default ts.config(
  { ignores: ["src/contract.ts", "eslint.config.js", "node_modules"] },
  js.configs.recommended,
  ...ts.configs.strictTypeChecked,
  ...ts.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      // A number in a template reads well; Lit renders it as text.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // Lit calls a template's listeners with the element as `this`.
      "@typescript-eslint/unbound-method": "off",
      "max-lines": ["error", 200],
      "no-restricted-imports": [
        "error",
        { paths: [{ name: "mqtt", message: "Only src/bus.ts speaks MQTT." }] },
      ],
      "no-restricted-syntax": [
        "error",
        { selector: "Identifier[name=/^unsafe(HTML|SVG|Static)$/]", message: "What arrives is text, never HTML." },
      ],
    },
  },
  { files: ["src/bus.ts"], rules: { "no-restricted-imports": "off" } },
);
